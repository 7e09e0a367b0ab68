"""Encoded: images that are decoded when a batch of them is wanted, by threads, some batches ahead.

Threads and not processes: Pillow lets go of the interpreter while it decodes and resizes, so they
work side by side, share the memory that a batch lies in, and cannot outlive the process or die
alone - a decoder that crashes takes the training with it, which is then seen.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from invsearch.data.cut import Cut
    from invsearch.data.decode import Decoder
    from invsearch.data.splits import Labelled

__all__ = ["Encoded", "decoding_threads"]

_AHEAD = 2  # batches that are decoded while one is trained on: one to be ready, one to be made
_TOGETHER = 4  # images that a thread takes at once: less would be queueing, more would be uneven


def decoding_threads() -> int:
    """How many threads decode: one for each CPU that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class Encoded:
    """A data set's images where they are: in files, or encoded in memory.

    Attributes:
        decoder: Makes them alike.
        parts: Of the names ``train``, ``val`` and ``test``, the images.
    """

    decoder: Decoder
    parts: Mapping[str, Labelled]

    def decoded(
        self,
        part: str,
        batches: Iterable[Sequence[int]],
        cuts: Iterable[Sequence[Cut]] | None = None,
        *,
        pinned: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Decode batch after batch, in their order, the next ones while one is used.

        Args:
            part: ``train``, ``val`` or ``test``.
            batches: The rows of each.
            cuts: Of each the boxes of its images that are wanted; asked for as batches are begun.
                None for whole images.
            pinned: Whether to put them where a GPU fetches them by itself.

        Yields:
            Pixels, uint8 (B, C, side, side), and labels, int64 (B,), or masks, uint8 (B, side,
            side).

        Raises:
            InputError: In one line that names the first image of a batch that cannot be used.
        """
        images = self.parts[part]
        pool = ThreadPoolExecutor(decoding_threads(), "invsearch-decoder")
        queue: deque[_Batch] = deque()
        try:
            for rows, boxes in zip(batches, repeat(None) if cuts is None else cuts, strict=False):
                queue.append(self._begun(images, rows, boxes, pool, pinned))
                if len(queue) > _AHEAD:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:  # whoever stops in the middle waits for no image that nobody wants
            pool.shutdown(cancel_futures=True)

    def _begun(
        self,
        images: Labelled,
        rows: Sequence[int],
        cuts: Sequence[Cut] | None,
        pool: ThreadPoolExecutor,
        pinned: bool,
    ) -> _Batch:
        side, masked = self.decoder.side, images.masks is not None
        shape = (len(rows), side, side)
        pixels = torch.empty(*shape, self.decoder.channels, dtype=torch.uint8, pin_memory=pinned)
        masks = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned) if masked else None

        def decode(start: int) -> None:
            for place in range(start, min(start + _TOGETHER, len(rows))):
                mask = None if masks is None else masks[place].numpy()
                cut = None if cuts is None else cuts[place]
                self.decoder.into(images, rows[place], pixels[place].numpy(), mask, cut)

        parts = [pool.submit(decode, start) for start in range(0, len(rows), _TOGETHER)]
        labels = masks
        if labels is None:
            labels = images.labels[torch.tensor(rows, dtype=torch.int64)]
            labels = labels.pin_memory() if pinned else labels
        return _Batch(parts, pixels.permute(0, 3, 1, 2), labels)


@dataclass(frozen=True)
class _Batch:
    """A batch that is being decoded."""

    parts: Sequence[Future[None]]
    pixels: Tensor
    labels: Tensor

    def result(self) -> tuple[Tensor, Tensor]:
        """Wait for it; the first image that cannot be used is told, whichever was met first."""
        for part in self.parts:
            part.result()
        return self.pixels, self.labels
