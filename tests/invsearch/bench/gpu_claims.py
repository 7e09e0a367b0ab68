"""The GPU benchmark's claims, by name."""

from __future__ import annotations

from invsearch.bench.gpu.rows import ROWS, GpuClaim


def claim_of(name: str) -> GpuClaim:
    return {row.name: row for row in ROWS}[name]
