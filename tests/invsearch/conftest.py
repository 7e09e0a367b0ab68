"""Operators of third parties, registered for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ops
from ops import registry


@pytest.fixture
def clean_registry() -> Iterator[None]:
    """Forget the operators that the test registers."""
    before = set(ops.names())
    yield
    for name in set(ops.names()) - before:
        del registry._OPERATORS[name]
