"""CostAwareSampler: an Optuna sampler that models only what it cannot count."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from invsearch.errors import InputError
from invsearch.search.sampler.candidates import WHOLE, Candidates
from invsearch.search.sampler.conditions import learnt_conditions
from invsearch.search.sampler.options import check_options
from invsearch.search.sampler.proposer import Proposed, Proposer, SpaceExhaustedError
from invsearch.search.sampler.reader import HYPERPARAMETERS, PROPOSED
from invsearch.surrogate.encoding import Encoder

__all__ = ["CostAwareSampler"]

Array = NDArray[np.float64]
Params = Mapping[str, Any]

_log = optuna.logging.get_logger(f"optuna.{__name__}")  # as loud as Optuna is told to be


class CostAwareSampler(BaseSampler):
    """Multi-objective Bayesian optimisation for costly objectives beside counted ones.

    Each unknown objective is a Gaussian process on the logarithm of its value (where positive) with
    an exp-Hamming kernel and terms in the logarithm of the known costs; the proposal maximises the
    exact expected hypervolume improvement, with the known objectives exactly known, times the
    probability that the evaluation succeeds. It handles 1 to 4 objectives, minimised or maximised;
    conditional parameters; noise; failed, infeasible, stopped, running, enqueued and imported
    trials (see :mod:`~invsearch.search.sampler.history` for the user attributes it reads).

    Proposals depend on ``seed``, the trial's number and the study alone: a resumed study goes on as
    if it had never stopped. No canonical point is proposed twice while a new one exists; in an
    exhausted space points already evaluated are proposed again (:meth:`propose` raises
    :class:`SpaceExhaustedError` instead).

    Example::

        space = {"op": CategoricalDistribution(["conv", "inv"]), "width": IntDistribution(8, 64)}
        sampler = CostAwareSampler(space, costs=lambda params: {1: count_macs(params)}, seed=0)
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution] | None = None,
        *,
        costs: Callable[[Params], Mapping[int, float]] | None = None,
        canonical: Callable[[dict[str, Any]], Params] | None = None,
        feasible: Callable[[dict[str, Any]], bool] | None = None,
        candidates: Candidates | None = None,
        hints: Callable[[Params], Sequence[float]] | None = None,
        seed: int | None = None,
        start: int | None = None,
        whole: int = WHOLE,
    ) -> None:
        """Create a sampler.

        Args:
            search_space: The parameters with their distributions. None takes those of the study's
                trials so far: a first trial is random then.
            costs: Gives the objectives of a point that are known without evaluation, by index of
                the objective, in its own unit and always the same ones. Cheap and pure.
            canonical: Drops the parameters of a point that have no effect; points equal after it
                are one. A proposal holds only the parameters that it keeps. Where no function and
                no candidates are given, what an objective asks for where is learnt from its trials
                (:mod:`~invsearch.search.sampler.conditions`).
            feasible: Whether a (canonical) point may be proposed. Measured constraints need nothing
                here: they are read from ``trial.set_constraint`` and modelled.
            candidates: The valid points: all of them as a sequence, or a function of a random
                number generator and a count that draws some. Points that it did not draw are
                proposed only where ``feasible`` tells which are valid. None enumerates or draws
                ``search_space``.
            hints: Numbers that may help to predict, such as an earlier model's predictions: further
                terms of the mean.
            seed: Seed of every proposal; None draws one.
            start: Trials before the model is used; by default 5 where costs are known, else 8.
            whole: Up to how many combinations of values every point is a candidate.

        Raises:
            InputError: If one of them cannot be that.
        """
        self._options: dict[str, Any] = {
            "costs": costs, "canonical": canonical, "feasible": feasible,
            "candidates": candidates, "hints": hints, "start": start, "whole": whole,
        }  # fmt: skip
        check_options(search_space, {**self._options, "seed": seed})
        self._space = dict(search_space) if search_space is not None else None
        self._seed = (
            seed if seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
        )
        # a function of the user's was written for whole points
        self._learns = not any((costs, canonical, feasible, candidates, hints))
        self._proposer: Proposer | None = None
        self._told: set[str] = set()
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_lock"]
        return {**state, "_proposer": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        """Do nothing: the trial's number already keeps the draws of parallel workers apart."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The declared search space, or every parameter seen in the study's finished trials."""
        if self._space is not None:
            return dict(self._space)
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        found: dict[str, BaseDistribution] = {}
        for finished in study.get_trials(deepcopy=False, states=states):
            found.update(finished.distributions)
        return dict(sorted(found.items()))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose the parameters of ``trial``: the active ones only."""
        if not search_space:
            return {}
        held = _held(study)
        whole = self.infer_relative_search_space(study, trial) if held else {}
        space = {**search_space, **{name: whole[name] for name in whole if name in held}}
        trials = study.get_trials(deepcopy=False)
        fixed = {**held, **trial.system_attrs.get("fixed_params", {}), **trial.params}
        with self._lock:
            try:
                proposer = self._prepared(study, space, trials)
                proposal = self._proposed(proposer, trials, trial.number, fixed)
            except KeyError as error:
                if self._space is not None or any(name in error.args for name in space):
                    raise
                self._tell(
                    f"{error} is needed by a function of the sampler's, and no trial has had"
                    f" it yet, only {', '.join(space)}: proposals are random until then, unless"
                    " search_space is given"
                )
                return {}
            self._keep(study, trial, proposer.internal(proposal.row, fixed), proposal)
        params = proposer.params(proposal.row)
        return {name: value for name, value in params.items() if name in search_space}

    def _proposed(
        self, proposer: Proposer, trials: Sequence[FrozenTrial], number: int, fixed: Params
    ) -> Proposed:
        history = proposer.read(trials, number)
        proposal = proposer.propose(history, number, fixed)
        if proposal is None and history.partly_asked:
            # what makes no difference may make one yet: rather that than what is known
            proposal = proposer.propose(replace(history, partly_asked=[]), number, fixed)
        return proposal or Proposed(proposer.again(history, number, fixed))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a parameter outside the search space uniformly.

        Where a search space was declared that is said in the log, once of each parameter.
        """
        if self._space is not None:
            self._tell(_why_random(self._space, param_name, param_distribution))
        seed = [self._seed, trial.number, zlib.crc32(param_name.encode())]
        state = int(np.random.SeedSequence(seed).generate_state(1)[0])
        return RandomSampler(seed=state).sample_independent(
            study, trial, param_name, param_distribution
        )

    def _tell(self, words: str) -> None:
        """Say it in the log, once."""
        if words not in self._told:
            self._told.add(words)
            _log.warning(words)

    def propose(self, study: Study, count: int = 1) -> list[dict[str, Any]]:
        """Propose points without creating trials, for batches and drivers of their own.

        Args:
            study: The study to go on from.
            count: How many distinct new points.

        Returns:
            Up to ``count`` points, fewer where the space ends.

        Raises:
            SpaceExhaustedError: There is no new point at all.
            InputError: No parameter of the search space is known.
        """
        with self._lock:
            return [proposer.params(row) for proposer, row in self._batch(study, count)]

    def _batch(self, study: Study, count: int) -> Iterator[tuple[Proposer, Array]]:
        trials = study.get_trials(deepcopy=False)
        placeholder = FrozenTrial(
            number=len(trials), state=TrialState.RUNNING, value=None, datetime_start=None,
            datetime_complete=None, params={}, distributions={}, user_attrs={}, system_attrs={},
            intermediate_values={}, trial_id=-1,
        )  # fmt: skip
        space = self.infer_relative_search_space(study, placeholder)
        if not space:
            raise InputError("no parameter is known yet: give search_space, or evaluate a trial")
        proposer = self._prepared(study, space, trials)
        history = proposer.read(trials)
        for number in range(len(trials), len(trials) + count):
            proposal = proposer.propose(history, number, {})
            if proposal is None and number == len(trials):
                raise SpaceExhaustedError(
                    f"all {len(history.seen)} valid points of the space have been proposed"
                )
            if proposal is None:
                return
            history = history.with_pending(proposal.row, proposal.hyperparameters)
            yield proposer, proposal.row

    def _prepared(
        self,
        study: Study,
        space: Mapping[str, BaseDistribution],
        trials: Sequence[FrozenTrial],
    ) -> Proposer:
        signs = np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions])
        learnt = learnt_conditions(Encoder(space), trials) if self._learns else ()
        if self._proposer is None or not self._proposer.fits(space, signs, learnt):
            self._proposer = Proposer(space, signs, self._seed, learnt, **self._options)
        return self._proposer

    def _keep(
        self, study: Study, trial: FrozenTrial, internal: dict[str, float], proposal: Proposed
    ) -> None:
        """Keep the proposal with the trial, where other workers and a resumed study find it."""
        kept = {PROPOSED: internal, HYPERPARAMETERS: proposal.hyperparameters}
        for name, value in kept.items():
            if value is not None:
                study._storage.set_trial_system_attr(trial._trial_id, name, value)


def _why_random(space: Mapping[str, BaseDistribution], name: str, asked: BaseDistribution) -> str:
    if name not in space:
        return (
            f"{name} is drawn at random: the search space has {', '.join(space)}; declare it there"
            " if it is to be searched"
        )
    if space[name] != asked:
        return (
            f"{name} is drawn at random where its proposed value does not fit: the objective asks"
            f" for {asked}, the search space has {space[name]}"
        )
    return f"{name} is drawn at random where canonical drops it: the objective asks for it there"


def _held(study: Study) -> Params:
    """What each ``PartialFixedSampler`` around this one fixes, and takes out of the space."""
    held: dict[str, Any] = {}
    sampler = study.sampler
    while isinstance(sampler, PartialFixedSampler):
        held = {**sampler._fixed_params, **held}
        sampler = sampler._base_sampler
    return held
