"""Fixtures of the report: runs to show and a browser to show them in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import Writer, make_trials, write_run

from invsearch.metrics import Source


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """A function that writes a run of ``count`` trials and returns its folder."""

    def write(
        count: int = 28,
        objectives: str = "val_loss: minimize, macs: minimize",
        *,
        folder: str = "run",
        name: str = "RedNet, digits",
        source: Source = "trained",
        seed: int = 0,
    ) -> Path:
        trials = make_trials(count, seed=seed, source=source)
        return write_run(tmp_path / folder, trials, objectives, name=name)

    return write


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium; tests of the page skip where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH: install the package chromium to test the page")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ]  # fmt: skip
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=flags)
        yield started
        started.close()
