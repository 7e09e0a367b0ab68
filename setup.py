"""What pyproject.toml cannot say: the data package invsearch.spaces, and the native kernels.

The kernels are optional: without a C++ compiler the installation works, and `ops.backends()` says
what is missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

NATIVE = "ops/involution/backends/native/kernels"
# never -ffast-math: a library linked with it turns denormals off for the whole process
FLAGS = [
    *("-std=c++17", "-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno"),
    *("-fno-exceptions", "-fno-rtti", "-fvisibility=hidden"),
]
OPENMP = ["-fopenmp"] if sys.platform == "linux" else []


def variants() -> dict[str, list[str]]:
    """Instruction sets the kernels are compiled for, with the flags of each."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return {"baseline": []}
    # the last is for CPUs older than 2013: fast loops for K = 7 alone, to build in less time
    return {
        "v4": ["-march=x86-64-v4"],
        "v3": ["-march=x86-64-v3"],
        "v2": ["-march=x86-64-v2", "-DFAST_SIZE=7"],
    }


class BuildNative(build_ext):
    """Compiles one source for several instruction sets into one library."""

    def build_extension(self, ext: Extension) -> None:
        path = Path(self.get_ext_fullpath(ext.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = Path(NATIVE).parent / Path(self.get_ext_filename(ext.name)).name
        if self.editable_mode and _is_newer(earlier, [__file__, *ext.sources, *ext.depends]):
            if path.resolve() != earlier.resolve():
                shutil.copy2(earlier, path)  # a second environment, or one made anew: 20 s saved
            return
        work = Path(self.build_temp)
        jobs = [(name, work / "dispatch", [], []) for name in ("dispatch.cpp", "onnxruntime.cpp")]
        for name, flags in variants().items():
            jobs.append(("variant.cpp", work / name, [("VARIANT", f"involution_{name}")], flags))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [name for names in pool.map(self._compile, jobs) for name in names]
        self.compiler.link_shared_object(objects, str(path), extra_postargs=OPENMP)

    def _compile(self, job: tuple[str, Path, list[tuple[str, str]], list[str]]) -> list[str]:
        source, folder, macros, flags = job
        result: list[str] = self.compiler.compile(
            [f"{NATIVE}/{source}"],
            output_dir=str(folder),
            macros=macros,
            extra_postargs=[*FLAGS, *OPENMP, *flags],
            depends=self.extensions[0].depends,
        )
        return result


def _is_newer(built: Path, sources: list[str]) -> bool:
    """Whether a file is there and newer than all that it is made of."""
    if not built.is_file():
        return False
    made = built.stat().st_mtime
    return all(Path(source).stat().st_mtime < made for source in sources)


setup(
    packages=[
        *find_packages(include=["ops", "ops.*", "invsearch", "invsearch.*"]),
        "invsearch.spaces",
    ],
    package_dir={"invsearch.spaces": "spaces"},
    ext_modules=[
        Extension(
            "ops.involution.backends.native._native",
            sources=[f"{NATIVE}/{name}.cpp" for name in ("dispatch", "onnxruntime", "variant")],
            depends=sorted(str(path) for path in Path(NATIVE).glob("*.h")),
            optional=True,
            # called by ctypes: one library, and one wheel of a platform, for every Python from 3.11
            py_limited_api=True,
        )
    ],
    cmdclass={"build_ext": BuildNative},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
