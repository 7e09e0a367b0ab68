"""Metric: a value that never loses its source, its interval and its fidelity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

from invsearch.value import PLAIN, NumberFormat

__all__ = [
    "IGNORED", "KNOWN_METRICS", "MEASURED_ON_TARGETS", "Direction", "Fidelity", "Metric",
    "MetricInfo", "Source", "base_metric", "metric_info",
]  # fmt: skip

Source = Literal[
    "counted", "measured", "trained", "supernet", "proxy", "predicted", "published", "table",
    "evaluated",
]  # fmt: skip
Direction = Literal["minimize", "maximize"]

IGNORED = 255
"""The label of a pixel that has no class, and counts neither in a loss nor in a metric: as PASCAL
VOC, Cityscapes and ADE20K's usual form have it."""

_NORMAL_95 = 1.959964  # standard errors from the mean to either end: the normal's 97.5 % quantile


@dataclass(frozen=True)
class MetricInfo:
    """What the suite knows about a metric of its own: every text about it is here.

    Attributes:
        direction: The direction in which it is better.
        label: The name shown on an axis, with the unit.
        kind: Where it comes from: ``counted`` from closed forms, ``measured`` on a device,
            ``accuracy`` from training or a published table.
        short: The name in a sentence, without the unit.
        format: How its values are written.
        published: Whether the paper's tables give it.
        refused: Why it cannot be asked for; empty where it can.
        test: The same quantity on the test set; empty where there is none.
    """

    direction: Direction
    label: str
    kind: Literal["counted", "measured", "accuracy"]
    short: str
    format: NumberFormat = PLAIN
    published: bool = False
    refused: str = ""
    test: str = ""

    @property
    def unit(self) -> str:
        """The unit of its values; empty for a count."""
        return {"percent": "%", "bytes": "bytes"}.get(self.format.kind, self.format.unit)


_COUNT, _PERCENT = NumberFormat("scaled"), NumberFormat("percent")
_NOT_READ = "no energy meter is read here: a target of latency.targets has one, as energy_mj@NAME"
_NATS = NumberFormat("plain", "nats")
_KEPT = "the test set is kept for the final front: choose by the validation set's metrics"

KNOWN_METRICS: dict[str, MetricInfo] = {
    "params": MetricInfo("minimize", "parameters", "counted", "parameters", _COUNT),
    "macs": MetricInfo("minimize", "multiply-adds (MACs)", "counted", "MACs", _COUNT),
    "latency_ms": MetricInfo(
        "minimize", "latency (ms)", "measured", "latency", NumberFormat("plain", "ms")
    ),
    "peak_memory_bytes": MetricInfo(
        "minimize", "peak memory (bytes)", "counted", "peak memory", NumberFormat("bytes")
    ),
    "energy_mj": MetricInfo(
        "minimize", "energy (mJ)", "measured", "energy", NumberFormat("plain", "mJ"),
        refused=_NOT_READ,
    ),
    "top1": MetricInfo(
        "maximize", "top-1 accuracy (%)", "accuracy", "top-1 accuracy", _PERCENT, published=True,
        test="test_top1",
    ),
    "error": MetricInfo(
        "minimize", "top-1 error (%)", "accuracy", "top-1 error", _PERCENT, published=True,
        test="test_error",
    ),
    "val_loss": MetricInfo(
        "minimize", "validation loss (nats)", "accuracy", "validation loss", _NATS,
        test="test_loss",
    ),
    "miou": MetricInfo(
        "maximize", "mean IoU (%)", "accuracy", "mean IoU", _PERCENT, test="test_miou",
    ),
    "pixel_accuracy": MetricInfo(
        "maximize", "pixel accuracy (%)", "accuracy", "pixel accuracy", _PERCENT,
        test="test_pixel_accuracy",
    ),
    "test_top1": MetricInfo(
        "maximize", "test top-1 accuracy (%)", "accuracy", "test top-1 accuracy",
        _PERCENT, refused=_KEPT,
    ),
    "test_error": MetricInfo(
        "minimize", "test top-1 error (%)", "accuracy", "test top-1 error", _PERCENT,
        refused=_KEPT,
    ),
    "test_loss": MetricInfo(
        "minimize", "test loss (nats)", "accuracy", "test loss", _NATS, refused=_KEPT,
    ),
    "test_miou": MetricInfo(
        "maximize", "test mean IoU (%)", "accuracy", "test mean IoU", _PERCENT, refused=_KEPT,
    ),
    "test_pixel_accuracy": MetricInfo(
        "maximize", "test pixel accuracy (%)", "accuracy", "test pixel accuracy", _PERCENT,
        refused=_KEPT,
    ),
}  # fmt: skip

