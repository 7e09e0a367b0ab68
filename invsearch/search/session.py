"""Session: a run in progress - what is proposed, when it is told, and how much is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from invsearch.errors import InputError, TrialError
from invsearch.evaluation import Outcome, Progress
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.runs import Replicate, RunFolder
from invsearch.runs.tracebacks import keep_traceback
from invsearch.runs.trial import Trial
from invsearch.search.executors.executor import WorkerState
from invsearch.search.final import clear
from invsearch.search.halving import Halving
from invsearch.search.limits import Limit, Limits, Watch
from invsearch.search.points import Brought, Queue
from invsearch.search.promotion import Paused
from invsearch.search.proposal import Proposal, curve_point, failed_trial, infeasible_trial
from invsearch.search.replication import Replication
from invsearch.search.run_log import RunLog
from invsearch.search.server import StudyServer
from invsearch.search.study import SearchStudy
from invsearch.user_code.failure import UserCodeError, clean, describe_failure
from invsearch.user_code.guard import Guard

__all__ = ["Outcome", "Session"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Session:
    """A run in progress; executors take proposals from it and hand outcomes back.

    Args:
        problem: What is searched.
        folder: The run's folder, locked by the caller.
        environment: Id of the driver's environment.
        trials: The budget: complete, stopped and failed trials over all resumes.
        capacity: How many proposals may be out at a time.
        deterministic: Whether proposals are asked in batches of ``capacity``, told in order of
            number, and judged at rungs against earlier batches alone, so that the order in which
            evaluations end changes nothing.
        limits: What may end the search, or an evaluation, before.
        on_change: Called after every change, for a live view.
        server: Where the study is, if it is not in the folder's journal.
        say: Tells the user what an executor has to say, in a line.

    Attributes:
        log: What the run's folder is told.
        workers: Who evaluates what, where the executor knows.
        promotes: Whether what stops at a rung may go on later: its checkpoint is kept. Not where
            several drivers share a study, since each has checkpoints of its own.
        discard: Removes the checkpoints of a trial, wherever the executor keeps them.
    """

    def __init__(
        self,
        problem: Problem,
        folder: RunFolder,
        *,
        environment: str,
        trials: int,
        capacity: int,
        deterministic: bool = False,
        limits: Limits | None = None,
        on_change: Callable[[Session], None] = lambda session: None,
        server: StudyServer | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        search = problem.file.search
        self.problem = problem
        self.folder = folder
        self.trials_wanted = trials
        self.capacity = capacity
        self.on_change = on_change
        self.say = say
        self.workers: Sequence[WorkerState] = ()
        self.started = time.monotonic()
        self.watch = Watch(limits or Limits())
        self.exhausted = False
        self.replicated = 0
        self._environment = environment
        self._deterministic = deterministic
        self._batches = deterministic or problem.batches
        self._ready: deque[Proposal] = deque()
        self._out: dict[int, tuple[Proposal, str]] = {}
        self._held: dict[int, tuple[Proposal, Trial]] = {}
        self._batch_start = 0
        self.promotes = search.promote and bool(search.rungs) and server is None
        self.discard: Callable[[int], None] = lambda number: clear(folder.checkpoint_dir(number))
        self._queue = Queue(folder.path, problem.space)
        self._study = SearchStudy(folder.study_path, problem, server=server)
        self.resumed = len(self._study.finished)
        self.orphans = self._study.orphans
        free = not problem.needs_workers and not problem.measures
        self.log = RunLog(folder, problem, self._study, buffered=free and server is None)
        self._counted = self._count()
        self.watch.recall(self.endings)
        with self._study.asking():
            self._study.enqueue_baselines(problem.baselines())
        self._study.commit()
        self.halving = Halving(
            problem.objectives,
            search.rungs,
            search.reduction_factor,
            bounded=tuple(problem.file.constraints),
            violations=problem.violations,
        )
        self._rungs_known = 0
        self._take_arrived()
        self._paused = Paused(self.halving, lambda number: self.discard(number))
        if self.promotes:
            paused = [self._study.latest(number) for number in self._study.paused]
            self._paused.add([*paused, *self._study.recovered])
        self._replication = Replication(problem, folder, trials)

    @property
    def trials(self) -> list[Trial]:
        """The finished trials, in the order in which the study was told."""
        return self._study.finished

    @property
    def endings(self) -> list[Trial]:
        """How trials ended, in order; one that stopped and went on is there again."""
        return [trial for trial, _ in self._study.told]

    @property
    def counted(self) -> int:
        """Trials charged to the budget so far."""
        return self._counted

    @property
    def running(self) -> list[Proposal]:
        """What is being evaluated now."""
        return [proposal for proposal, _ in self._out.values()]

    @property
    def deterministic(self) -> bool:
        """Whether proposals come in batches of :attr:`capacity`, whoever is there to work."""
        return self._deterministic

    @property
    def limit(self) -> Limit:
        """How long an evaluation that begins now may take."""
        return self.watch.limit

    @property
    def remaining_s(self) -> float | None:
        """Seconds that the whole search has left; None for no limit."""
        self.watch.begin()
        end = self.watch.limit.search_end
        return None if end is None else max(0.0, end - time.monotonic())

    @property
    def finished(self) -> bool:
        """Whether nothing is left to ask for and nothing is out, or the time is up."""
        if self.watch.out_of_time:
            return True
        if self.watch.ended is not None:
            return not self._out
        if not self._spent or self._out or self._ready or self._may_promote():
            return False
        return not self._replication.early(1) and not self._replication.due(1)

    @property
    def _spent(self) -> bool:
        held = sum(proposal.promoted is None for proposal, _ in self._held.values())
        ended = self.counted + held + self._study.elsewhere
        return ended >= self.trials_wanted or self.exhausted

    def ask(self) -> Proposal | None:
        """Hand out the next proposal; None where there is none now (see :attr:`finished`).

        When the budget is spent these are further seeds of doubtful members of the front.
        """
        self.watch.begin()
        if self.watch.out_of_time or self.watch.ended is not None:
            return None
        if not self._ready and self._may_learn():
            limit = self.capacity if self._batches else 1
            self._ready.extend(self._replication.early(limit, self._out))
        if not self._ready and self._may_fill():
            self._fill(self.capacity if self._batches else 1)
        if not self._ready and self._spent and not self._out:
            self._ready.extend(self._replication.due(self.capacity))
        if not self._ready:
            return None
        proposal = self._ready.popleft()
        self._out[proposal.number] = (proposal, _now())
        self.on_change(self)
        return proposal

    def judge(self, proposal: Proposal, progress: Progress) -> bool:
        """Record what a trial reached at a rung and say whether it stops there.

        Baselines and replicates never stop: they are points of reference.
        """
        self._draw(proposal, progress)
        if progress.done or not progress.metrics or proposal.replicate:
            return False
        after = proposal.promoted or 0
        rung = self.halving.rung_at(proposal.number, progress.step, after)
        if rung is None:
            return False
        metrics = {**proposal.metrics, **progress.metrics}
        self._study.record_rung(proposal, rung, metrics)
        self.halving.record(proposal.number, rung, metrics, proposal.turn)
        if proposal.origin == "baseline":
            return False
        before = self._batch_start if self._deterministic else None
        return self.halving.stops(proposal.number, rung, before)

    def finish(self, proposal: Proposal, outcome: Outcome) -> None:
        """Take in how an evaluation ended: into the study, the log, the front."""
        self._draw(proposal, *outcome.untold)
        _, started = self._out.pop(proposal.number)
        if proposal.promoted is not None:
            started = self._study.latest(proposal.number).started
        trial = replace(self._trial_of(proposal, outcome), started=started, finished=_now())
        if proposal.replicate:
            self._finish_replicate(proposal, trial)
            return
        self._study.record(proposal.handle, trial)
        if not (self.promotes and trial.state == "stopped"):
            self.discard(proposal.number)
        self._held[proposal.number] = (proposal, trial)
        for number in sorted(self._held):
            if self._deterministic and any(other < number for other in self._pending()):
                break
            self._close(*self._held.pop(number))
        self.log.keep()
        self.on_change(self)

    def _draw(self, proposal: Proposal, *reached: Progress) -> None:
        """Keep what steps of an evaluation brought for its curve.

        It is written before a checkpoint of the step is, so that no step is missing after a kill.
        """
        if self.problem.needs_workers:
            points = [curve_point(proposal, progress) for progress in reached]
            self.folder.curves.append(point for point in points if point is not None)

    def kept(self, number: int) -> bool:
        """Whether a trial's checkpoints are wanted: it may go on, or is evaluated again."""
        waiting = {proposal.number for proposal in (*self._ready, *self._study.interrupted)}
        return any(number in those for those in (self._paused, self._out, self._held, waiting))

    def _finish_replicate(self, proposal: Proposal, trial: Trial) -> None:
        self.discard(proposal.number)
        if trial.state == "complete":
            self.folder.append_replicate(
                Replicate(
                    number=trial.number,
                    seed=trial.seed,
                    metrics={
                        name: metric
                        for name, metric in trial.metrics.items()
                        if name not in proposal.metrics
                    },
                    constraints=trial.constraints,
                    started=trial.started,
                    finished=trial.finished,
                    environment=trial.environment,
                )
            )
            self.replicated += 1
        else:
            self._replication.give_up(proposal)
        self.on_change(self)

    def bring(self, found: Brought) -> None:
        """Take in what a user brings, before anything is asked: results, and points to evaluate."""
        with self._study.asking():
            for trial, _ in found.results:
                adopted = self._study.adopt(trial)
                if adopted is not None:
                    self._log(adopted)
            self._study.enqueue_points(found.points)
        self.log.write()
        self._bring_seeds(found)

    def _bring_seeds(self, found: Brought) -> None:
        """Log the further seeds of trials that were taken over, each once through any kill."""
        imported = [trial for trial in self.trials if trial.origin == "imported"]
        numbers = {(trial.architecture, trial.seed): trial.number for trial in imported}
        logged = {(one.number, one.seed) for one in self.folder.replicates()}
        for trial, further in found.results:
            number = numbers.get((trial.architecture, trial.seed))
            if number is None:  # another trial of this network was there already
                continue
            for one in further:
                if (number, one.seed) not in logged:
                    self.folder.append_replicate(replace(one, number=number))

    def close(self) -> None:
        """Write what is left; call it when the executor has returned."""
        with self._study.asking():
            self._study.refresh()
        self._study.exchange_environments(self.folder)
        self._take_arrived()
        self._trim()
        self.log.write()
        self.folder.sync_trials()
        self.log.derive_front()

    def interrupted(self) -> None:
        """Write what is left, where an interrupt may have cut the last writing in two."""
        self.log.write_anew()
        self._counted = self._count()
        self.log.derive_front()

    def _count(self) -> int:
        return sum(trial.counts for trial in self._study.finished)

    def _pending(self) -> list[int]:
        return [*self._out, *(proposal.number for proposal in self._ready)]

    def _take_arrived(self) -> None:
        """Log what other drivers of a shared study have finished."""
        for number, rung, metrics, turn in self._study.rungs[self._rungs_known :]:
            self.halving.record(number, rung, metrics, turn)
        self._rungs_known = len(self._study.rungs)
        for trial in self._study.take_arrived():
            self._log(trial)

    def _may_learn(self) -> bool:
        """Whether a second seed may go first: not before what a kill interrupted."""
        if self._study.orphans:
            return False
        return not self._out if self._batches else len(self._out) < self.capacity

    def _may_fill(self) -> bool:
        room = not self._out if self._batches else len(self._out) < self.capacity
        return room and (self._may_ask() or self._may_promote())

    def _may_promote(self) -> bool:
        """Whether a trial that stopped goes on, in this process or in one that was killed."""
        if self.watch.ended is not None:
            return False
        if any(proposal.promoted is not None for proposal in self._study.interrupted):
            return True
        return not self._study.orphans and self._paused.first() is not None

    def _promoted(self, batch: int | None) -> Proposal | None:
        """The next trial that goes on; those that a kill interrupted come first.

        In a batch whose new trials were asked already nobody else does.
        """
        proposal = self._study.promoted_orphan()
        if proposal is None and self.promotes and not self._study.orphans:
            number = self._paused.first()
            if number is not None:
                proposal = self._study.promote(number, self._paused.take(number), batch)
                self._study.paused = self._paused.numbers
        return proposal

    def _fill(self, size: int) -> None:
        with self._study.asking():
            self._study.refresh()
            self._take_arrived()
            self._fill_alone(size)

    def _fill_alone(self, size: int) -> None:
        self._study.enqueue_points(self._queue.news())
        start = self._study.next_number
        if self._deterministic and self._study.orphans:
            start, size = self._interrupted_batch()
        self._trim()
        batch = start if self._deterministic else None
        while len(self._ready) < size and self.watch.ended is None:
            promoted = self._promoted(batch)
            if promoted is not None:
                self._prepare(promoted)
                continue
            if not self._may_ask():
                break
            asked = self._study.ask(batch)
            if asked is None:
                self.exhausted = True
            elif isinstance(asked, Trial):
                self._log(asked)
            else:
                self._prepare(asked)
        if self._ready:
            self._batch_start = start
        self.log.keep()

    def _may_ask(self) -> bool:
        """Whether the budget has room, which what failed before its evaluation has taken of."""
        if self.exhausted or self.watch.ended is not None:
            return False
        return self._left > 0

    @property
    def _left(self) -> int:
        """How many trials of the budget nobody has asked for yet."""
        under_way = [p for p, _ in (*self._out.values(), *self._held.values())] + [*self._ready]
        new = sum(proposal.promoted is None for proposal in under_way)
        return self.trials_wanted - self.counted - new - self._study.elsewhere

    def _trim(self) -> None:
        """Drop the checkpoints of what cannot go on any more."""
        if self.promotes:
            unjudged = sum(proposal.promoted is None for proposal, _ in self._out.values())
            self._paused.trim(unjudged + (0 if self.exhausted else self._left))
            self._study.paused = self._paused.numbers

    def _interrupted_batch(self) -> tuple[int, int]:
        """Where the batch that a kill interrupted starts, and how many of it are to be evaluated.

        Its proposals were all asked before the first was evaluated.
        """
        start, orphans = self._study.interrupted_batch, self._study.orphans
        if start is None:
            return self._study.next_number, orphans
        return start, orphans if self._study.began(start) else self.capacity

    def _prepare(self, proposal: Proposal) -> None:
        """Add the costs to a proposal; it ends here where they break a bound."""
        try:
            proposal = replace(proposal, metrics=self.problem.known(proposal.architecture))
            if proposal.promoted is None:
                measured = self._measured(proposal)
            else:
                before = self._study.latest(proposal.number).metrics
                measured = {n: m for n, m in before.items() if m.source == "measured"}
        except TrialError as error:
            self._end_early(proposal, failed_trial(proposal, str(error)))
            return
        proposal = replace(proposal, metrics={**proposal.metrics, **measured})
        infeasible = infeasible_trial(proposal, self.problem)
        if infeasible is None:
            self._ready.append(proposal)
        else:
            self._end_early(proposal, infeasible)

    def _measured(self, proposal: Proposal) -> dict[str, Metric]:
        """What is measured while nothing else runs, by providers that may be a third party's.

        Raises:
            TrialError: If it cannot be measured of this architecture.
            InputError: If it cannot be measured at all.
        """
        try:
            return Guard().call(lambda: self.problem.measure(proposal.architecture))
        except UserCodeError as failure:
            if isinstance(failure.__cause__, InputError):
                raise failure.__cause__ from None
            raise TrialError(str(failure)) from failure

    def _end_early(self, proposal: Proposal, trial: Trial) -> None:
        self._study.record(proposal.handle, trial)
        self._close(proposal, trial)

    def _trial_of(self, proposal: Proposal, outcome: Outcome) -> Trial:
        metrics = {**proposal.metrics, **outcome.metrics}
        error = self._reason(proposal, outcome)
        if error is None and not outcome.stopped:
            try:
                self.problem.require(metrics)
            except TrialError as missing:
                error = describe_failure(missing)
        return Trial(
            number=proposal.number,
            state="failed" if error else "stopped" if outcome.stopped else "complete",
            architecture=proposal.architecture,
            metrics=metrics,
            constraints=self.problem.violations(metrics),
            origin=proposal.origin,
            seed=proposal.seed,
            environment=outcome.environment or self._environment,
            error=error,
        )

    def _reason(self, proposal: Proposal, outcome: Outcome) -> str | None:
        """Why it failed, one printable line, and where the traceback is on the next."""
        if outcome.error is None or not outcome.traceback:
            return None if outcome.error is None else clean(outcome.error)
        name = f"{proposal.number}-{proposal.seed}" if proposal.replicate else str(proposal.number)
        place = keep_traceback(self.folder.path, name, outcome.traceback)
        return f"{clean(outcome.error)}\ntraceback: {place}"

    def _close(self, proposal: Proposal, trial: Trial) -> None:
        self._study.tell(proposal.handle, trial)
        if self.promotes and trial.state == "stopped":
            self._paused.add([trial])
            if trial.number not in self._paused:
                self.discard(trial.number)
            self._study.paused = self._paused.numbers
        if proposal.promoted is None:
            self._log(trial)
        else:
            self.watch.see(trial)
            self.log.add_promotion(trial)

    def _log(self, trial: Trial) -> None:
        now = _now()
        trial = replace(trial, started=trial.started or now, finished=trial.finished or now)
        trial = replace(trial, environment=trial.environment or self._environment)
        self._counted += trial.counts
        self.watch.see(trial)
        self.log.add(trial)
