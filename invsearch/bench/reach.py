"""The composite cases behind the project's claims: sums of layers, whole networks, memory.

Speed-ups are medians of the rounds' ratios, the candidates in turns in one process.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from invsearch.bench.case import Case, Result, Settings
from invsearch.bench.composites import bare_compiled_case, layers_case, training_case
from invsearch.bench.goal import Goal, Reached
from invsearch.bench.networks import compiled_networks_case, networks_case, unfold_network_case
from invsearch.bench.shapes import REDNET50
from ops.timing import Interval

__all__ = ["CLAIMS", "Claim", "ReachOutcome", "outcome", "reach_cases"]

BATCHES = (1, 8)  # images: an answer at a time, and what two cores take as a batch
WINDOWS = tuple(shape for shape in REDNET50 if shape.kernel_size == 7)


@dataclass(frozen=True)
class Claim:
    """One ratio that the operator must reach.

    Attributes:
        case: Name of the case that measures it.
        what: In words.
        candidate: Whose speed-up.
        over: The references; the fastest of them counts.
        at_least: The ratio that must be reached.
        aim: The ratio that is aimed at.
        device: What it is claimed of; one thread of a CPU unless said otherwise.
    """

    case: str
    what: str
    candidate: str
    over: tuple[str, ...]
    at_least: float
    aim: float
    device: str = "cpu"


@dataclass(frozen=True)
class ReachOutcome:
    """A claim and the measured ratio."""

    claim: Claim
    over: str
    ratio: Interval

    @property
    def reached(self) -> Reached:
        """The verdict on the ratio."""
        return Goal(self.claim.at_least, self.claim.aim).reached(self.ratio)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        ratio = {"ratio": self.ratio.value, "low": self.ratio.low, "high": self.ratio.high}
        return {**asdict(self.claim), "over": self.over, **ratio, "reached": self.reached}


def _claims() -> Iterator[Claim]:
    unfused = ("native", "torch")
    for batch, least, aim, fused, fused_aim in ((1, 50, 65, 1.9, 2.5), (8, 80, 100, 2.2, 2.5)):
        name, what = f"reach/layers/b{batch}", f"generation + aggregation of 17, {_images(batch)}"
        yield Claim(name, what, "default", ("unfold",), least, aim)
        yield Claim(name, what, "default", unfused, fused, fused_aim)
    for shape in WINDOWS:
        name, what = f"reach/bare/{shape.name}", f"bare operator, {shape.name}, 8 images"
        yield Claim(name, what, "default", ("unfold",), 35, 60)
        yield Claim(name, what, "default", ("compiled torch form",), 3, 5)
    training = "training step of the 16 K = 7 layers, 8 images"
    yield Claim("reach/training", training, "default", ("unfold",), 30, 45)
    for batch in BATCHES:
        what = f"RedNet-50, eval, {_images(batch)}"
        yield Claim(f"reach/network/b{batch}", what, "default", ("unfold",), 8, 10)
    for batch in BATCHES:
        what = f"RedNet-50 over ResNet-50, eager, {_images(batch)}"
        yield Claim(f"reach/eager/b{batch}", what, "rednet50", ("resnet50",), 1.2, 1.4)
    for batch in BATCHES:
        what = f"RedNet-50 over ResNet-50, compiled and frozen, {_images(batch)}"
        yield Claim(f"reach/compiled/b{batch}", what, "rednet50", ("resnet50",), 1.28, 1.45)


def _images(batch: int) -> str:
    return "1 image" if batch == 1 else f"{batch} images"


CLAIMS: tuple[Claim, ...] = tuple(_claims())
"""The ratios, all with one thread in fp32; the extra memory of a layer is a claim of its own."""


def reach_cases(settings: Settings) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Names and makers of the composite cases; quickly: one image, two windows, not compiled."""
    device = settings.device
    batches: Sequence[int] = BATCHES[:1] if settings.quick else BATCHES
    windows = [s for s in WINDOWS if s.name in ("s1", "s3")] if settings.quick else WINDOWS
    makers: Mapping[str, Callable[[int, str], Case]] = {
        "layers": layers_case,
        "network": unfold_network_case,
        "eager": networks_case,
        **({} if settings.quick else {"compiled": compiled_networks_case}),
    }
    for kind, make in makers.items():
        for batch in batches:
            yield f"reach/{kind}/b{batch}", functools.partial(make, batch, device)
    for shape in windows:
        bare = functools.partial(bare_compiled_case, shape, 8, device, not settings.quick)
        yield f"reach/bare/{shape.name}", bare
    if not settings.quick:
        yield "reach/training", functools.partial(training_case, 8, device)


def outcome(claim: Claim, result: Result) -> ReachOutcome | None:
    """The measured ratio over the fastest reference; None if one of the names did not run."""
    medians = {name: one.median for name, one in result.comparison.measurements.items()}
    over = min((n for n in claim.over if n in medians), key=medians.__getitem__, default=None)
    if over is None or claim.candidate not in medians:
        return None
    ratio = result.comparison.speedup(claim.candidate, over)
    return ReachOutcome(claim, over, ratio) if math.isfinite(ratio.value) else None
