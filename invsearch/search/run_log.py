"""RunLog: what a search writes into its run's folder beside the study."""

from __future__ import annotations

import time
from collections import Counter

from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder
from invsearch.runs.trial import Trial
from invsearch.search.final import prune
from invsearch.search.study import SearchStudy

__all__ = ["RunLog"]

_FRONT_EVERY_S = 5.0  # who looks at it meanwhile can wait so long
_FRONT_REST = 50  # its time grows with the run: at most a fiftieth of the search goes into it
_BUFFER = 64  # trials that cost nothing share one wait for the disk, and a kill loses no more


class RunLog:
    """Writes how trials ended and what the front is by then; the study is committed first.

    The study is the truth: what a kill kept from the log is mended from it.

    Args:
        folder: The run's folder, locked by the caller.
        problem: What is searched.
        study: What the log follows.
        buffered: Whether trials cost so little that many share one writing.
    """

    def __init__(
        self, folder: RunFolder, problem: Problem, study: SearchStudy, *, buffered: bool
    ) -> None:
        self._folder = folder
        self._problem = problem
        self._study = study
        self._buffered = buffered
        self._trials: list[Trial] = []
        self._promotions: list[Trial] = []
        self._front_due = 0.0
        self.mend()

    def add(self, trial: Trial) -> None:
        """Take in how a trial ended."""
        self._trials.append(trial)

    def add_promotion(self, trial: Trial) -> None:
        """Take in what a trial that had stopped and went on came to."""
        self._promotions.append(trial)

    def keep(self) -> None:
        """Write what has changed: before proposals are evaluated, and when one has ended."""
        if self._buffered and len(self._trials) < _BUFFER:
            return
        self.write()
        if time.monotonic() > self._front_due:
            self.derive_front(durable=False)
            prune(self._folder, self._problem)

    def write(self) -> None:
        """Write the study first, then the log, which is mended from it after a power cut."""
        self._study.commit()
        self._folder.append_trials(self._trials, durable=False)
        self._trials.clear()
        self._folder.append_promotions(self._promotions, durable=False)
        self._promotions.clear()

    def write_anew(self) -> None:
        """Write what is left where an interrupt may have cut the last writing in two."""
        self._trials.clear()
        self._promotions.clear()
        self._study.commit()
        self.mend()

    def mend(self) -> None:
        """Append what the study knows and a kill kept from the log."""
        logged = {trial.number for trial in self._folder.logged()}
        told = [trial for trial, promoted in self._study.told if not promoted]
        self._folder.append_trials([trial for trial in told if trial.number not in logged])
        again, missing = Counter(trial.number for trial in self._folder.promotions()), []
        for trial, promoted in self._study.told:
            if promoted and again[trial.number] > 0:
                again[trial.number] -= 1
            elif promoted:
                missing.append(trial)
        self._folder.append_promotions(missing)

    def derive_front(self, *, durable: bool = True) -> None:
        """Write the front of the trials that are logged."""
        began = time.monotonic()
        self._folder.write_front(self._folder.trials(), self._problem.objectives, durable=durable)
        took = time.monotonic() - began
        self._front_due = began + max(_FRONT_EVERY_S, _FRONT_REST * took)
