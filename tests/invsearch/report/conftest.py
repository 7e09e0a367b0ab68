"""Fixtures of the report: runs to show and a browser to show them in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opened_page import Opened
from synthetic_runs import Writer, make_paper, make_trials, write_run

from invsearch.metrics import Source
from invsearch.report import write_report

_FILES = ("space.yaml", "environment.json", "trials.jsonl")


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


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that writes runs into a page, or finds the page of runs that are just the same."""
    pages: dict[str, Path] = {}

    def write(runs: tuple[Path, ...], reproduction: dict[str, Any]) -> Path:
        files = [run / name for run in runs for name in _FILES]
        texts = [file.read_text(encoding="utf-8") for file in files if file.exists()]
        key = "\n".join([*(run.name for run in runs), *texts, repr(reproduction)])
        if key not in pages:
            pages[key] = write_report(
                runs,
                tmp_path_factory.mktemp("page") / "report.html",
                paper=make_paper(),
                reproduction=reproduction,
                benchmarks=(),
                contests=(),
            )
        return pages[key]

    return write


@pytest.fixture(scope="session")
def kept() -> dict[str, Opened]:
    """Pages that stay open for the next test that wants the same one."""
    return {}


@pytest.fixture
def open_page(browser: Any, written: Callable[..., Path], kept: dict[str, Opened]) -> Iterator[Any]:
    """A function that writes runs into a page and opens it; at the end it must have been quiet.

    A page is shared by the tests that open it alike; each finds it as it was at first.
    """
    opened: list[Opened] = []

    def open_(*runs: Path, **options: Any) -> Opened:
        path = written(runs, options.pop("reproduction", {}))
        key = f"{path} {sorted(options.items())}"
        if key in kept:
            kept[key].reset()
        else:
            kept[key] = Opened(browser, path, **options)
        opened.append(kept[key])
        return kept[key]

    yield open_
    for each in opened:
        assert each.noise == []
        assert [
            url for url in each.requests if not url.startswith(("file:", "data:", "blob:"))
        ] == []
        assert len([url for url in each.requests if url.startswith("file:")]) == 1
