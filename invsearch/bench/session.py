"""One run of the benchmarks: cases by name, measured one after the other, as one document."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

import ops
from invsearch._version import __version__
from invsearch.bench.case import Case, Result, Settings, measure_case, threads
from invsearch.bench.case_worker import measure_apart
from invsearch.bench.layers import bare_case, layer_case
from invsearch.bench.memory import BACKENDS, ExtraMemory, extra_memory
from invsearch.bench.reach import CLAIMS, ReachOutcome, outcome, reach_cases
from invsearch.bench.shapes import REDNET50
from invsearch.bench.study import study_cases, study_rows
from invsearch.bench.throughput import throughput_cases
from invsearch.device_lock import alone
from invsearch.errors import InputError, TrialError, nearest
from ops.timing import Roofline, environment, roofline
from ops.timing.workload import Mode

__all__ = ["COMPOSITES", "SCHEMA", "BenchSession", "plan", "run"]

SCHEMA = 1  # of the JSON; rises with every change that readers must know of
COMPOSITES = ("reach", "study", "training")
MEMORY = "reach/memory"
MODES: tuple[Mode, ...] = ("forward", "backward")

Progress = Callable[[str], None]
Plan = list[tuple[str, Callable[[], Case]]]


@dataclass
class BenchSession:
    """What one run measured.

    Attributes:
        settings: How.
        roof: The machine's ceilings, measured in the same run.
        results: The cases.
        memory: Extra memory of one layer, if it was asked for.
        failures: Names of what could not run, with the reason.
        environment: Of the process that measured.
    """

    settings: Settings
    roof: Roofline
    results: list[Result] = field(default_factory=list)
    memory: list[ExtraMemory] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=environment)

    def outcomes(self) -> list[ReachOutcome]:
        """The claims whose cases were measured, with their ratios."""
        by_name = {result.name: result for result in self.results}
        found = [outcome(claim, by_name[claim.case]) for claim in CLAIMS if claim.case in by_name]
        return [one for one in found if one is not None]

    def as_dict(self) -> dict[str, Any]:
        """The document that `--json` prints and `--against` reads."""
        studied = [result for result in self.results if result.name.startswith("study/")]
        return {
            "schema": SCHEMA,
            "kind": "bench",
            "version": __version__,
            "environment": self.environment,
            "settings": asdict(self.settings),
            "roofline": self.roof.as_dict(),
            "cases": [result.as_dict() for result in self.results],
            "reach": [one.as_dict() for one in self.outcomes()],
            "memory": [one.as_dict() for one in self.memory],
            "study": [row for result in studied for row in study_rows(result, self.roof)],
            "failures": dict(self.failures),
        }


def plan(names: Sequence[str], settings: Settings) -> Plan:
    """The cases that these names ask for.

    Args:
        names: Registered operators, `reach`, `study` or `training`, or the beginning of a case's
            name up to a slash (`involution/s1`, `reach/layers`); none of them: every operator.
        settings: Quickly: fewer of each.

    Raises:
        InputError: If nothing is called so; names the nearest.
    """
    known = list(_every_case(settings))
    if not names:
        return [case for case in known if case[0].split("/")[0] not in COMPOSITES]
    chosen: Plan = []
    for name in names:
        found = [case for case in known if f"{case[0]}/".startswith(f"{name.rstrip('/')}/")]
        if not found:
            raise InputError(_unknown(name, [case[0] for case in known]))
        chosen += [case for case in found if case not in chosen]
    return chosen


def run(
    names: Sequence[str], settings: Settings, progress: Progress = lambda line: None
) -> BenchSession:
    """Measures the machine's ceilings and then the cases that `names` ask for.

    Each is timed with the device's lock held alone: a training there gives way for the length of a
    case (:mod:`invsearch.device_lock`).

    Raises:
        InputError: If a name is unknown, or the device is not there.
        CheckError: If a candidate computes something else than its oracle.
        TrialError: If the process of a composite case fails, or others do not give way.
    """
    _require_device(settings.device)
    cases = plan(names, settings)
    progress("ceilings of this machine")
    with alone(settings.device):
        session = BenchSession(settings, _roofline(settings))
    for number, (name, make) in enumerate(cases, start=1):
        progress(f"[{number}/{len(cases)}] {name}")
        if name == MEMORY:
            _measure_memory(session)
        elif name.startswith("reach/"):
            with alone(settings.device):
                session.results.append(measure_apart(name, settings.patient()))
        else:
            case = make()
            with alone(settings.device):
                session.results.append(measure_case(case, settings))
        gc.collect()
    return session


def _require_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"bench: device {device!r} cannot be used: {reason}") from error


def _roofline(settings: Settings) -> Roofline:
    with threads(settings.threads):
        return roofline(settings.device)


def _measure_memory(session: BenchSession) -> None:
    for candidate in BACKENDS:
        if ops.backends().get(candidate, "available") != "available":
            session.failures[f"{MEMORY}/{candidate}"] = ops.backends()[candidate]
            continue
        try:
            session.memory.append(extra_memory(candidate, session.settings.threads))
        except TrialError as error:
            session.failures[f"{MEMORY}/{candidate}"] = str(error)


def _every_case(settings: Settings) -> Iterator[tuple[str, Callable[[], Case]]]:
    for operator in ops.names():
        yield from _operator_cases(operator, settings)
    yield from reach_cases(settings)
    yield MEMORY, _no_case
    yield from study_cases(settings)
    yield from throughput_cases(settings)


def _operator_cases(operator: str, settings: Settings) -> Iterator[tuple[str, Callable[[], Case]]]:
    shapes = [s for s in REDNET50 if not settings.quick or s.name in ("s1", "s2", "s3", "s4")]
    for batch in (1,) if settings.quick else (1, 8):
        for mode in MODES[:1] if settings.quick else MODES:
            for shape in shapes:
                arguments: Any = (shape, batch, mode, settings.device)
                name = f"{operator}/{shape.name}/b{batch}/{mode}"
                yield f"{name}/layer", functools.partial(layer_case, operator, *arguments)
                if operator == "involution":
                    yield f"{name}/bare", functools.partial(bare_case, *arguments)


def _no_case() -> Case:
    raise AssertionError("memory is not timed")


def _unknown(name: str, cases: Sequence[str]) -> str:
    tops = list(dict.fromkeys(case.split("/")[0] for case in cases))
    hint = nearest(name, [*tops, *cases])
    return f"bench: nothing is called {name!r}{hint}; there are: {', '.join(tops)}"
