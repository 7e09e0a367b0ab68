"""RedNet against ResNet on this machine, next to the published latencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from invsearch.models import PRESETS
from invsearch.paper.counted import network_of
from invsearch.paper.row import Row
from invsearch.paper.tables import published_table

__all__ = ["runtime"]

_RESOLUTION = 224  # of the paper's CPU timings
_QUANTITY = "latency_ms"
_RATIO = "latency_ratio"


def runtime(
    *,
    depths: Sequence[int] = tuple(PRESETS),
    devices: Sequence[str] | None = None,
    threads: int = 1,
    resolution: int = _RESOLUTION,
) -> list[Row]:
    """Measure every depth of both families at batch 1; other machines' numbers are not judged.

    Args:
        depths: The depths.
        devices: Where to measure; default: the CPU, and the first CUDA device if there is one.
        threads: CPU threads.
        resolution: Side of the image, in pixels.

    Returns:
        A row for each network and device and one for the ratio of RedNet to ResNet, then the
        published latencies and ratios.
    """
    rows: list[Row] = []
    for device in devices or _devices():
        for depth in depths:
            rows += _pair(depth, device, threads, resolution)
    return [*rows, *_published()]


def _devices() -> list[str]:
    import torch

    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _pair(depth: int, device: str, threads: int, resolution: int) -> Iterator[Row]:
    from invsearch.latency import latency

    shape, place, values = (1, 3, resolution, resolution), f"{device} / 1", []
    for name in (f"RedNet-{depth}", f"ResNet-{depth}"):
        metric = latency(network_of(name), shape=shape, device=device, threads=threads)
        values.append(metric.value)
        how = f"measured here at {resolution} x {resolution}, threads: {threads}"
        if metric.low is not None and metric.high is not None:
            how += f", 95 % interval {metric.low:.1f} to {metric.high:.1f} ms"
        yield Row("runtime", f"{name} / {place}", _QUANTITY, "measured", None, how, metric.value)
    key = f"RedNet-{depth} : ResNet-{depth} / {place}"
    how = "ratio, of the two medians above"
    yield Row("runtime", key, _RATIO, "measured", None, how, values[0] / values[1])


def _published() -> Iterator[Row]:
    lines = published_table("runtime")
    for line in lines:
        key = " / ".join(filter(None, (line["model"], line["device"], line["batch"])))
        yield _not_ours(key, _QUANTITY, float(line["ms"]), line["status"], line["ms"])
    for line in lines:
        for other in lines:
            same = (line["device"], line["batch"]) == (other["device"], other["batch"])
            if same and line["model"] == "RedNet-50" and other["model"] == "ResNet-50":
                place = " / ".join(filter(None, (line["device"], line["batch"])))
                ratio = float(line["ms"]) / float(other["ms"])
                how = f"ratio, of two latencies: {line['status']}"
                yield _not_ours(f"RedNet-50 : ResNet-50 / {place}", _RATIO, ratio, how)


def _not_ours(key: str, quantity: str, published: float, status: str, printed: str = "") -> Row:
    how = "measured elsewhere"
    return Row("runtime", key, quantity, how, published, status, None, printed=printed)
