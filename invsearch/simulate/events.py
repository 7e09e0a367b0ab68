"""The simulated executor: a heap of events in place of workers and a clock.

It stands where the serial and the Ray executor stand: it takes proposals from a real session,
asks it at rungs who goes on, and hands outcomes back. The study, the strategy, the halving and the
batches are those of a run; only the time is made up. Time moves from one event to the next: a
worker reaches the next step of its trial, or the driver has handed out a proposal and is free.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from invsearch.errors import TrialError
from invsearch.evaluation import Progress
from invsearch.search.proposal import Proposal
from invsearch.search.session import Outcome, Session
from invsearch.simulate.problem import Course, SimulatedProblem
from invsearch.user_code.failure import describe_failure

__all__ = ["Timeline", "run_simulated"]


@dataclass
class Timeline:
    """When the trials of a simulated search ended.

    Attributes:
        ended_s: By trial number, seconds from the start to its end.
        worked_s: By trial number, seconds that a worker spent on it.
    """

    ended_s: dict[int, float]
    worked_s: dict[int, float]


@dataclass
class _Flight:
    """A trial on a worker."""

    proposal: Proposal
    started_s: float
    duration_s: float
    course: Iterator[tuple[float, Progress | str]]


def run_simulated(
    session: Session,
    problem: SimulatedProblem,
    duration_of: Callable[[Proposal], float],
    *,
    ask_s: float = 0.0,
    start_s: float = 0.0,
) -> Timeline:
    """Evaluate in simulated time until the session is finished.

    Args:
        session: The run; its capacity is the number of workers.
        problem: What is searched.
        duration_of: Seconds of a whole trial.
        ask_s: Seconds that the driver takes to propose one architecture and to hand it out.
        start_s: Seconds until a worker that was not there before can begin.
    """
    return _Simulator(session, problem, duration_of, ask_s, start_s).run()


class _Simulator:
    def __init__(
        self,
        session: Session,
        problem: SimulatedProblem,
        duration_of: Callable[[Proposal], float],
        ask_s: float,
        start_s: float,
    ) -> None:
        self._session, self._problem = session, problem
        self._duration_of, self._ask_s, self._start_s = duration_of, ask_s, start_s
        self._workers_to_start = session.capacity
        self._now_s = self._driver_free_s = 0.0
        self._order = itertools.count()  # of events at one time: first come, first served
        self._events: list[tuple[float, int, _Flight | None, Progress | str | None]] = []
        self._timeline = Timeline({}, {})

    def run(self) -> Timeline:
        while True:
            self._hand_out()
            if not self._events:
                return self._timeline
            self._now_s, _, flight, what = heapq.heappop(self._events)
            if flight is not None and what is not None:
                self._reached(flight, what)

    def _hand_out(self) -> None:
        """Ask for as long as the driver is free and the session has something to propose."""
        while self._driver_free_s <= self._now_s:
            proposal = self._session.ask()
            if proposal is None:
                return
            asked_s = self._now_s + self._ask_s
            course = _guarded(self._problem, proposal)
            duration_s, spent = self._duration_of(proposal), 0.0
            if proposal.promoted is not None:
                spent, course = _rest(list(course), proposal.promoted)
            begin_s = asked_s + self._start_of_worker() - spent * duration_s
            self._next(_Flight(proposal, begin_s, duration_s, course))
            if self._ask_s:
                self._driver_free_s = asked_s
                self._push(asked_s, None, None)

    def _start_of_worker(self) -> float:
        """Seconds that a trial waits for its worker: the first ones do, later ones find theirs."""
        self._workers_to_start -= 1
        return self._start_s if self._workers_to_start >= 0 else 0.0

    def _next(self, flight: _Flight) -> None:
        share, what = next(flight.course)
        self._push(flight.started_s + share * flight.duration_s, flight, what)

    def _push(self, when_s: float, flight: _Flight | None, what: Progress | str | None) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), flight, what))

    def _reached(self, flight: _Flight, what: Progress | str) -> None:
        if isinstance(what, str):
            self._end(flight, Outcome(error=what))
        elif what.done:
            self._end(flight, Outcome(what.metrics))
        elif self._session.judge(flight.proposal, what):
            self._end(flight, Outcome(what.metrics, stopped=True))
        else:
            self._next(flight)

    def _end(self, flight: _Flight, outcome: Outcome) -> None:
        number = flight.proposal.number
        self._timeline.ended_s[number] = self._now_s
        self._timeline.worked_s[number] = self._now_s - flight.started_s
        self._session.finish(flight.proposal, outcome)


def _rest(
    course: list[tuple[float, Progress | str]], rung: int
) -> tuple[float, Iterator[tuple[float, Progress | str]]]:
    """The share of a trial's time until it stopped at a rung, and its course from there."""
    done = [share for share, what in course if isinstance(what, Progress) and what.step <= rung]
    return max(done, default=0.0), iter(course[len(done) :])


def _guarded(
    problem: SimulatedProblem, proposal: Proposal
) -> Iterator[tuple[float, Progress | str]]:
    """The course of a trial, whose failure is a text at its end."""
    try:
        course: Course = problem.course(proposal.architecture, proposal.seed)
    except Exception as error:  # as on a worker: a trial that raises is a failed trial
        yield 1.0, describe_failure(error)
        return
    if not course or not course[-1][1].done:
        yield 1.0, describe_failure(TrialError("the evaluation has no end"))
        return
    yield from course
