"""A calibration that knows more of a network than the sum of its parts: what is counted of it.

Where a sum fails, it fails by what the network does between its parts: intermediate results and
weights that the nearer caches no longer hold, calls that a compiler fuses or an allocator serves.
How much of each a network has is counted from its closed form. A ridge regression learns what the
calibrated sum is off by from these shares, relative to the latency; its weight is chosen by leaving
out each of the networks once, and may be so large that the calibration stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.cost import layers
from invsearch.latency.calibration import Calibration, calibrate
from invsearch.models.network import NetworkSpec

__all__ = ["CountedCalibration", "calibrate_counted", "counted"]

Array = NDArray[np.float64]

_WEIGHTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, math.inf)
"""Of the ridge, over the number of networks: from nearly free to the calibration alone."""

_FLAT = 1e-9  # of a share's spread: what rounding leaves where all networks have the same


def counted(spec: NetworkSpec, resolution: tuple[int, int]) -> dict[str, float]:
    """What a network asks of a device, for one image.

    Args:
        spec: The network.
        resolution: (height, width) of the images.

    Returns:
        ``calls``: of layers; ``bytes`` moved at least; ``weights``: parameters; multiply-adds by
        what does them, ``macs.involution``, ``macs.convolution`` of blocks' operators, and
        ``macs.pointwise`` of what is around them.
    """
    found = {"calls": 0.0, "bytes": 0.0, "weights": 0.0}
    for row in layers(spec, resolution):
        found["calls"] += 1
        found["bytes"] += row.bytes
        found["weights"] += row.params
        kind = row.operator if row.name.endswith(".operator") else "pointwise"
        found[f"macs.{kind}"] = found.get(f"macs.{kind}", 0.0) + row.macs_fvcore
    return found


@dataclass(frozen=True)
class CountedCalibration:
    """``network = base(sum) * (1 + slopes . shares)``, shares of what is counted a millisecond.

    Attributes:
        base: Of the sums alone.
        names: Of what is counted.
        centre: Mean of each share over the networks of the fit.
        scale: Spread of each.
        slopes: Relative change of the latency per spread.
        weight: Of the ridge.
    """

    base: Calibration
    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    slopes: tuple[float, ...]
    weight: float

    def value(self, sum_ms: float, counts: Mapping[str, float]) -> float:
        """The latency of a network."""
        value = self.base.value(sum_ms)
        shares = np.array([counts.get(name, 0.0) / value for name in self.names])
        standard = (shares - np.array(self.centre)) / np.array(self.scale)
        return value * (1.0 + float(standard @ np.array(self.slopes)))


def calibrate_counted(
    sums_ms: Sequence[float], counts: Sequence[Mapping[str, float]], measured_ms: Sequence[float]
) -> CountedCalibration:
    """Fit to whole networks.

    Args:
        sums_ms: What the parts of each take together.
        counts: What is counted of each, by :func:`counted`.
        measured_ms: What each took.
    """
    base = calibrate(sums_ms, measured_ms)
    values = np.array([base.value(one) for one in sums_ms])
    names = sorted({name for one in counts for name in one})
    shares = np.array([[one.get(name, 0.0) for name in names] for one in counts]) / values[:, None]
    centre, scale = shares.mean(0), shares.std(0)
    varied = scale > _FLAT * np.abs(centre)
    kept = [name for name, varies in zip(names, varied, strict=True) if varies]
    standard = (shares[:, varied] - centre[varied]) / scale[varied]
    off = np.array(measured_ms) / values - 1.0
    weight = min(_WEIGHTS, key=lambda one: _left_out(standard, off, one))
    return CountedCalibration(
        base,
        tuple(kept),
        tuple(centre[varied].tolist()),
        tuple(scale[varied].tolist()),
        tuple(_ridge(standard, off, weight).tolist()),
        weight,
    )


def _ridge(standard: Array, off: Array, weight: float) -> Array:
    count, terms = standard.shape
    if math.isinf(weight) or not terms:
        return np.zeros(terms)
    gram = standard.T @ standard + weight * count * np.eye(terms)
    return np.asarray(np.linalg.solve(gram, standard.T @ off))


def _left_out(standard: Array, off: Array, weight: float) -> float:
    """Sum of squares of what each network is off by where the others alone are fitted."""
    total = 0.0
    for left in range(len(off)):
        rest = np.arange(len(off)) != left
        slopes = _ridge(standard[rest], off[rest], weight)
        total += float((off[left] - standard[left] @ slopes) ** 2)
    return total
