"""The Ray Tune executor: Tune schedules and retries, our study decides."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import NoopStopper, Stopper

from invsearch.evaluation import Progress
from invsearch.search.executors.evaluate import task_of
from invsearch.search.executors.ray.checkpoints import TUNE, Checkpoints
from invsearch.search.executors.ray.need import Need
from invsearch.search.executors.ray.preflight import preflight
from invsearch.search.executors.ray.presence import Presence
from invsearch.search.executors.ray.trainable import EvaluationTrainable, environment_of, unpack
from invsearch.search.session import Outcome, Session

if TYPE_CHECKING:
    from invsearch.search.study import Proposal

__all__ = ["run_ray"]

_WORKER_DEATHS = 2  # a node may go twice; what dies a third time dies of itself
_SETTLE_S = 4.0  # a lost node is noticed in 2 s; what starts on it before that dies at once, again


def run_ray(session: Session, need: Need, *, storage: str | None = None) -> None:
    """Evaluate on the connected Ray cluster until the session is finished.

    Args:
        session: The run.
        need: What one evaluation takes of a node.
        storage: A folder that all nodes share, for checkpoints; None for the run's own.

    Raises:
        KeyboardInterrupt: If the search was interrupted; what was in flight is an orphan.
        InputError: If a node cannot evaluate the space, or those that could are gone.
    """
    checkpoints = Checkpoints(session.folder, storage)
    shared = storage is not None
    autoscales = session.problem.file.cluster.autoscale  # then nodes come when they are needed
    for environment in preflight(session.problem, need, checkpoints.root, shared=shared):
        session.folder.add_environment(environment)
    session.discard = checkpoints.drop
    state = _Flight(session, need.threads, checkpoints)
    with tempfile.TemporaryDirectory(prefix="invsearch-tune-") as temporary:
        trainable = tune.with_resources(
            tune.with_parameters(EvaluationTrainable, problem=session.problem),
            need.bundle(),
        )
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                num_samples=-1,
                search_alg=_StudySearcher(state),
                scheduler=_RungScheduler(state),
                max_concurrent_trials=session.capacity,
                time_budget_s=session.remaining_s,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=TUNE,
                storage_path=str(checkpoints.root) if storage else temporary,
                verbose=0,
                stop=NoopStopper() if autoscales else _NodeStopper(state, Presence(need)),
                failure_config=tune.FailureConfig(max_failures=0),  # we try again, later
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()
    checkpoints.close(session.kept)
    if state.error is not None:
        raise state.error
    if not session.finished:
        raise KeyboardInterrupt


class _Flight:
    """What Tune's trials stand for; shared by the searcher and the scheduler."""

    def __init__(self, session: Session, threads: int, checkpoints: Checkpoints) -> None:
        self.session = session
        self.threads = threads
        self.checkpoints = checkpoints
        self.proposals: dict[str, Proposal] = {}
        self.stopped: set[str] = set()
        self.reasons: dict[str, str] = {}
        self._deaths: Counter[tuple[int, int]] = Counter()
        self._again: list[tuple[float, Proposal]] = []
        self.error: BaseException | None = None
        self._known: set[str] = set()

    def died(self, proposal: Proposal, reason: str) -> None:
        """Try a trial again whose worker died, after a while, or give it up."""
        key = (proposal.number, proposal.seed)
        self._deaths[key] += 1
        if self._deaths[key] <= _WORKER_DEATHS:
            due = time.monotonic() + _SETTLE_S * self._deaths[key]
            self._again.append((due, proposal))
        else:
            self.finish(proposal, Outcome(error=reason))

    def due(self) -> Proposal | None:
        """A trial that is to be tried again now."""
        if self._again and min(self._again, key=_when)[0] <= time.monotonic():
            first = min(self._again, key=_when)
            self._again.remove(first)
            return first[1]
        return None

    def finish(self, proposal: Proposal, outcome: Outcome) -> None:
        """Hand the session how an evaluation ended."""
        self.session.finish(proposal, outcome)

    def environment(self, described: Mapping[str, Any]) -> str:
        """The id of the environment that a worker described, which the folder then knows."""
        if described and described["id"] not in self._known:
            self.session.folder.add_environment(described)
            self._known.add(described["id"])
        return str(described.get("id", ""))

    def guard(self, action: Callable[[], Any], otherwise: Any) -> Any:
        """Keep an exception of ours for the end: inside Tune it would be reported as a bug."""
        try:
            return action()
        except Exception as error:
            self.error = self.error or error
            return otherwise


