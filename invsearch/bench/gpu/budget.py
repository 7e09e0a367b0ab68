"""How the seconds of `python -m invsearch.bench.gpu` are shared among its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from invsearch.bench.gpu.rows import GpuClaim, Kind

__all__ = ["NEEDS", "Need", "late", "needed", "sampling_seconds"]


@dataclass(frozen=True)
class Need:
    """What a row takes at least, in seconds.

    Attributes:
        setup: Before its first sample: tensors, clocks, processes, compilation.
        sampling: For samples.
    """

    setup: float
    sampling: float

    @property
    def seconds(self) -> float:
        """Of both."""
        return self.setup + self.sampling


# Estimates. Each clock spins for 0.3 s and each warm-up takes 0.1 s, for two or three pieces of
# work; `fused` and `backward` do so at nine sets of shapes; Inductor takes about 30 s for each
# network's inference and 50 s for its training.
NEEDS: Mapping[Kind, Need] = {
    "bare": Need(3, 3),
    "released": Need(4, 4),
    "fused": Need(10, 6),
    "backward": Need(12, 6),
    "eager": Need(8, 4),
    "capture": Need(0, 25),
    "two": Need(0, 20),
    "first": Need(0, 20),
    "network": Need(70, 5),
    "training": Need(110, 8),
}


def needed(rows: Sequence[GpuClaim]) -> float:
    """Seconds that these rows take at least."""
    return sum(NEEDS[row.kind].seconds for row in rows)


def late(row: GpuClaim, left: float) -> str | None:
    """Why a row is left out when so many seconds are left, or None."""
    need = NEEDS[row.kind].seconds
    if left >= need:
        return None
    return f"it takes about {need:.0f} s, and {max(left, 0):.0f} s were left"


def sampling_seconds(rows: Sequence[GpuClaim], left: float) -> float:
    """For the samples of the first of these rows.

    What none of the rows needs is shared evenly. Where there is too little for all, the first take
    no more than they need, and the last are late.
    """
    spare = max(0.0, left - needed(rows))
    return NEEDS[rows[0].kind].sampling + spare / len(rows)
