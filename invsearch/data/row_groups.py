"""RowGroups: encoded images of parquet files, read a row group at a time, the latest kept.

Threads that ask for one row group at once read it once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invsearch.data import blocks

__all__ = ["Group", "RowGroups", "image_bytes"]

_WINDOWS = 2  # that are kept: where one ends rows of both are asked for


@dataclass(frozen=True)
class Group:
    """A row group.

    Attributes:
        path: Its file.
        number: Which of that file's.
        rows: How many it has.
        size: Bytes of its images, encoded.
        footer: The file's, so that it is not read anew for each of its row groups.
    """

    path: Path
    number: int
    rows: int
    size: int
    footer: Any = field(default=None, compare=False, repr=False)


def image_bytes(column: Any) -> Any:
    """The bytes of images: a binary column, or Hugging Face's of ``bytes`` and ``path``."""
    import pyarrow as pa

    if not (pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0):
        return column
    # chunk by chunk: joined, more than 2 GB of images would be too many for their offsets
    return pa.chunked_array([chunk.field("bytes") for chunk in column.chunks])


class RowGroups:
    """Row groups, at most two windows of :data:`invsearch.data.blocks.WINDOW` of them in memory.

    One for all parts of a data set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Group, Future[Any]] = OrderedDict()
        self._bytes = 0

    @property
    def kept(self) -> int:
        """How many are in memory, or on their way."""
        return len(self._kept)

    def image(self, group: Group, row: int) -> bytes:
        """The encoded image of a row of a row group."""
        found: bytes = self._column(group)[row].as_py()
        return found

    def _column(self, group: Group) -> Any:
        with self._lock:
            found = self._kept.get(group)
            mine = found is None
            if found is None:
                found = self._kept[group] = Future()
                self._bytes += group.size
                self._forget()
            self._kept.move_to_end(group)
        if mine:
            self._read(group, found)
        return found.result()

    def _forget(self) -> None:
        """Let go of those that nobody asked for the longest; their readers have them still."""
        while self._bytes > _WINDOWS * blocks.WINDOW and len(self._kept) > 1:
            group, _ = self._kept.popitem(last=False)
            self._bytes -= group.size

    def _read(self, group: Group, promised: Future[Any]) -> None:
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(group.path, metadata=group.footer) as file:  # one for a thread
                table = file.read_row_group(group.number, columns=["image"], use_threads=False)
            promised.set_result(image_bytes(table.column("image")))
        except BaseException as error:
            with self._lock:
                if self._kept.get(group) is promised:
                    del self._kept[group]
                    self._bytes -= group.size
            promised.set_exception(error)
