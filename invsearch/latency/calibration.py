"""From the sum of a network's parts to the network: a ratio and a constant, and their doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration", "calibrate"]

Array = NDArray[np.float64]

_BOTH = 4  # networks from which on a constant is fitted beside the ratio
_LEAST = 0.25  # of the ratio's own value: a negative constant must not make a latency negative
_HUBER = 1.345  # 95 % efficient where residuals are normal
_ROUNDS = 30  # of reweighting, chosen: eight points settle in far fewer


@dataclass(frozen=True)
class Calibration:
    """``network = ratio * sum + constant``, fitted to whole networks by relative errors.

    Attributes:
        ratio: Milliseconds of the network per millisecond of the sum.
        constant_ms: Milliseconds beside that.
        spread: Standard deviation of the relative residuals, weighted as in the fit; NaN where
            nothing tells it.
        count: Networks it was fitted to.
        covariance: Of ratio and constant, in units of ``spread`` squared.
    """

    ratio: float = 1.0
    constant_ms: float = 0.0
    spread: float = math.nan
    count: int = 0
    covariance: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))

    def value(self, sum_ms: float) -> float:
        """The latency of a network whose parts take ``sum_ms`` together; always positive."""
        return max(self.ratio * sum_ms + self.constant_ms, _LEAST * self.ratio * sum_ms)

    def interval(self, sum_ms: float) -> tuple[float, float] | None:
        """Ends of the 95 % prediction interval, None where nothing tells them.

        Wider where the sum is far from those it was fitted to; it holds for the network's measured
        median, as the residuals that it comes from are of measurements too.
        """
        free = self.count - (2 if self.count >= _BOTH else 1)
        if free < 1 or math.isnan(self.spread):
            return None
        from scipy.special import stdtrit

        value = self.value(sum_ms)
        x = np.array([sum_ms, 1.0]) / value
        leverage = float(x @ np.array(self.covariance) @ x)
        factor = 1.0 + float(stdtrit(free, 0.975)) * self.spread * math.sqrt(1.0 + leverage)
        return value / factor, value * factor


def calibrate(sums_ms: Sequence[float], measured_ms: Sequence[float]) -> Calibration:
    """Fit by least squares of the relative errors, with Huber's weights.

    One network that was measured while the machine was busy then hardly moves the fit.

    Args:
        sums_ms: What the parts of each network take together.
        measured_ms: What each network took.

    Returns:
        The fit: a ratio alone below four networks, and where the constant would make larger sums
        faster; with no network the ratio is 1 and nothing tells the spread.
    """
    count = len(sums_ms)
    if count == 0:
        return Calibration()
    measured = np.array(measured_ms)
    both = np.stack([np.array(sums_ms), np.ones(count)], axis=1) / measured[:, None]
    design = both if count >= _BOTH else both[:, :1]
    fitted, weights = _fit(design)
    if fitted[0] <= 0:
        design = both[:, :1]
        fitted, weights = _fit(design)
    residuals = design @ fitted - 1.0
    free = float(weights.sum()) - design.shape[1]
    spread = math.sqrt(float(weights @ residuals**2) / free) if free > 0 else math.nan
    covariance = np.zeros((2, 2))
    terms = len(fitted)
    covariance[:terms, :terms] = np.linalg.pinv((design * weights[:, None]).T @ design)
    (a, b), (c, d) = covariance.tolist()
    constant = float(fitted[1]) if terms > 1 else 0.0
    return Calibration(float(fitted[0]), constant, spread, count, ((a, b), (c, d)))


def _fit(design: Array) -> tuple[Array, Array]:
    """Coefficients whose products with the design come nearest to 1, and the rows' weights."""
    weights = np.ones(len(design))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        fitted = np.linalg.lstsq(design * root[:, None], root, rcond=None)[0]
        off = np.abs(design @ fitted - 1.0)
        scale = 1.4826 * float(np.median(off))
        if len(design) < _BOTH or scale < 1e-9:
            break
        weights = np.minimum(1.0, _HUBER * scale / np.maximum(off, 1e-12))
    return np.asarray(fitted), weights
