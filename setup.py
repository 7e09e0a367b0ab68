"""What pyproject.toml cannot say: the data package invsearch.spaces, and the native kernels.

The kernels are optional: without a C++ compiler the installation works, and `ops.backends()` says
what is missing.
"""

from __future__ import annotations

import os
import platform
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
        work = Path(self.build_temp)
        jobs = [("dispatch.cpp", work / "dispatch", [], [])]
        for name, flags in variants().items():
            jobs.append(("variant.cpp", work / name, [("VARIANT", f"involution_{name}")], flags))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [name for names in pool.map(self._compile, jobs) for name in names]
        path = self.get_ext_fullpath(ext.name)
        self.mkpath(str(Path(path).parent))
        self.compiler.link_shared_object(objects, path, extra_postargs=OPENMP)

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


setup(
    packages=[
        *find_packages(include=["ops", "ops.*", "invsearch", "invsearch.*"]),
        "invsearch.spaces",
    ],
    package_dir={"invsearch.spaces": "spaces"},
    ext_modules=[
        Extension(
            "ops.involution.backends.native._native",
            sources=[f"{NATIVE}/dispatch.cpp", f"{NATIVE}/variant.cpp"],
            depends=sorted(str(path) for path in Path(NATIVE).glob("*.h")),
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildNative},
)
