"""Measuring the latency of one trial's network again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from invsearch.errors import InputError
from invsearch.latency.measured import ask, metric
from invsearch.latency.target import Target
from invsearch.metrics import Metric
from invsearch.models import ModuleSpec, NetworkSpec, TaskSpec
from invsearch.runs import Replicate, describe
from invsearch.runs.environment import environment_id
from invsearch.space import Latency
from invsearch.takeaway.device import check_device
from invsearch.takeaway.pick import Pick, locked
from invsearch.takeaway.record import record, times
from invsearch.takeaway.subject import Subject

__all__ = ["Remeasured", "measure_subject", "remeasure", "why_not_recorded"]


@dataclass(frozen=True)
class Remeasured:
    """A latency measured again.

    Attributes:
        latency: What was measured now.
        recorded: The trial's mean over all measurements, if this one was added to it.
        reason: Why it was not added.
    """

    latency: Metric
    recorded: Metric | None = None
    reason: str = ""


def remeasure(
    picked: Pick,
    *,
    device: str | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
) -> Remeasured:
    """Measure the latency of a trial's full-size network, as a search does.

    A fresh process measures under the machine's lock on the device. Where the run is about latency
    and its settings and machine are the same as now, the value is added to the run as a replicate:
    the trial's latency becomes the mean of all its measurements. The trial's line never changes.

    Args:
        picked: The trial, in any state.
        device: ``cpu``, ``cuda``, ``cuda:N``; default: the run's.
        batch_size: Images at a time; default: the run's.
        threads: CPU threads; default: the run's.

    Raises:
        InputError: If there is no such device, a search of the run is going on, or the network is
            a detector or a segmenter.
        TrialError: If the measurement fails.
    """
    _timed(picked)
    own = picked.problem.file.latency or Latency()
    given = {"device": device, "batch_size": batch_size, "threads": threads}
    settings = own.model_copy(update={key: value for key, value in given.items() if value})
    check_device(settings.device)
    reason = why_not_recorded(picked, settings)
    if reason:
        return Remeasured(_measure(picked, settings), reason=reason)
    with locked(picked.folder):
        started = datetime.now(UTC)
        latency = _measure(picked, settings)
        first = picked.trial.metrics["latency_ms"]
        if _machine(latency) != _machine(first):
            reason = "the trial was measured on another machine or with another version of torch"
            return Remeasured(latency, reason=reason)
        if latency.detail.get("memory") != first.detail.get("memory"):
            reason = "the trial was measured in a process that gave its memory back between passes"
            return Remeasured(latency, reason=reason)
        replicate = Replicate(
            picked.trial.number,
            picked.trial.seed,
            {"latency_ms": latency},
            *times(started),
            environment=str(describe()["id"]),
            constraints=picked.problem.violations({"latency_ms": latency}),
        )
        return Remeasured(latency, record(picked, replicate).metrics["latency_ms"])


def measure_subject(
    subject: Subject,
    *,
    device: str | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
) -> Remeasured:
    """Measure the latency of a network by name, or of one that was kept, as a search does.

    Raises:
        InputError: If there is no such device, or an operator is not registered.
        TrialError: If the measurement fails.
    """
    given = {"device": device, "batch_size": batch_size, "threads": threads}
    settings = Latency().model_copy(update={key: one for key, one in given.items() if one})
    check_device(settings.device)
    subject.fresh()  # registers the operators that it needs
    return Remeasured(_measure(subject, settings))


def why_not_recorded(picked: Pick, settings: Latency) -> str:
    """Why a latency measured with these settings is no replicate of the trial's; empty if it is."""
    if "latency_ms" not in picked.problem.wanted:
        return "latency is neither an objective nor a constraint of the run"
    if settings != picked.problem.file.latency:
        return "the run measures latency with other settings"
    metric = picked.trial.metrics.get("latency_ms")
    if metric is None or metric.source != "measured":
        return f"the trial is {picked.trial.state} and has no latency of its own"
    return ""


def _measure(picked: Pick | Subject, settings: Latency) -> Metric:
    side = settings.resolution or picked.resolution
    spec = _timed(picked)
    shape = (settings.batch_size, spec.in_channels, side, side)
    return metric(ask(spec, shape, Target.of(settings, undisturbed=False)))


def _timed(picked: Pick | Subject) -> NetworkSpec | ModuleSpec:
    """The network, where it is one that is timed."""
    spec = picked.spec
    if isinstance(spec, TaskSpec):
        raise InputError(
            f"{picked.name} has the task {spec.task}: networks that classify are timed, detectors "
            "and segmenters are not"
        )
    return spec


def _machine(latency: Metric) -> str:
    return environment_id(latency.detail.get("environment", {}))
