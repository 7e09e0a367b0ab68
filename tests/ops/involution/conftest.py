"""Fixtures of the involution tests."""

from __future__ import annotations

import pytest

import ops


@pytest.fixture(params=list(ops.backends()))
def backend(request: pytest.FixtureRequest) -> str:
    """Each back end that can run on this machine; the others are skipped with their reason."""
    name: str = request.param
    status = ops.backends()[name]
    if status != "available":
        pytest.skip(f"back end {name}: {status}")
    return name
