"""The first use of a layer may be any: a compiler's, an exporter's, a thread's, a forked child's.

What is looked up at first need (`ops.probe`) must not be traced, nor found out wrongly for good.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from first_uses import WAYS

import ops
from ops.probe import probe

OPS = Path(ops.__file__).parent
SCRIPT = Path(__file__).with_name("first_uses.py")


def first_uses(package: Path, *ways: str) -> dict[str, str]:
    """Case -> what went wrong, of the ways, with the `ops` that lies in a folder."""
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT, *ways],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """Of every way: in one process that forks, as importing torch takes longer than a case."""
    return first_uses(OPS.parent)


# slow: some 130 processes, in which nothing was called before
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_first_use_is_like_any_other(found: dict[str, str], way: str) -> None:
    cases = {name: wrong for name, wrong in found.items() if name.startswith(f"{way}:")}
    assert len(cases) >= 6
    assert {name: wrong for name, wrong in cases.items() if wrong} == {}


def test_a_first_use_without_native_kernels(tmp_path: Path) -> None:
    shutil.copytree(OPS, tmp_path / "ops", ignore=shutil.ignore_patterns("_native*.so", "*.pyc"))
    cases = first_uses(tmp_path, "exported_strictly", "in_threads")
    assert len(cases) == 12
    assert {name: wrong for name, wrong in cases.items() if wrong} == {}


FRESH = """
import torch
import ops
layer, x = ops.Involution2d(32, 3).eval(), torch.randn(1, 32, 6, 5)
y = {first}
torch.testing.assert_close(y, layer(x))
assert ops.backends()["cuda"] == ({cuda!r}), ops.backends()
"""


@pytest.mark.parametrize(
    "first",
    [
        "torch.compile(layer, fullgraph=True, backend='eager')(x)",
        "torch.export.export(layer, (x,), strict=True).module()(x)",
        "torch.compile(lambda: x + len(ops.backends()), fullgraph=True, backend='eager')() * 0"
        " + layer(x)[..., :6, :5]",
    ],
)
def test_in_a_new_process(first: str) -> None:
    """As users meet it, with nothing imported before, and on a machine with a GPU too."""
    code = FRESH.format(first=first, cuda=ops.backends()["cuda"])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_probe_looks_once_until_it_is_told_to_forget() -> None:
    looks: list[int] = []

    @probe
    def look() -> int:
        """Look."""
        looks.append(1)
        return len(looks)

    assert (look(), look(), look.__doc__) == (1, 1, "Look.")
    look.forget()
    assert look() == 2


def test_a_probe_that_fails_looks_again() -> None:
    answers = iter([OSError("busy"), "there"])

    @probe
    def look() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with pytest.raises(OSError, match="busy"):
        look()
    assert look() == "there"
