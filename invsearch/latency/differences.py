"""What two sets of conditions differ in, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["differences"]


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """``threads 2, here 1``, and so on; empty where they are the same."""
    changed = [key for key in {**here, **there} if there.get(key) != here.get(key)]
    return ", ".join(f"{key} {there.get(key)!r}, here {here.get(key)!r}" for key in changed)
