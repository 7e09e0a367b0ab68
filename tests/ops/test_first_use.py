"""The first use of a layer may be any: a compiler's, an exporter's, a thread's, a forked child's.

What is looked up at first need (`ops.probe`) must not be traced, nor found out wrongly for good.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from first_uses import WAYS

import ops
from ops.probe import probe

OPS = Path(ops.__file__).parent
SCRIPT = Path(__file__).with_name("first_uses.py")


class Fresh:
    """A process that has imported torch and the `ops` of a folder, and forks for every case."""

    def __init__(self, package: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", SCRIPT],
            env={**os.environ, "PYTHONPATH": str(package)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wrong(self, way: str) -> dict[str, str]:
        """Case -> what went wrong, of a way."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(way, file=self.process.stdin, flush=True)
        answer: dict[str, str] = json.loads(self.process.stdout.readline())
        return answer

    def __enter__(self) -> Fresh:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # closes its input, at which it ends


@pytest.fixture(scope="module")
def fresh() -> Iterator[Fresh]:
    """One process, as importing torch takes longer than a case; each way in its own test's time."""
    with Fresh(OPS.parent) as process:
        yield process


# slow: some 130 processes, in which nothing was called before
@pytest.mark.sampled(4)
@pytest.mark.parametrize("way", WAYS)
def test_a_first_use_is_like_any_other(fresh: Fresh, way: str) -> None:
    cases = fresh.wrong(way)
    assert len(cases) >= 6
    assert {name: wrong for name, wrong in cases.items() if wrong} == {}


def test_a_first_use_without_native_kernels(tmp_path: Path) -> None:
    shutil.copytree(OPS, tmp_path / "ops", ignore=shutil.ignore_patterns("_native*.so", "*.pyc"))
    with Fresh(tmp_path) as fresh:
        cases = fresh.wrong("exported_strictly") | fresh.wrong("in_threads")
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
