"""What the CIFAR-10 study's trainings say: per network, and a RedNet against its ResNet."""

from __future__ import annotations

import base64
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from invsearch.bench.cifar10.plan import FAMILIES

__all__ = ["lines", "summarised"]

Record = Mapping[str, Any]

_Z = 1.959964  # of a two-sided 95 % interval


def summarised(records: Sequence[Record], timings: Sequence[Record] = ()) -> dict[str, Any]:
    """Sum up finished trainings.

    Args:
        records: Of the trainings, each as its process reported it.
        timings: Of each network alone on the device.

    Returns:
        ``networks``, one row each, and ``pairs``, a RedNet against the ResNet of its depth.
    """
    names = dict.fromkeys(record["network"] for record in records)
    rows = [_network([r for r in records if r["network"] == name]) for name in names]
    depths = dict.fromkeys(record["depth"] for record in records)
    pairs = [_pair(records, depth, timings) for depth in sorted(depths)]
    return {"networks": rows, "pairs": [pair for pair in pairs if pair is not None]}


def lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as text."""
    found = []
    for row in summary["networks"]:
        error = row["test_error"]
        spread = "" if error["sd"] is None else f" +- {error['sd']:.2f}"
        found.append(
            f"{row['network']:<10} {row['params'] / 1e6:6.2f} M {row['macs'] / 1e6:6.1f} MMACs  "
            f"test error {error['mean']:.2f}{spread} % ({error['n']} seeds)"
        )
    return found + [pair["statement"] for pair in summary["pairs"]]


def _network(records: Sequence[Record]) -> dict[str, Any]:
    first = records[0]
    same = {key: first[key] for key in ("network", "family", "depth", "params", "macs")}
    return {
        **same,
        "seeds": [record["seed"] for record in records],
        "test_error": _spread(record["test"]["error"] for record in records),
        "test_loss": _spread(record["test"]["loss"] for record in records),
        "val_error": _spread(record["val"]["error"] for record in records),
        "val_loss": _spread(record["val"]["loss"] for record in records),
        "images_per_s": _spread(record["images_per_s"] for record in records),
        "seconds": _spread(record["seconds"] for record in records),
        "peak_memory_bytes": max(record["peak_memory_bytes"] for record in records),
    }


def _spread(values: Iterable[float | None]) -> dict[str, Any]:
    """Mean and standard deviation over seeds; a loss that was not finite counts as None."""
    known = [value for value in values if value is not None]
    mean = statistics.fmean(known) if known else None
    return {
        "mean": mean,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "n": len(known),
    }


def _pair(
    records: Sequence[Record], depth: int, timings: Sequence[Record]
) -> dict[str, Any] | None:
    """RedNet minus ResNet, over the seeds that both have; None without one."""
    by_family = {
        family: {r["seed"]: r for r in records if r["family"] == family and r["depth"] == depth}
        for family in FAMILIES
    }
    rednet, resnet = by_family["rednet"], by_family["resnet"]
    seeds = sorted(set(rednet) & set(resnet))
    if not seeds:
        return None
    one, other = rednet[seeds[0]], resnet[seeds[0]]
    pair = {
        "depth": depth,
        "rednet": one["network"],
        "resnet": other["network"],
        "seeds": seeds,
        "error_difference": _difference(rednet, resnet, seeds),
        "macs_ratio": one["macs"] / other["macs"],
        "params_ratio": one["params"] / other["params"],
        "images_per_s_ratio_alone": _speed(timings, one["network"], other["network"]),
    }
    return {**pair, "statement": _statement(pair)}


def _difference(
    rednet: Mapping[int, Record], resnet: Mapping[int, Record], seeds: Sequence[int]
) -> dict[str, Any]:
    """RedNet's test error minus ResNet's in percent, with two 95 % intervals.

    ``over_images`` is of the mean over the seeds, paired image by image: what other test images
    might change. ``over_seeds`` is Student's, from the differences of the seeds: what other seeds
    might; None with one seed.
    """
    differences = [rednet[seed]["test"]["error"] - resnet[seed]["test"]["error"] for seed in seeds]
    mean = statistics.fmean(differences)
    number = rednet[seeds[0]]["test"]["images"]
    images = np.mean(
        [_hits(resnet[seed], number) - _hits(rednet[seed], number) for seed in seeds], axis=0
    )
    margin = 100 * _Z * float(images.std(ddof=1)) / math.sqrt(number)
    return {
        "mean": mean,
        "by_seed": differences,
        "over_images": [mean - margin, mean + margin],
        "over_seeds": _student(differences),
    }


def _hits(record: Record, number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    packed = np.frombuffer(base64.b64decode(record["test_hits"]), dtype=np.uint8)
    return np.unpackbits(packed, count=number).astype(np.float64)


def _student(values: Sequence[float]) -> list[float] | None:
    if len(values) < 2:
        return None
    from scipy import stats

    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    mean = statistics.fmean(values)
    margin = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return [mean - margin, mean + margin]


def _speed(timings: Sequence[Record], rednet: str, resnet: str) -> dict[str, float]:
    """How much faster the RedNet trains alone on the device, without graphs and with."""
    found = {}
    for kind, graphs in (("eager", False), ("graphs", True)):
        speeds = {t["network"]: t["images_per_s"] for t in timings if t["graphs"] is graphs}
        if rednet in speeds and resnet in speeds:
            found[kind] = speeds[rednet] / speeds[resnet]
    return found


def _statement(pair: Mapping[str, Any]) -> str:
    difference, seeds = pair["error_difference"], len(pair["seeds"])
    low, high = difference["over_images"]
    over = difference["over_seeds"]
    spread = "" if over is None else f"; over seeds {over[0]:+.2f} to {over[1]:+.2f}"
    speeds = pair["images_per_s_ratio_alone"]
    speed = "".join(f", {ratio:.2f}x the training speed ({kind})" for kind, ratio in speeds.items())
    return (
        f"{pair['rednet']} errs {difference['mean']:+.2f} points against {pair['resnet']} "
        f"(95 % over test images {low:+.2f} to {high:+.2f}{spread}; {seeds} "
        f"seed{'s' if seeds > 1 else ''}) at {pair['macs_ratio']:.0%} of the MACs and "
        f"{pair['params_ratio']:.0%} of the parameters{speed}"
    )
