"""A benchmark case: what is compared, what it costs, and how it went."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from invsearch.errors import CheckError
from ops.involution.backends import TABLE, problem
from ops.involution.geometry import of_grad_kernel
from ops.timing import Comparison, DisagreementError, Roofline, Rule, check, compare

__all__ = [
    "Candidate",
    "Case",
    "Cost",
    "Result",
    "Settings",
    "available_backends",
    "measure_case",
    "threads",
]

Run = Callable[[], Any]
Enter = Callable[[contextlib.ExitStack], Run]
"""Makes a candidate ready; what it opens is closed after the measurement."""


@dataclass(frozen=True)
class Cost:
    """What one call costs, counted: multiply-adds, and the bytes that it must move at least."""

    macs: int
    moved_bytes: int

    @property
    def flops(self) -> int:
        """Two a multiply-add."""
        return 2 * self.macs


@dataclass(frozen=True)
class Candidate:
    """One of the things compared.

    Attributes:
        enter: Makes it ready; builds nothing before.
        cost: Of one call, or None where it is not counted.
        oracle: What it must compute the same as: another candidate's name, or work of its own;
            None if there is nothing to compare with.
        results: The same work, but returning what is checked, where a timed call drops it.
    """

    enter: Enter
    cost: Cost | None = None
    oracle: str | Enter | None = None
    results: Enter | None = None


@dataclass(frozen=True)
class Case:
    """Candidates for one piece of work.

    Attributes:
        name: `operator/shape/batch/mode/part`, or a composite's name.
        candidates: By name.
        reference: The candidate that speed-ups are over.
        skipped: Candidates that cannot run here, with the reason.
        facts: What else to keep with the result.
    """

    name: str
    candidates: Mapping[str, Candidate]
    reference: str
    skipped: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    threads: int = 1
    device: str = "cpu"
    cache: Any = "warm"
    rule: Rule = field(default_factory=Rule)
    quick: bool = False

    def quickly(self) -> Settings:
        """The same with short sampling: wide intervals, in a fraction of the time."""
        return replace(self, rule=Rule(7, 0.05, 0.1, 3.0, 0.02), quick=True)

    def patient(self) -> Settings:
        """The same for work that takes seconds a call: fewer samples, and time enough for them."""
        few = min(self.rule.min_samples, 9)
        most = max(self.rule.max_time, 20.0 if self.quick else 180.0)
        return replace(self, rule=replace(self.rule, min_samples=few, max_time=most))


@dataclass(frozen=True)
class Result:
    """A measured case."""

    name: str
    comparison: Comparison
    costs: Mapping[str, Cost]
    skipped: Mapping[str, str]
    facts: Mapping[str, Any]

    def rates(self, candidate: str, roof: Roofline) -> dict[str, float] | None:
        """`gflops`, `gbytes_per_s` and `roofline` (the part of it); None if nothing is counted."""
        cost, one = self.costs.get(candidate), self.comparison.measurements[candidate]
        if cost is None:
            return None
        return {
            "gflops": one.gflops(cost.flops),
            "gbytes_per_s": one.gbytes_per_s(cost.moved_bytes),
            "roofline": roof.fraction(cost.flops, cost.moved_bytes, one.median),
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "name": self.name,
            **self.comparison.as_dict(),
            "costs": {name: asdict(cost) for name, cost in self.costs.items()},
            "skipped": dict(self.skipped),
            "facts": dict(self.facts),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """The inverse of `as_dict`."""
        costs = {name: Cost(**cost) for name, cost in data["costs"].items()}
        comparison = Comparison.from_dict(data)
        return cls(data["name"], comparison, costs, data["skipped"], data["facts"])


def measure_case(case: Case, settings: Settings) -> Result:
    """Checks every candidate against its oracle, then measures all in turns.

    Raises:
        CheckError: If a candidate computes something else than its oracle; nothing is timed then.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(threads(settings.threads))
        runs = {name: one.enter(stack) for name, one in case.candidates.items()}
        _check(case, runs, stack)
        comparison = compare(
            runs,
            device=settings.device,
            reference=case.reference,
            cache=settings.cache,
            rule=settings.rule,
        )
    costs = {name: one.cost for name, one in case.candidates.items() if one.cost is not None}
    return Result(case.name, comparison, costs, case.skipped, case.facts)


def _check(case: Case, runs: Mapping[str, Run], stack: contextlib.ExitStack) -> None:
    """Compares each candidate that has an oracle with it; each oracle works once."""
    results = dict(runs)
    for name, one in case.candidates.items():
        if one.results is not None:
            results[name] = one.results(stack)
    shared = {name: functools.cache(run) for name, run in results.items()}
    for name, one in case.candidates.items():
        if one.oracle is None:
            continue
        oracle = shared[one.oracle] if isinstance(one.oracle, str) else one.oracle(stack)
        try:
            check(name, results[name](), oracle())
        except DisagreementError as error:
            raise CheckError(f"{case.name}: {error}") from error


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Sets torch's threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def available_backends(device: str = "cpu") -> tuple[list[str], dict[str, str]]:
    """Back ends of involution that can run on this device, fastest first, the others' reasons."""
    pixel = torch.empty((1, 1, 1, 1), device=device)
    geometry = of_grad_kernel(pixel, pixel, 1, 1, (1, 1), (0, 0), (1, 1))
    reasons = {row.name: problem(row, pixel, geometry) for row in TABLE}
    here = [name for name, reason in reasons.items() if reason is None]
    return here, {name: reason for name, reason in reasons.items() if reason is not None}
