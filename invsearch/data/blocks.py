"""Blocks: rows that are read together, and an order of them that leaves a set larger than memory.

One row of a parquet file costs the reading of its row group. So an epoch takes as many blocks at a
time as a window of memory holds, drawn at random, and shuffles the rows of these: every block is
read once an epoch, and rows that lie apart in the files come together. (Two rows of one class that
lie side by side come within a window of each other: files that are sorted by class are best
shuffled once, when they are written.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["WINDOW", "Blocks", "epoch_order"]

WINDOW = 2**30
"""Bytes of encoded images that are shuffled together: about 10,000 photos of ImageNet, and with
those of the next window 2 GB of memory. A constant: the order must not depend on the machine."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which rows are read together.

    Attributes:
        of: Of each row the number of its block, int64 (N,).
        sizes: Of each block its bytes, int64 (blocks,).
    """

    of: Tensor
    sizes: Tensor

    def at(self, rows: Tensor) -> Blocks:
        """Those of some rows."""
        return Blocks(self.of[rows], self.sizes)

    def order(self, generator: torch.Generator) -> Tensor:
        """All rows once, int64 (N,): shuffled within windows of blocks, which are shuffled."""
        blocks = self.of.unique()
        blocks = blocks[torch.randperm(len(blocks), generator=generator)]
        place = torch.empty(len(self.sizes), dtype=torch.int64)
        place[blocks] = self._windows(blocks)
        windows = place[self.of]
        rows = torch.randperm(len(self.of), generator=generator)
        return rows[windows[rows].argsort(stable=True)]

    def _windows(self, blocks: Tensor) -> Tensor:
        """Of each block, in this order, the number of its window; a window has one at least."""
        windows, number, filled = [], 0, 0
        for size in self.sizes[blocks].tolist():
            if filled and filled + size > WINDOW:
                number, filled = number + 1, 0
            windows.append(number)
            filled += size
        return torch.tensor(windows, dtype=torch.int64)


def epoch_order(count: int, blocks: Blocks | None, generator: torch.Generator) -> Tensor:
    """All rows of a training set once, in an order that follows from the generator.

    Args:
        count: How many there are.
        blocks: Which of them are read together; None where each is read alone.
        generator: What is drawn from.
    """
    if blocks is None:
        return torch.randperm(count, generator=generator)
    return blocks.order(generator)
