"""Measurements beside other tests."""

from __future__ import annotations

import pytest

from invsearch.latency import tabled


@pytest.fixture(autouse=True)
def measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests take the time of every measurement here: repeating it gives no better figure."""
    monkeypatch.setattr(tabled, "_AGAIN", 0)