MEASURED_ON_TARGETS = ("latency_ms", "peak_memory_bytes", "energy_mj")
"""What a target of ``latency.targets`` gives, under names such as ``latency_ms@a100``."""

_AT = "@"


def base_metric(name: str) -> tuple[str, str]:
    """A metric's own name and its target's: ``latency_ms@a100`` -> (``latency_ms``, ``a100``)."""
    base, _, target = name.partition(_AT)
    return base, target


def metric_info(name: str) -> MetricInfo | None:
    """What is known about a metric, on a target or not; None for a name that means nothing here."""
    base, target = base_metric(name)
    info = KNOWN_METRICS.get(base)
    if info is None or not target:
        return KNOWN_METRICS.get(name)
    if base not in MEASURED_ON_TARGETS:
        return None
    return replace(
        info,
        kind="measured",
        label=f"{info.label} on {target}",
        short=f"{info.short} on {target}",
        refused="",
    )


@dataclass(frozen=True)
class Fidelity:
    """How much was spent on a trained metric.

    Attributes:
        epochs: Epochs trained when the metric was taken.
        max_epochs: Epochs of the full recipe.
        resolution: Side of the square training images, in pixels.
        width: Width of the trained network as a fraction of the searched network's.
        data_fraction: Fraction of the training set used.
        dataset: Name of the data set.
        precision: What the network computed in.
    """

    epochs: int
    max_epochs: int
    resolution: int
    width: float = 1.0
    data_fraction: float = 1.0
    dataset: str = ""
    precision: str = "fp32"

    @property
    def full(self) -> bool:
        """Whether the whole recipe was spent."""
        return self.epochs >= self.max_epochs

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fidelity:
        return cls(**data)


@dataclass(frozen=True)
class Metric:
    """One number with its provenance.

    Attributes:
        name: The metric's name, the unit in it.
        value: The value, finite.
        source: How it was obtained.
        low: Lower end of the 95 % interval, or None where there is none.
        high: Upper end of the 95 % interval.
        fidelity: What was spent, for trained metrics.
        n: Number of seeds the value is the mean of.
        detail: Anything else worth keeping (a counting convention, a measurement's settings).

    Raises:
        ValueError: If the value is not finite or the source is unknown.
    """

    name: str
    value: float
    source: Source
    low: float | None = None
    high: float | None = None
    fidelity: Fidelity | None = None
    n: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"metric {self.name!r} is {self.value}, which is not a finite number")
        if self.source not in get_args(Source):
            raise ValueError(f"metric {self.name!r} has the unknown source {self.source!r}")

    @property
    def sigma(self) -> float:
        """Standard error implied by the 95 % interval; 0 for an exact value."""
        if self.low is None or self.high is None:
            return 0.0
        return (self.high - self.low) / (2 * _NORMAL_95)

    @property
    def image(self) -> tuple[int, int] | None:
        """(height, width) of the one image that a cost is of, None where that is not recorded."""
        size = self.detail.get("resolution")
        if isinstance(size, int):
            return size, size
        return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) else None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "value": self.value,
            "source": self.source,
            "low": self.low,
            "high": self.high,
            "fidelity": self.fidelity.to_json() if self.fidelity else None,
        }
        if self.n != 1:
            data["n"] = self.n
        if self.detail:
            data["detail"] = dict(self.detail)
        return data

    @classmethod
    def from_json(cls, name: str, data: Mapping[str, Any]) -> Metric:
        fidelity = data.get("fidelity")
        return cls(
            name=name,
            value=data["value"],
            source=cast(Source, data["source"]),
            low=data.get("low"),
            high=data.get("high"),
            fidelity=Fidelity.from_json(fidelity) if fidelity else None,
            n=data.get("n", 1),
            detail=data.get("detail", {}),
        )
