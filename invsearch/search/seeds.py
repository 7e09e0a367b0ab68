"""Seeds that follow from others, the same in every process."""

from __future__ import annotations

import zlib

__all__ = ["derive_seed", "replicate_seed"]

_POSITIVE = 0x7FFFFFFF  # 31 bits: what every generator takes as a seed, signed or not


def derive_seed(*parts: object) -> int:
    """A 31-bit seed that depends on every part and on nothing else (no hash randomisation)."""
    return zlib.crc32(repr(parts).encode()) & _POSITIVE


def replicate_seed(seed: int, count: int) -> int:
    """The seed of a trial's ``count``-th replicate, from 1."""
    return derive_seed(seed, "replicate", count)
