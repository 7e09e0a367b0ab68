"""Which runs a report is about when none is named, and where it goes when no file is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invsearch.errors import InputError
from invsearch.runs import RunFolder
from invsearch.runs.load import RESULTS, find_run

__all__ = ["default_output", "find_runs"]

REPORTS = Path("reports")


def find_runs(names: Sequence[str | Path]) -> list[Path]:
    """Return the folders of the named runs; without a name, that of the latest under ``results/``.

    Raises:
        InputError: If a run does not exist, or there is none at all.
    """
    if names:
        return list(dict.fromkeys(find_run(name) for name in names))
    entries = sorted(RESULTS.iterdir()) if RESULTS.is_dir() else []
    runs = [entry for entry in entries if entry.is_dir() and RunFolder(entry).exists]
    if not runs:
        raise InputError(
            f"there is no run under {RESULTS}/: start one with `invsearch run SPACE`, or name a"
            " run's folder"
        )
    return [max(runs, key=_last_change)]


def _last_change(run: Path) -> float:
    return max(entry.stat().st_mtime for entry in run.iterdir() if not entry.name.startswith("."))


def default_output(folders: Sequence[Path]) -> Path:
    """Return ``reports/<run>.html``; of several runs the first, and how many more."""
    names = [folder.resolve().name for folder in folders] or ["empty"]
    more = f"-and-{len(names) - 1}-more" if len(names) > 1 else ""
    return REPORTS / f"{names[0]}{more}.html"
