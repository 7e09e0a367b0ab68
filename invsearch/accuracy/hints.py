"""Hints: what cheap sources say of architectures, for a search to weigh and a page to judge.

A source that needs a network takes seconds, and a search scores thousands of candidates. So it is
asked about a sample of the space once, and a model of its answers speaks for the others
(:mod:`invsearch.search.source_hints`). What was told is kept in the run's folder.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from invsearch.accuracy.proxies import Proxy, proxy_values
from invsearch.accuracy.told import HINTS, ONCE, SUPERNET, Line, Lines, described
from invsearch.plugins import PROXIES

if TYPE_CHECKING:
    from invsearch.accuracy.supernet import Supernet
    from invsearch.accuracy.trained import Trained
    from invsearch.space.architecture import Architecture
    from invsearch.space.parameter import Parameter

__all__ = ["Hints"]

_ASKED = 2  # architectures for each number that an additive model of the space has to learn
_VALUES = 9  # of a parameter, at most: neighbours on a long range are alike
_LEAST, _MOST = 16, 96  # architectures: 10 to 100 s of one core for the shipped space
_SAYS = "error"  # what a supernet is asked for: its loss misleads once it overfits


class Hints:
    """What the sources of ``accuracy.sources`` say.

    Args:
        trained: What trains the space's networks.
        names: ``supernet`` and rows of :data:`invsearch.plugins.PROXIES`.
        folder: The run's.
    """

    def __init__(self, trained: Trained, names: Iterable[str], folder: Path) -> None:
        self._trained, self._folder = trained, folder
        self._names = tuple(names)
        self._lines = Lines(folder / HINTS, described(trained.setting))

    @property
    def counted(self) -> tuple[str, ...]:
        """The sources that are closed forms: asked about every candidate."""
        return tuple(name for name in self._names if self._is_counted(name))

    @property
    def sampled(self) -> tuple[str, ...]:
        """The others: asked about a sample."""
        return tuple(name for name in self._names if not self._is_counted(name))

    def prepare(self, say: Callable[[str], None]) -> None:
        """Train the supernet, where there is one, and ask about a sample; or go on with that."""
        if SUPERNET in self._names and not self._supernet.trained:
            say("training the supernet of the space (experimental): a source of hints")
            self._supernet.train()
            self._lines.add(Line(ONCE, SUPERNET, 0, {}, self._supernet.cpu_seconds))
        if self.sampled:
            say(f"asking {', '.join(self.sampled)} about {len(self.sample)} architectures")
            for architecture in self.sample:
                self.ask(architecture, self.sampled)

    @cached_property
    def sample(self) -> tuple[Architecture, ...]:
        """The architectures that are asked about first, always the same."""
        rng, space = random.Random(0), self._trained.setting.space
        free = sum(_free(parameter) for parameter in space.parameters)
        asked = min(_MOST, max(_LEAST, _ASKED * free))
        return tuple(dict.fromkeys(space.sample(rng) for _ in range(asked)))

    def ask(
        self, architecture: Architecture, names: Iterable[str] | None = None
    ) -> dict[str, float]:
        """By name, what sources say of an architecture; nothing where one cannot tell.

        Args:
            architecture: A point of the space.
            names: Of the sources; None for all.
        """
        found: dict[str, float] = {}
        for name in self._names if names is None else names:
            found |= _said(name, self._ask(name, architecture))
        return found

    def count(self, architecture: Architecture) -> dict[str, float]:
        """By name, what the closed forms among the sources say of an architecture."""
        subject = self._trained.subject(architecture)
        return {k: v for name in self.counted for k, v in proxy_values(name, subject).items()}

    def _ask(self, name: str, architecture: Architecture) -> Mapping[str, float]:
        work = partial(self._told, name, architecture)
        return self._lines.ask(architecture.key, name, 0, work).values

    def _told(self, name: str, architecture: Architecture) -> dict[str, float]:
        if name != SUPERNET:
            return proxy_values(name, self._trained.subject(architecture))
        found = self._supernet.metrics(architecture)
        return {metric: one.value for metric, one in found.items()}

    @staticmethod
    def _is_counted(name: str) -> bool:
        return name != SUPERNET and PROXIES.get(name, Proxy).counted

    @cached_property
    def _supernet(self) -> Supernet:
        return self._trained.supernet(self._folder / SUPERNET)


def _free(parameter: Parameter) -> int:
    """How many values a parameter has beside the first; of a continuous one a few."""
    return int(min(_VALUES, parameter.cardinality)) - 1


def _said(name: str, values: Mapping[str, float]) -> dict[str, float]:
    """What is a hint of what a source told."""
    if name != SUPERNET:
        return dict(values)
    return {SUPERNET: values[_SAYS]} if _SAYS in values else {}
