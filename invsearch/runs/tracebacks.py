"""The tracebacks of failed trials, a file each: ``errors/<trial>.txt`` in the run's folder."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ERRORS", "keep_traceback"]

ERRORS = "errors"


def keep_traceback(folder: Path, name: str, text: str) -> str:
    """Write a traceback and return where it is, relative to the run's folder.

    Args:
        folder: The run's.
        name: Of the trial, or of its replicate.
        text: The traceback.
    """
    path = folder / ERRORS / f"{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return str(path.relative_to(folder))
