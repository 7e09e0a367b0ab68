"""Rows that are measured in processes of their own: with kernels to load, and an empty cache."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

import torch

from invsearch.bench.gpu.first_call import READY
from invsearch.bench.gpu.rows import GpuClaim, GpuFigure
from ops.timing import Interval
from ops.timing.statistics import LEAST_SAMPLES, median_interval

__all__ = ["FIRST_CALLS", "capture", "first", "two"]

FIRST_CALLS = LEAST_SAMPLES

WORKS, FAILS = Interval(1.0, 1.0, 1.0), Interval(0.0, 0.0, 0.0)


def first(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """Several processes begin side by side, then time their first calls one after the other."""
    arguments = ["-m", "invsearch.bench.gpu.first_call", str(row.shape), device]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(_process(arguments)) for _ in range(FIRST_CALLS)]
        for process in started:
            _wait_until_ready(process)
        taken = [float(_answer(process, seconds)) for process in started]
    found = Interval(statistics.median(taken), *median_interval(taken))
    return GpuFigure(row, found, None, {"seconds": taken})


def capture(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """Loads kernels within captures, and compares replays with the same calls outside."""
    return _works(row, ["capture", device], seconds)


def two(row: GpuClaim, device: str, seconds: float) -> GpuFigure:
    """Uses the second GPU, if there is one."""
    found = torch.cuda.device_count()
    if found < 2:
        return GpuFigure(row, None, f"it takes two GPUs, and there are {found}", skipped=True)
    return _works(row, ["two"], seconds)


def _works(row: GpuClaim, arguments: Sequence[str], seconds: float) -> GpuFigure:
    """Works if no part of it says what went wrong."""
    with _process(["-m", "invsearch.bench.gpu.works", *arguments]) as process:
        parts: dict[str, str | None] = json.loads(_answer(process, seconds))
    wrong = [f"{name}: {reason}" for name, reason in parts.items() if reason is not None]
    return GpuFigure(row, FAILS if wrong else WORKS, "; ".join(wrong) or None, {"parts": parts})


@contextlib.contextmanager
def _process(arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process of this Python with an empty cache of kernels; it does not outlive the context."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, "INVSEARCH_CACHE": folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    while (line := process.stdout.readline()).strip() != READY:
        if not line:
            raise RuntimeError(_complaint(process.communicate()[1]))


def _answer(process: subprocess.Popen[str], seconds: float) -> str:
    """The last line that it prints after it is told to begin."""
    out, errors = process.communicate("\n", timeout=seconds)
    if process.returncode or not out.strip():
        raise RuntimeError(_complaint(errors))
    return out.strip().splitlines()[-1]


def _complaint(errors: str) -> str:
    return (errors.strip().splitlines() or ["the process failed without a word"])[-1]
