"""RedNet-50 beside ResNet-50 in every runtime that a person might choose, in turns in one process.

For each number of images all networks and runtimes take turns, in float32, each with as many
threads. The results are ratios of the rounds:

- ``rednet50/over-fastest-resnet50/N``: the fastest RedNet-50 over the fastest ResNet-50.
- ``rednet50/exported-over-ours/RUNTIME/N``: the time of what ``invsearch export`` writes, over that
  of the fastest RedNet-50 in torch. ``native-over-ours``: the same with ``--native``.
- ``rednet50/frozen-over-compiled/N``: the time of ``ops.freeze``, over that of ``torch.compile``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from invsearch.bench.case import Settings, threads
from invsearch.bench.networks import bench_network
from invsearch.device_lock import alone
from invsearch.latency.runtimes import Runtime
from invsearch.plugins import RUNTIMES
from ops.timing import Comparison, Interval, compare, environment

__all__ = ["IMAGES", "document", "rows_of", "runtimes_table"]

IMAGES = (1, 8)  # an answer at a time, and a batch

_NETWORKS = ("rednet50", "resnet50")
_IN_TORCH = ("torch", "frozen", "compiled")
_ELSEWHERE = ("onnxruntime", "openvino")
_PORTABLE = "_portable"

Say = Callable[[str], object]


def document(settings: Settings, say: Say) -> dict[str, Any]:
    """Measure everything that is installed.

    Args:
        settings: Threads, and when to stop.
        say: Told what is being measured.

    Returns:
        ``rows`` of ``name``, ``ratio``, ``low`` and ``high``; ``milliseconds`` of each network and
        runtime; ``skipped`` runtimes with the reason; ``environment``.
    """
    rows: list[dict[str, Any]] = []
    milliseconds: dict[str, float] = {}
    skipped: dict[str, str] = {}
    with threads(settings.threads):
        for images in IMAGES[:1] if settings.quick else IMAGES:
            measured = _compared(images, settings, skipped, say)
            rows += rows_of(measured, images)
            for name, one in measured.measurements.items():
                milliseconds[f"{name}/{images}"] = one.median_ms
    return {
        "schema": 1,
        "kind": "runtimes",
        "threads": settings.threads,
        "rows": rows,
        "milliseconds": milliseconds,
        "skipped": skipped,
        "environment": environment(),
    }


def rows_of(measured: Comparison, images: int) -> list[dict[str, Any]]:
    """The ratios of one number of images, from the names ``NETWORK/RUNTIME``."""
    medians = {name: one.median for name, one in measured.measurements.items()}

    def fastest(network: str, runtimes: tuple[str, ...] = ()) -> str:
        wanted = [f"{network}/{runtime}" for runtime in runtimes]
        names = [n for n in medians if (n in wanted if wanted else n.startswith(f"{network}/"))]
        return min(names, key=medians.__getitem__)

    ours, theirs = fastest("rednet50", _IN_TORCH), fastest("resnet50")
    lead = measured.speedup(fastest("rednet50"), theirs)
    rows = [_row(f"rednet50/over-fastest-resnet50/{images}", lead)]
    for runtime in _ELSEWHERE:
        for what, name in (("exported", f"{runtime}{_PORTABLE}"), ("native", runtime)):
            if f"rednet50/{name}" in medians:
                took = measured.speedup(ours, f"rednet50/{name}")
                rows.append(_row(f"rednet50/{what}-over-ours/{runtime}/{images}", took))
    if "rednet50/compiled" in medians:
        took = measured.speedup("rednet50/compiled", "rednet50/frozen")
        rows.append(_row(f"rednet50/frozen-over-compiled/{images}", took))
    return rows


def runtimes_table(found: Mapping[str, Any]) -> Any:
    """The document as a table."""
    from rich.table import Table

    table = Table("ratio", "value", "95 % interval")
    for row in found["rows"]:
        table.add_row(row["name"], f"{row['ratio']:.3g}", f"{row['low']:.3g} to {row['high']:.3g}")
    table.add_section()
    for name, took in found["milliseconds"].items():
        table.add_row(name, f"{took:.4g} ms", "")
    for name, reason in found["skipped"].items():
        table.add_row(name, "-", reason)
    return table


def _compared(images: int, settings: Settings, skipped: dict[str, str], say: Say) -> Comparison:
    x = torch.randn(images, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    runs: dict[str, Callable[[], Tensor]] = {}
    oracles: dict[str, Callable[[], Tensor]] = {}
    with torch.inference_mode():
        for name in _NETWORKS:
            network = bench_network(name)
            expected = network(x)
            convert_conv2d_weight_memory_format(network, torch.channels_last)
            for runtime in _runtimes(name, settings):
                reason = _problem(runtime)
                if reason is not None:
                    skipped[runtime] = reason
                    continue
                say(f"{name}, {images} images: {runtime} gets ready")
                key = f"{name}/{runtime}"
                runs[key] = _run(network, runtime, x)
                oracles[key] = _always(expected)
        say(f"{images} images: {len(runs)} in turns")
        rule = settings.patient().rule
        with alone(settings.device):
            return compare(runs, reference="resnet50/torch", oracles=oracles, rule=rule)


def _runtimes(network: str, settings: Settings) -> list[str]:
    """A ResNet has no involution: what is portable and what is not are one file of it."""
    portable = [f"{runtime}{_PORTABLE}" for runtime in _ELSEWHERE] if network == "rednet50" else []
    torch_ones = [one for one in _IN_TORCH if one != "compiled" or not settings.quick]
    return [*torch_ones, *_ELSEWHERE, *portable]


def _problem(runtime: str) -> str | None:
    return RUNTIMES.get(runtime, Runtime).problem("cpu", "fp32")


def _run(network: nn.Module, runtime: str, x: Tensor) -> Callable[[], Tensor]:
    prepared: Any = RUNTIMES.get(runtime, Runtime).prepare(network, x)
    return lambda: prepared(x)


def _always(expected: Tensor) -> Callable[[], Tensor]:
    return lambda: expected


def _row(name: str, ratio: Interval) -> dict[str, Any]:
    return {"name": name, "ratio": ratio.value, "low": ratio.low, "high": ratio.high}
