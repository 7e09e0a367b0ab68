"""The published tables as they stand in the CSV files: digits as printed, status beside them."""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib import resources
from typing import Literal

__all__ = ["PublishedTable", "published_table"]

PublishedTable = Literal[
    "classification", "detection", "segmentation", "runtime", "abstract", "others_imagenet"
]


def published_table(name: PublishedTable) -> list[dict[str, str]]:
    """Read one published table.

    Returns:
        Its rows; every cell is the text that was printed, ``status`` says where it comes from.
    """
    return [dict(row) for row in _rows(name)]


@lru_cache(maxsize=8)
def _rows(name: str) -> tuple[dict[str, str], ...]:
    file = resources.files("invsearch.paper").joinpath(f"{name}.csv")
    return tuple(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
