"""When to stop sampling, and in which order to take turns."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ops.timing.clock import Clock, Run
from ops.timing.conditions import core
from ops.timing.statistics import LEAST_SAMPLES, relative_width

__all__ = ["Rule", "Timer", "sample"]


@dataclass(frozen=True)
class Rule:
    """How long to sample: until all three criteria are met, or the time limit is reached.

    Attributes:
        min_samples: Samples of each, at least; six or more, for a 95 % interval.
        min_time: Seconds of sampling, at least.
        max_width: Relative width of the median's 95 % interval, at most: 0.05 is five percent.
        max_time: Seconds of sampling, at most; at least one sample is taken.
        warmup_time: Seconds of calls before the first sample, of each; at least two calls.
        sample_time: Seconds a sample takes, about: the mean of so many calls.
    """

    min_samples: int = 20
    min_time: float = 0.2
    max_width: float = 0.05
    max_time: float = 10.0
    warmup_time: float = 0.1
    sample_time: float = 1e-3

    def __post_init__(self) -> None:
        if self.min_samples < LEAST_SAMPLES:
            raise ValueError(
                f"measure: min_samples = {self.min_samples} must be at least {LEAST_SAMPLES}: "
                "fewer have no 95 % interval"
            )
        if self.max_width <= 0:
            raise ValueError(f"measure: max_width = {self.max_width} must be above 0")

    def missed(self, samples: int, passed: float, width: float) -> str | None:
        """Which criterion is not met yet, in words; None if every one is."""
        if samples < self.min_samples:
            return f"{samples} of {self.min_samples} samples within {self.max_time:g} s"
        if passed < self.min_time:
            return f"{passed:.2g} of {self.min_time:g} s of sampling within {self.max_time:g} s"
        if width > self.max_width:
            return (
                f"an interval of {width:.1%} where {self.max_width:.1%} was asked for "
                f"within {self.max_time:g} s"
            )
        return None


@dataclass
class Timer:
    """Takes the samples of one piece of work; `moved` are those that ended on another core."""

    run: Run
    clock: Clock
    flush: Run
    single: bool = False
    primed: bool = False
    warmup_calls: int = 0
    call_time: float = 0.0
    calls: int = 1
    moved: int = 0
    samples: list[float] = field(default_factory=list)

    def warm_up(self, rule: Rule) -> None:
        """Calls until the rule's warm-up has passed, and sets the calls of a sample.

        With `single` a sample is one call: the cache is flushed before each.
        """
        begin, times = time.perf_counter(), [self.clock(self.run, 1)]
        while len(times) < 2 or time.perf_counter() - begin < rule.warmup_time:
            times.append(self.clock(self.run, 1))
        self.warmup_calls = len(times)
        if not self.single:
            self.calls = max(1, math.ceil(rule.sample_time / max(min(times[1:]), 1e-9)))
        self.call_time = min(times[1:])

    def take(self) -> None:
        """Takes one more sample; with `primed`, after a call that does not count."""
        if self.primed:
            self.run()
        self.flush()
        where = core()
        self.samples.append(self.clock(self.run, self.calls) / self.calls)
        self.moved += core() != where


PRIMED_SECONDS = 0.25  # of a call; longer ones hardly feel what a neighbour left in the cache

Width = Callable[[Sequence[Timer]], float]


def widest(timers: Sequence[Timer]) -> float:
    """The largest relative width of the medians' intervals."""
    return max(relative_width(timer.samples) for timer in timers)


def sample(timers: Sequence[Timer], rule: Rule, width: Width = widest) -> str | None:
    """Warms up, then samples in rounds until the rule is met; returns which criterion was missed.

    A round takes one sample of each, in an order that is shuffled anew (seeded), so that nobody
    always runs after the same neighbour. Where the cache is to be warm, a call that does not count
    comes first: otherwise the neighbour's data would be there. Calls longer than a quarter of a
    second go without. The width is looked at each time that there are a tenth
    more samples: looking after every one would stop at the luckiest moment.
    """
    for timer in timers:
        timer.warm_up(rule)
        timer.primed = len(timers) > 1 and not timer.single and timer.call_time < PRIMED_SECONDS
    order, shuffler = list(timers), random.Random(0)
    begin, look, rounds = time.perf_counter(), rule.min_samples, 0
    while True:
        shuffler.shuffle(order)
        for timer in order:
            timer.take()
        rounds += 1
        passed = time.perf_counter() - begin
        late = passed >= rule.max_time
        if rounds < look and not late:
            continue
        look = max(look, math.ceil(1.1 * rounds))
        missed = rule.missed(rounds, passed, width(timers))
        if missed is None or late:
            return missed
