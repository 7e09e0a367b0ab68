"""Optuna without its log and its notes: what a run has to say it says itself."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's log, and its notes on experimental features that were chosen knowingly.

    The level of the log is left alone: changing it costs more than asking.
    """
    optuna.logging.get_verbosity()  # gives the log its handler, which it gets at its first use
    handlers, errors = list(logging.getLogger("optuna").handlers), _ErrorsAlone()
    for handler in handlers:
        handler.addFilter(errors)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(errors)


class _ErrorsAlone(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR
