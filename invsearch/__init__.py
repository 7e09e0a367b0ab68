"""invsearch: architecture search and benchmarking around involution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invsearch._version import __version__
from invsearch.shadow import watch_names

if TYPE_CHECKING:
    from invsearch.runs import RunData, load_run

__all__ = ["RunData", "__version__", "load_run"]

watch_names()


def __getattr__(name: str) -> Any:
    if name in ("RunData", "load_run"):
        from invsearch import runs

        return getattr(runs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
