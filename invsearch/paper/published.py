"""The paper's ten classification networks as published."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

__all__ = ["PublishedNetwork", "networks"]

Family = Literal["rednet", "resnet"]


@dataclass(frozen=True)
class PublishedNetwork:
    """One network of the paper's classification table or figure.

    Attributes:
        name: Its name, such as ``RedNet-50``.
        family: ``rednet`` or ``resnet``.
        depth: Its depth.
        params_m: Published parameters, in millions.
        macs_g: Published multiply-adds at 224 x 224, in billions.
        top1: Published ImageNet top-1 accuracy, in percent.
        status: How the numbers were obtained; shown wherever they are.
    """

    name: str
    family: Family
    depth: int
    params_m: float
    macs_g: float
    top1: float
    status: str

    @property
    def error(self) -> float:
        """Published ImageNet top-1 error, in percent, to the digits of the accuracy."""
        return round(100.0 - self.top1, 6)


def _network(row: dict[str, str]) -> PublishedNetwork:
    family, _, depth = row["model"].lower().partition("-")
    return PublishedNetwork(
        name=row["model"],
        family="rednet" if family == "rednet" else "resnet",
        depth=int(depth),
        params_m=float(row["params_m"]),
        macs_g=float(row["macs_g"]),
        top1=float(row["top1_paper"]),
        status=row["status"],
    )


@lru_cache(maxsize=1)
def _networks() -> tuple[PublishedNetwork, ...]:
    table = resources.files("invsearch.paper").joinpath("classification.csv")
    lines = table.read_text(encoding="utf-8").splitlines()
    return tuple(_network(row) for row in csv.DictReader(lines))


def networks() -> list[PublishedNetwork]:
    """Return the paper's five RedNets and five ResNets, in the order of its tables."""
    return list(_networks())
