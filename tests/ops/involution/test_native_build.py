"""The native kernels' build: clean without a compiler, and clean under sanitizers."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NATIVE = ROOT / "ops" / "involution" / "backends" / "native"
KERNELS = NATIVE / "kernels"
CHECK = Path(__file__).with_name("native_check.cpp")
COMPILER = shutil.which("g++")
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
# FAST_SIZE keeps the build short: one window size with unrolled loops, the others without
FLAGS = [
    *("-std=c++17", "-O1", "-g0", "-fopenmp", "-ffp-contract=fast", "-fno-math-errno"),
    *("-DFAST_SIZE=3", "-DVARIANT=checked", "-DCHECKED=checked_table", f"-I{KERNELS}", *SANITIZE),
]


def test_without_a_compiler_the_installation_works_and_says_so(tmp_path: Path) -> None:
    """No kernels, no error; `ops.backends()` names the reason and the others compute."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("needs the source tree")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "ops", source / "ops", ignore=shutil.ignore_patterns("*.so", "*.pyc"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    (source / "spaces").mkdir()
    (source / "invsearch").mkdir()
    (source / "invsearch" / "__init__.py").touch()
    (source / "invsearch" / "_version.py").write_text('__version__ = "0"\n')
    nowhere = {"CC": "/nonexistent/cc", "CXX": "/nonexistent/c++"}
    build = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=source,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    assert not list(source.rglob("*.so"))
    probe = (
        "import ops, torch; print(ops.backends()['native']);"
        "print(ops.Involution2d(16)(torch.ones(1, 16, 7, 7)).shape)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", probe],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "no working C++ compiler" in run.stdout.splitlines()[0]
    assert run.stdout.count("torch.Size") == 1


@pytest.mark.slow
def test_random_calls_under_sanitizers(tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitizers, on buffers of exactly the tensors' size."""
    if COMPILER is None:
        pytest.skip("no g++")
    if not (ROOT / "setup.py").exists():
        pytest.skip("needs the source tree")
    level = ["-march=x86-64-v2"] if platform.machine() == "x86_64" else []
    command = [COMPILER, *FLAGS, *level]
    sources = {"kernels": KERNELS / "variant.cpp", "check": CHECK}
    builds = [
        subprocess.Popen(
            [*command, "-c", str(source), "-o", str(tmp_path / f"{name}.o")],
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, source in sources.items()
    ]
    for build in builds:
        _, errors = build.communicate()
        assert build.returncode == 0, errors
    check = tmp_path / "run"
    objects = [str(tmp_path / f"{name}.o") for name in sources]
    link = subprocess.run([*command, *objects, "-o", str(check)], capture_output=True, text=True)
    if link.returncode and "cannot find" in link.stderr:
        pytest.skip("g++ has no sanitizer libraries")
    assert link.returncode == 0, link.stderr
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "OMP_NUM_THREADS": "2"}
    run = subprocess.run([str(check), "15"], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
