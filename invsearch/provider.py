"""Provider: gives metrics of an architecture, and says what they are before it is asked for any.

``cost``, ``latency`` and ``accuracy`` each have a table of providers; ``problem`` puts those that a
space file asks for together, and the search and the dry run read what they say of themselves.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from invsearch.metrics import (
    KNOWN_METRICS,
    Metric,
    MetricInfo,
    Source,
    base_metric,
    metric_info,
)
from invsearch.plugins import PROVIDERS, PluginError

if TYPE_CHECKING:
    from pathlib import Path

    from invsearch.evaluation import Evaluation
    from invsearch.models import NetworkSpec, SearchedSpec
    from invsearch.runs import RunFolder
    from invsearch.space import Accuracy, Latency, Space
    from invsearch.space.architecture import Architecture

__all__ = ["Provider", "Setting", "When", "learn_metrics", "providers"]

_SAMPLED = 32  # architectures: of a dozen choices each is in some of them

When = Literal["before", "alone", "after"]
"""When a provider's metrics are known: ``before`` an evaluation, cheaply and as often as asked;
``alone``, on the driver's machine while nothing else runs there; ``after`` an evaluation."""


@dataclass(frozen=True)
class Setting:
    """What a space file asks of its providers.

    Attributes:
        wanted: The metrics that every complete trial must have.
        space: What is searched.
        spec: The network of an architecture, a task's backbone included.
        searched: What costs are of: the network, or the detector or segmenter around it.
        resolution: Side of the images that a network without a task is counted for.
        latency: The section of that name.
        accuracy: The section of that name.
        rungs: Epochs after which a stopped trial's metrics are taken.
    """

    wanted: tuple[str, ...]
    space: Space
    spec: Callable[[Mapping[str, object]], NetworkSpec]
    searched: Callable[[Mapping[str, object]], SearchedSpec]
    resolution: int
    latency: Latency | None = None
    accuracy: Accuracy | None = None
    rungs: frozenset[int] = field(default_factory=frozenset)

    @property
    def tasks(self) -> bool:
        """Whether the networks are detectors or segmenters."""
        return "task" in (*self.space.names, *self.space.constants)

    def sampled_specs(self) -> list[SearchedSpec]:
        """What some architectures describe, always the same ones."""
        rng = random.Random(0)
        return [self.searched(self.space.sample(rng)) for _ in range(_SAMPLED)]

    def wants(self, kind: str) -> bool:
        """Whether a metric of that kind is wanted; see :class:`invsearch.metrics.MetricInfo`."""
        infos = [metric_info(name) for name in self.wanted]
        return any(info is not None and info.kind == kind for info in infos)


class Provider(ABC):
    """Gives one or more metrics of an architecture.

    Attributes:
        metrics: The names of all that it may give.
        source: Where they come from.
        when: When they are known.
        works: Whether giving them is work worth another process.
        infos: What there is to know of those metrics that :mod:`invsearch.metrics` does not know.
    """

    metrics: ClassVar[tuple[str, ...]]
    source: ClassVar[Source]
    when: ClassVar[When]
    works: ClassVar[bool] = False
    infos: ClassVar[Mapping[str, MetricInfo]] = {}

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @property
    def elsewhere(self) -> bool:
        """Whether some of it is done on other machines, which takes a cluster."""
        return False

    @property
    def names(self) -> tuple[str, ...]:
        """Of ``metrics`` those that it gives here, with the target's name where there is one."""
        return self.metrics

    @classmethod
    @abstractmethod
    def serves(cls, setting: Setting) -> bool:
        """Whether a space file asks for it."""

    def check(self) -> None:
        """Check, before anything is spent, that it can give what it should.

        Raises:
            InputError: If it cannot.
        """
        return

    def prepare(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Do once what it needs, before anything else runs on the machine.

        Args:
            folder: The run's folder, locked, where what is found out is kept.
            say: Tells the user what takes time.

        Raises:
            InputError: If it cannot be done.
        """
        return

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        """The metrics of an architecture, of a provider whose metrics are not ``after``.

        Args:
            architecture: A point of the space.
            earlier: Of the same names, what providers before it gave.
        """
        return {}

    @property
    def audited(self) -> tuple[str, ...]:
        """Names of metrics that it can measure of several networks in turns."""
        return ()

    def unreached(self, name: str, known: Sequence[Metric]) -> str | None:
        """Why a metric cannot be measured in turns here and now; None where it can.

        Args:
            name: One of :attr:`audited`.
            known: What the trials have of it.
        """
        return None

    def audit(self, name: str, architectures: Sequence[Architecture]) -> list[Metric]:
        """Measure a metric of architectures in turns, so that what drifts drifts for all alike.

        Returns:
            Of each; ``detail["ties"]`` holds the places of those that it cannot be told from.

        Raises:
            TrialError: If they cannot be measured.
        """
        raise NotImplementedError

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation | None:
        """What gives the metrics step by step, of a provider whose metrics are ``after``.

        Args:
            architecture: A point of the space.
            seed: Of everything random in it.
        """
        return None

    def test(self, architecture: Architecture, weights: Path) -> dict[str, Metric]:
        """Judge on the test set what an evaluation left; nothing where there is no such thing.

        Args:
            architecture: A point of the space.
            weights: A file :data:`invsearch.evaluation.WEIGHTS` of one of its evaluations.
        """
        return {}


def providers(wanted: Collection[str] = ()) -> list[type[Provider]]:
    """Every provider that may be asked, ours first, in the order in which they are asked.

    Third parties' are imported only where a metric is wanted that none of ours gives; their metrics
    are in :data:`invsearch.metrics.KNOWN_METRICS` from then on.

    Args:
        wanted: Names of metrics.

    Raises:
        PluginError: If a third party's is no provider, or says otherwise of a metric of ours.
    """
    ours = [_provider(name) for name in PROVIDERS.ours()]
    asked = {base_metric(name)[0] for name in wanted}
    if asked <= {metric for provider in ours for metric in provider.metrics}:
        return ours
    return ours + [_provider(name) for name in PROVIDERS if name not in PROVIDERS.ours()]


def _provider(name: str) -> type[Provider]:
    found = PROVIDERS.get(name, type)
    if not issubclass(found, Provider):
        raise PluginError(f"the {PROVIDERS.kind} {name!r} is {found.__name__}, no Provider")
    for metric, info in found.infos.items():
        if KNOWN_METRICS.setdefault(metric, info) != info:
            raise PluginError(f"the {PROVIDERS.kind} {name!r} cannot redefine {metric!r}")
    return found


def learn_metrics(name: str) -> bool:
    """Whether a metric of that name is known, third parties' included."""
    if metric_info(name) is None:
        providers([name])
    return metric_info(name) is not None
