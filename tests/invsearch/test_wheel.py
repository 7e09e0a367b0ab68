"""Installed from a wheel, away from the checkout and without a compiler, everything works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, unpacked where nothing else is."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves files behind, which a later build would ship
    ignored = shutil.ignore_patterns(".*", "build", "results", "reports", "tests", "*.so")
    shutil.copytree(ROOT, source, ignore=ignored)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"),
            *("--disable-pip-version-check", "-w", str(folder), str(source)),
        ],
        env={**os.environ, "CC": "/no/compiler", "CXX": "/no/compiler"},
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def run(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_shipped_spaces_are_found_by_name(installed: Path, tmp_path: Path) -> None:
    result = run(installed, tmp_path, "-m", "invsearch", "explain", "rednet")
    assert result.returncode == 0, result.stderr


def test_fashion_mnist_travels_with_its_licence(installed: Path, tmp_path: Path) -> None:
    code = (
        "from invsearch.data import load_dataset as l; print(len(l('fashion_mnist').test_labels))"
    )
    assert run(installed, tmp_path, "-c", code).stdout == "10000\n"
    notices = list(installed.rglob("LICENSE-fashion_mnist.txt"))
    assert notices
    assert all("Zalando" in notice.read_text() for notice in notices)


def test_search_and_report_run_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    arguments = ["run", "quick", "--executor", "serial", "--trials", "2"]
    small = ["--set", "accuracy.epochs=1", "--set", "accuracy.data_fraction=0.2"]
    result = run(installed, tmp_path, "-m", "invsearch", *arguments, *small)
    assert result.returncode == 0, result.stderr
    result = run(installed, tmp_path, "-m", "invsearch", "report", "quick")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "reports" / "quick.html").stat().st_size > 100_000


def test_the_wheel_is_what_was_imported(installed: Path, tmp_path: Path) -> None:
    code = "import invsearch, ops; print(invsearch.__file__, ops.__file__)"
    printed = run(installed, tmp_path, "-c", code).stdout
    assert printed.count(str(installed)) == 2
