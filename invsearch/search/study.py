"""The Optuna study of a run: the truth about what was asked and what was told."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from invsearch.errors import InputError, TrialError
from invsearch.metrics import Metric
from invsearch.plugins import STRATEGIES
from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder
from invsearch.runs.trial import Trial
from invsearch.search.drivers import OtherDrivers
from invsearch.search.journal import mend_journal
from invsearch.search.proposal import Proposal, failed_trial, infeasible_trial, proposal_from
from invsearch.search.quiet import quiet
from invsearch.search.seeds import derive_seed
from invsearch.search.server import StudyServer
from invsearch.search.storage import JournaledStorage
from invsearch.search.strategies import Strategy
from invsearch.search.told_beside import told_beside
from invsearch.search.untried import Untried
from invsearch.space.architecture import Architecture
from invsearch.space.load import without_places

__all__ = ["Proposal", "SearchStudy"]

_SAMPLER_TRIES = 8  # repeats cost a millisecond each; past that the space is taken in its own order
_STATES = {
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "infeasible": TrialState.FAIL,
}


class SearchStudy:
    """Asks and tells an Optuna study in a journal file, never the same architecture twice.

    The Optuna trial carries everything of ours as user attributes: ``number``, ``seed`` and
    ``architecture`` when it is asked (and ``batch``, if it is asked in one), ``rung:N`` when it is
    judged, ``record`` (the line of trials.jsonl) and ``sources`` (of its metrics) when it ends. A
    trial that a kill left running keeps its number and its seed and is evaluated again; one whose
    asking was cut short is asked anew, as it was: a resumed run ends as an uninterrupted one would.

    A trial that stopped at a rung and goes on is a further Optuna trial of the same number, with
    what ``promoted`` it (the rung); what it comes to takes the place of what it was.

    Args:
        path: The journal file; the caller holds the lock on its folder.
        problem: What is searched.
        server: Where the study is, in place of the journal.

    Raises:
        InputError: If the study is that of another space.
    """

    def __init__(self, path: Path, problem: Problem, *, server: StudyServer | None = None) -> None:
        self._problem = problem
        self._search = problem.file.search
        self._strategy = STRATEGIES.get(self._search.strategy, Strategy)
        self._sampler = self._strategy.samplers(problem)
        self._untried = Untried(problem, self._strategy)
        self._server = server
        self._journal: JournaledStorage | None = None
        self._storage: BaseStorage
        if server is not None:
            self._storage = server.storage
        else:
            mend_journal(path, "number")
            with quiet():
                self._storage = self._journal = JournaledStorage(path)
        self._study = self._open()
        self._check_space(path)
        self._name_metrics()
        self._asked: dict[int, optuna.Trial] = {}
        self._handles: dict[int, int] = {}
        self._reached: defaultdict[int, list[Mapping[str, Metric]]] = defaultdict(list)
        self._orphans: list[Proposal] = []
        self._next_number = 0
        self.interrupted_batch: int | None = None
        self.finished: list[Trial] = []
        self.told: list[tuple[Trial, bool]] = []
        self.recovered: list[Trial] = []
        self._places: dict[int, int] = {}
        self._promoted_batches: set[int] = set()
        self.rungs: list[tuple[int, int, dict[str, Metric], int | None]] = []
        self._drivers = OtherDrivers(server)
        with self.asking():
            self._read()

    @property
    def orphans(self) -> int:
        """How many trials that a kill left running wait to be evaluated again."""
        return len(self._orphans)

    @property
    def interrupted(self) -> Sequence[Proposal]:
        """The trials that a kill left running."""
        return self._orphans

    @property
    def next_number(self) -> int:
        """The number of the next new trial."""
        return self._next_number

    @property
    def elsewhere(self) -> int:
        """How many trials other drivers of a shared study evaluate now."""
        return self._drivers.running

    def asking(self) -> AbstractContextManager[None]:
        """Be the only driver of a shared study that asks; ask, refresh and count inside."""
        return self._server.asking() if self._server else nullcontext()

    def refresh(self) -> None:
        """Take in what other drivers of a shared study have asked and finished."""
        if self._server is None:
            return
        for asked in list(self._drivers.news(self._study.get_trials(deepcopy=False))):
            self._read_trial(asked)
        self._orphans.sort(key=lambda proposal: proposal.number)

    def take_arrived(self) -> list[Trial]:
        """The trials that other drivers have finished since the last call."""
        arrived, self._drivers.arrived = self._drivers.arrived, []
        return arrived

    def exchange_environments(self, folder: RunFolder) -> None:
        """Tell the other drivers of a shared study of this run's environments, and take theirs."""
        if self._server is None:
            return
        own = folder.environment()
        first = {key: value for key, value in own.items() if key not in ("further", "command")}
        for described in (first, *own.get("further", {}).values()):
            if described.get("id"):
                self._study.set_user_attr(f"environment:{described['id']}", described)
        for name, described in self._study.user_attrs.items():
            if name.startswith("environment:"):
                folder.add_environment(described)

    def commit(self, *, durable: bool = True) -> None:
        """Write what was asked and told since the last time, in one go; a server has it already.

        Args:
            durable: Whether to wait until it is on the disk.
        """
        if self._journal is not None:
            self._journal.commit(durable=durable)

    def enqueue_baselines(self, baselines: Mapping[str, Architecture]) -> None:
        """Queue named architectures, each at most once in the life of the run."""
        known = {t.user_attrs.get("baseline") for t in self._study.get_trials(deepcopy=False)}
        for name, architecture in baselines.items():
            if name not in known:
                self._study.enqueue_trial(
                    architecture.to_json(), user_attrs={"baseline": name, "origin": "baseline"}
                )

    def enqueue_points(self, points: Mapping[str, Architecture]) -> None:
        """Queue a user's points, each at most once in the life of the run by its name."""
        if not points:
            return
        known = {t.user_attrs.get("point") for t in self._study.get_trials(deepcopy=False)}
        for name, architecture in points.items():
            if name not in known and architecture in self._untried:
                self._study.enqueue_trial(
                    architecture.to_json(), user_attrs={"point": name, "origin": "user"}
                )

    def adopt(self, trial: Trial) -> Trial | None:
        """Take in a finished trial of elsewhere as one of this study; None if it is there already.

        It gets the next number, and what it was evaluated from stays its own: seed, times,
        environment.
        """
        if trial.architecture not in self._untried:
            return None
        values = trial.architecture.to_json()
        with quiet():
            self._study.sampler = optuna.samplers.RandomSampler(seed=0)  # nothing is left to draw
            there = self._storage.create_new_trial(self._study._study_id)
            self._storage.set_trial_system_attr(there, "fixed_params", values)
            asked = optuna.Trial(self._study, there)
            self._problem.space.suggest(asked)
        adopted = replace(trial, number=self._next_number)
        self._asked[asked.number] = asked
        self._untried.take(trial.architecture)
        self._next_number += 1
        asked.set_user_attr("origin", "imported")
        asked.set_user_attr("architecture", values)
        asked.set_user_attr("seed", trial.seed)
        asked.set_user_attr("number", adopted.number)
        self._own(asked)
        self.record(asked.number, adopted)
        self.tell(asked.number, adopted)
        return adopted

    def ask(self, batch: int | None = None) -> Proposal | Trial | None:
        """Propose the next architecture.

        Args:
            batch: The number that the first trial of its batch has, where batches are kept.

        Returns:
            A proposal; or a Trial where the sampler proposed a known-infeasible architecture, which
            is recorded and costs nothing; or None when every architecture was evaluated.
        """
        if self._orphans:
            return self._orphans.pop(0)
        if self._waiting() or self._sampler_is_asked():
            for _ in range(_SAMPLER_TRIES):
                asked = self._ask_sampler(batch)
                if asked is not None:
                    return asked
        for architecture in self._untried.feasible(self.finished, self._next_number):
            self._study.enqueue_trial(architecture.to_json(), user_attrs={"origin": "sampler"})
            asked = self._ask_sampler(batch)
            if asked is not None:
                return asked
        return None

    def promoted_orphan(self) -> Proposal | None:
        """A promotion that a kill left running, to be evaluated again; None for none."""
        for place, proposal in enumerate(self._orphans):
            if proposal.promoted is not None:
                return self._orphans.pop(place)
        return None

    def promote(self, number: int, rung: int, batch: int | None) -> Proposal:
        """Let a trial that stopped at a rung go on.

        Args:
            number: The trial.
            rung: The rung.
            batch: As for :meth:`ask`.
        """
        trial, first = self.latest(number), self._handles[number]
        before = self._storage.get_trial(first)
        attributes = {
            "number": number,
            "seed": trial.seed,
            "origin": trial.origin,
            "architecture": trial.architecture.to_json(),
            "promoted": rung,
            "turn": self._next_number,
            **({} if batch is None else {"batch": batch}),
            **{name: v for name, v in before.user_attrs.items() if name.startswith("rung:")},
        }
        with quiet():
            template = optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=before.params,
                distributions=before.distributions,
                user_attrs=attributes,
            )
            trial_id = self._storage.create_new_trial(self._study._study_id, template)
            asked = optuna.Trial(self._study, trial_id)
        self._asked[asked.number] = asked
        self._handles[number] = trial_id
        self._reached[asked.number] = [
            {key: Metric.from_json(key, value) for key, value in data.items()}
            for name, data in attributes.items()
            if name.startswith("rung:")
        ]
        return replace(proposal_from(asked.number, attributes), origin=trial.origin)

    def latest(self, number: int) -> Trial:
        """A finished trial, as it is now."""
        return self.finished[self._places[number]]

    @property
    def paused(self) -> list[int]:
        """The trials that were said to be able to go on."""
        return list(self._study.user_attrs.get("paused", []))

    @paused.setter
    def paused(self, numbers: list[int]) -> None:
        if numbers != self.paused:
            self._study.set_user_attr("paused", numbers)

    def began(self, batch: int) -> bool:
        """Whether anything of a batch was evaluated to its end."""
        new = any(trial.number >= batch and trial.started for trial in self.finished)
        return new or batch in self._promoted_batches

    def _end_of(self, trial: Trial, attributes: Mapping[str, Any]) -> None:
        """Take in how a trial ended, in place of how it had ended before it was promoted."""
        promoted = "promoted" in attributes
        self.told.append((trial, promoted))
        if promoted and "batch" in attributes:
            self._promoted_batches.add(attributes["batch"])
        if trial.number in self._places:
            self.finished[self._places[trial.number]] = trial
        else:
            self._places[trial.number] = len(self.finished)
            self.finished.append(trial)

    def record_rung(self, proposal: Proposal, rung: int, metrics: Mapping[str, Metric]) -> None:
        """Keep what a trial had reached when it was judged at a rung, through a kill.

        It does not wait for the disk: after a power cut the trial is only not compared with.
        """
        data = {name: metric.to_json() for name, metric in metrics.items()}
        self._asked[proposal.handle].set_user_attr(f"rung:{rung}", data)
        self._reached[proposal.handle].append(metrics)
        self.commit(durable=False)

    def record(self, handle: int, trial: Trial) -> None:
        """Note how a trial ended; once that is committed a kill does not lose it."""
        self._asked[handle].set_user_attr("record", trial.to_json())

    def tell(self, handle: int, trial: Trial) -> None:
        """Tell the samplers; the trial was recorded before."""
        values = None
        if trial.state == "complete":
            values = [trial.metrics[name].value for name in self._problem.objectives]
        with quiet():
            asked = self._asked.pop(handle)
            there = self._storage.get_trial(asked._trial_id).constraints
            for name, excess in trial.constraints.items():
                if name not in there:  # a kill can cut telling short
                    asked.set_constraint(name, excess)
            sources = {name: metric.source for name, metric in trial.metrics.items()}
            asked.set_user_attr("sources", sources)
            for name, value in told_beside(
                self._problem, trial, self._reached.pop(handle, [])
            ).items():
                asked.set_user_attr(name, value)
            attributes = self._storage.get_trial(asked._trial_id).user_attrs
            self._end(asked._trial_id, _STATES[trial.state], values)
        self._end_of(trial, attributes)

    def _end(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Do what Study.tell does, which would copy the whole trial for its answer."""
        asked = self._storage.get_trial(trial_id)
        self._study.sampler.after_trial(self._study, asked, state, values)
        self._storage.set_trial_state_values(trial_id, state, values)

    def _open(self) -> optuna.Study:
        with quiet():
            return optuna.create_study(
                storage=self._storage,
                study_name=self._server.study if self._server else self._own_name(),
                directions=list(self._problem.objectives.values()),
                load_if_exists=True,
            )

    def _own_name(self) -> str:
        """The study's name in its journal: the space's, as it was when the run began."""
        return next(iter(optuna.get_all_study_names(self._storage)), self._problem.file.name)

    def _name_metrics(self) -> None:
        """Let Optuna's own tools, such as its dashboard, call the objectives by their names."""
        if self._study.metric_names is None:
            with quiet():
                self._study.set_metric_names(list(self._problem.objectives))

    def _check_space(self, path: Path) -> None:
        """Refuse to mix two searches in one study; how much and where it runs may change."""
        new = json.loads(json.dumps(self._problem.file.identity()))
        old = self._study.user_attrs.get("space")
        if old is None:
            self._study.set_user_attr("space", new)
            return
        old, new = without_places(old), without_places(new)
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        if changed:
            raise InputError(
                f"{path.parent} is the run of another space (it differs in {', '.join(changed)}): "
                f"choose another folder with --out, and --import {path.parent} to keep what fits it"
                if self._server is None
                else f"the study {self._server.study!r} on the server is of another space (it "
                f"differs in {', '.join(changed)}): give the space file another name:"
            )

    def _read(self) -> None:
        trials = self._study.get_trials(deepcopy=False)
        for asked in trials:
            if "number" in asked.user_attrs:
                self._read_trial(asked)
            elif asked.state == TrialState.RUNNING:
                self._forget(asked)
        self._orphans.sort(key=lambda proposal: proposal.number)
        list(self._drivers.news(trials))
        self._drivers.arrived.clear()  # whoever starts reads `finished`

    def _own(self, asked: optuna.Trial) -> None:
        """Say in a shared study whose a trial is."""
        if self._server is not None:
            asked.set_user_attr("driver", self._server.driver)

    def _forget(self, asked: FrozenTrial) -> None:
        """End a trial whose asking was cut short; what was enqueued is asked again."""
        if "fixed_params" in asked.system_attrs:
            self._storage.set_trial_state_values(asked._trial_id, TrialState.WAITING)
        else:
            self._study.tell(asked.number, state=TrialState.FAIL)

    def _read_trial(self, asked: FrozenTrial) -> None:
        attributes = asked.user_attrs
        proposal = proposal_from(asked.number, attributes)
        self._untried.take(proposal.architecture)
        self._next_number = max(self._next_number, proposal.number + 1)
        if self._drivers.runs(asked):
            return
        for name, data in attributes.items():
            if name.startswith("rung:"):
                metrics = {key: Metric.from_json(key, value) for key, value in data.items()}
                self._reached[asked.number].append(metrics)
                if int(name[5:]) > (proposal.promoted or 0):
                    self.rungs.append((proposal.number, int(name[5:]), metrics, proposal.turn))
        self._handles[proposal.number] = asked._trial_id
        if asked.state.is_finished():
            trial = Trial.from_json(attributes["record"])
            self._end_of(trial, attributes)
            self._drivers.arrived.append(trial)
            return
        self._asked[asked.number] = optuna.Trial(self._study, asked._trial_id)
        self._own(self._asked[asked.number])
        if "record" in attributes:
            trial = Trial.from_json(attributes["record"])
            self.tell(asked.number, trial)
            self.recovered.append(trial)
            self._drivers.arrived.append(trial)
        else:
            self._orphans.append(proposal)
            self.interrupted_batch = attributes.get("batch")

    def _ask_sampler(self, batch: int | None) -> Proposal | Trial | None:
        """Ask once; None when the architecture is not new or not possible."""
        seed = derive_seed(self._search.seed, self._next_number, self._study_size())
        with quiet():
            self._study.sampler = self._sampler(seed)
            asked = self._study.ask()
            self._asked[asked.number] = asked
            architecture = self._problem.space.suggest(asked)
        reason = None if architecture in self._untried else "evaluated before"
        reason = reason or self._problem.space.problem(architecture)
        if (
            reason is None
            and "origin" not in asked.user_attrs
            and self._untried.fails(architecture, self.finished, self._next_number)
        ):
            reason = "likely to fail"
        if reason is not None:
            asked.set_user_attr("rejected", reason)
            self._study.tell(asked.number, state=TrialState.FAIL)
            del self._asked[asked.number]
            return None
        unknown = None
        try:
            metrics = self._problem.known(architecture)
        except TrialError as error:
            metrics, unknown = {}, str(error)
        proposal = Proposal(
            number=self._next_number,
            architecture=architecture,
            seed=derive_seed(self._search.seed, self._next_number),
            origin=asked.user_attrs.get("origin", "sampler"),
            handle=asked.number,
            metrics=metrics,
        )
        self._untried.take(architecture)
        self._handles[proposal.number] = asked._trial_id
        self._next_number += 1
        asked.set_user_attr("architecture", architecture.to_json())
        asked.set_user_attr("seed", proposal.seed)
        if batch is not None:
            asked.set_user_attr("batch", batch)
        self._own(asked)
        asked.set_user_attr("number", proposal.number)  # the last: it settles that it was asked
        if unknown is not None:
            return self._ended(proposal, failed_trial(proposal, unknown))
        infeasible = infeasible_trial(proposal, self._problem)
        return proposal if infeasible is None else self._ended(proposal, infeasible)

    def _sampler_is_asked(self) -> bool:
        """Whether the strategy proposes, and not what is left of the space in its order."""
        if self._strategy.enumerates:
            return False
        return not self._untried.mostly_infeasible(self.finished, self._next_number)

    def _ended(self, proposal: Proposal, trial: Trial) -> Trial:
        self.record(proposal.handle, trial)
        self.tell(proposal.handle, trial)
        return trial

    def _waiting(self) -> bool:
        return bool(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def _study_size(self) -> int:
        """How many trials were asked or enqueued; one whose asking a kill cut short is not there.

        A journal is cut back to before such a trial; a server keeps it.
        """
        trials = self._study.get_trials(deepcopy=False)
        settled = {"number", "rejected"}
        return (
            sum(
                not trial.state.is_finished() or not settled.isdisjoint(trial.user_attrs)
                for trial in trials
            )
            if self._server
            else len(trials)
        )