def _when(again: tuple[float, Proposal]) -> float:
    return again[0]


class _StudySearcher(Searcher):
    """Asks the session for proposals and hands it how they ended."""

    def __init__(self, flight: _Flight) -> None:
        super().__init__()
        self._flight = flight

    def __reduce__(self) -> tuple[Any, ...]:
        return _Nothing, ()  # Tune pickles its searcher; the study is the truth

    def suggest(self, trial_id: str) -> Any:
        """A configuration, None (nothing now), or ``Searcher.FINISHED``."""
        if self._flight.error is not None:
            return Searcher.FINISHED
        return self._flight.guard(lambda: self._suggest(trial_id), Searcher.FINISHED)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._flight.guard(lambda: self._complete(trial_id, result, error), None)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: resuming reads the study."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: resuming reads the study."""

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        session = self._flight.session
        proposal = self._flight.due() or session.ask()
        if proposal is None:
            return str(Searcher.FINISHED) if session.finished else None
        self._flight.proposals[trial_id] = proposal
        task = replace(
            task_of(session, proposal), folder=self._flight.checkpoints.of(proposal.number)
        )
        return {
            "task": task.to_json(),
            "threads": self._flight.threads,
            "trial_s": session.limit.trial_s,
            "reports": bool(session.halving.rungs) and session.problem.reports,
        }

    def _complete(self, trial_id: str, result: dict[str, Any] | None, error: bool) -> None:
        flight = self._flight
        proposal = flight.proposals.pop(trial_id, None)
        if proposal is None:
            return
        if flight.session.watch.out_of_time and (error or result is None):
            return
        if error or result is None:
            flight.died(proposal, flight.reasons.pop(trial_id, "the worker died"))
            return
        progress, outcome = unpack(result)
        stopped = trial_id in flight.stopped
        if not (progress.done or stopped):  # cut short with the search: evaluated when it resumes
            return
        where = flight.environment(environment_of(result))
        outcome = replace(outcome, stopped=stopped or outcome.stopped, environment=where)
        flight.finish(proposal, outcome)


class _RungScheduler(FIFOScheduler):
    """First in, first out, with the session's halving at the rungs."""

    def __init__(self, flight: _Flight) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._flight = flight

    def __reduce__(self) -> tuple[Any, ...]:
        return FIFOScheduler, ()

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if self._flight.error is not None:
            return str(TrialScheduler.STOP)
        decision = self._flight.guard(lambda: self._decide(trial.trial_id, result), None)
        return str(decision or TrialScheduler.STOP)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        reason = " ".join(str(trial.get_error() or "").split())[:300]
        self._flight.reasons[trial.trial_id] = (
            f"the worker died {_WORKER_DEATHS + 1} times, which is how running out of memory looks"
            f"{': ' if reason else ''}{reason}"
        )

    def _decide(self, trial_id: str, result: dict[str, Any]) -> str:
        progress: Progress = unpack(result)[0]
        if self._flight.session.judge(self._flight.proposals[trial_id], progress):
            self._flight.stopped.add(trial_id)
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)


class _NodeStopper(Stopper):
    """Ends the search when no node is left that could run a trial."""

    def __init__(self, flight: _Flight, presence: Presence) -> None:
        self._flight = flight
        self._presence = presence

    def __reduce__(self) -> tuple[Any, ...]:
        return NoopStopper, ()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._flight.guard(self._presence.check, None)
        return self._flight.error is not None


class _Nothing(Searcher):
    """What the searcher is pickled as."""

    def suggest(self, trial_id: str) -> Any:
        return Searcher.FINISHED
