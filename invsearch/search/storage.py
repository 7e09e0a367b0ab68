"""The storage behind a run's study: in memory while it runs, in Optuna's journal on disk.

Optuna's own ``JournalStorage`` appends a record and waits for the disk at every call, once for each
parameter of a trial, and reads the file again at every look. Only the driver of a run writes its
journal, so here a study lives in memory and what has changed is appended by :meth:`commit`, as one
write and one wait for the disk. A trial that the file does not hold yet is one record, whatever
number of parameters it has.
"""

from __future__ import annotations

import copy
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from invsearch.errors import InputError
from invsearch.runs.files import append_lines
from invsearch.search import journal
from invsearch.search.journal import FolderIsLocked

__all__ = ["JournaledStorage"]


@dataclass
class _Changes:
    """What the file does not hold yet.

    Attributes:
        pending: In order: records, and (study, trial) for a trial that becomes one record, as it
            is when it is written.
        created: Those trials.
        began: How long the file was when their writing began: an interrupt may have come when they
            were written and not yet forgotten here.
    """

    pending: list[dict[str, Any] | tuple[int, int]] = field(default_factory=list)
    created: set[int] = field(default_factory=set)
    began: int | None = None


class JournaledStorage(InMemoryStorage):
    """Optuna's storage in memory, with a journal that it is read from and committed to.

    What is not committed is lost in a kill, as if it had not been done.

    Args:
        path: The journal, mended; made when missing. The caller holds the lock on its folder.

    Raises:
        InputError: If trials of another, deleted study stand in the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._worker = str(uuid.uuid4())
        self._changes = _Changes()
        self._distributions: dict[str, tuple[BaseDistribution, str]] = {}
        self._load()

    def commit(self, *, durable: bool = True) -> None:
        """Append what has changed, in one write.

        Args:
            durable: Whether to wait until it is on the disk, where a power cut leaves it; a kill
                does so in any case.
        """
        changes = self._changes
        if not changes.pending:
            return
        lines = [json.dumps(self._record(each), separators=(",", ":")) for each in changes.pending]
        if changes.began is not None:
            os.truncate(self._path, changes.began)
        changes.began = self._path.stat().st_size
        append_lines(self._path, *lines, durable=durable)
        self._changes = _Changes()

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        study_id = super().create_new_study(directions, study_name)
        name = self.get_study_name_from_id(study_id)
        self._append(journal.CREATE_STUDY, study_name=name, directions=list(directions))
        return study_id

    def delete_study(self, study_id: int) -> None:
        self.commit()  # its trials become records while they are there
        super().delete_study(study_id)
        self._append(journal.DELETE_STUDY, study_id=study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        super().set_study_user_attr(study_id, key, value)
        self._append(journal.SET_STUDY_USER_ATTR, study_id=study_id, user_attr={key: value})

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        super().set_study_system_attr(study_id, key, value)
        self._append(journal.SET_STUDY_SYSTEM_ATTR, study_id=study_id, system_attr={key: value})

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._changes.pending.append((study_id, trial_id))
        self._changes.created.add(trial_id)
        return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        shared, text = self._shared(param_name, distribution)
        super().set_trial_param(trial_id, param_name, param_value_internal, shared)
        self._change(
            trial_id,
            journal.SET_PARAM,
            param_name=param_name,
            param_value_internal=param_value_internal,
            distribution=text,
        )

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        done = super().set_trial_state_values(trial_id, state, values)
        if done and trial_id not in self._changes.created:
            self._append(**journal.ended(self.get_trial(trial_id)))
        return done

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._change(
            trial_id,
            journal.SET_INTERMEDIATE_VALUE,
            step=step,
            intermediate_value=intermediate_value,
        )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, value)
        self._change(trial_id, journal.SET_USER_ATTR, user_attr={key: value})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, value)
        self._change(trial_id, journal.SET_SYSTEM_ATTR, system_attr={key: value})

    def _load(self) -> None:
        backend = JournalFileBackend(str(self._path), lock_obj=FolderIsLocked(str(self._path)))
        stored = JournalStorage(backend)
        trials: list[tuple[int, int, FrozenTrial]] = []
        for study in stored.get_all_studies():
            study_id = super().create_new_study(study.directions, study.study_name)
            for key, value in study.user_attrs.items():
                super().set_study_user_attr(study_id, key, value)
            for key, value in study.system_attrs.items():
                super().set_study_system_attr(study_id, key, value)
            for trial in stored.get_all_trials(study._study_id, deepcopy=False):
                trials.append((trial._trial_id, study_id, trial))
        for number, study_id, trial in sorted(trials, key=lambda each: each[0]):
            if self._adopt(study_id, trial) != number:
                raise InputError(f"{self._path} holds trials of a study that was deleted from it")

    def _adopt(self, study_id: int, trial: FrozenTrial) -> int:
        """Take in a trial as it is: Optuna would copy all of it, at a millisecond each."""
        for name, distribution in trial.distributions.items():
            trial.distributions[name] = self._shared(name, distribution)[0]
        empty = copy.copy(trial)
        empty.params, empty.distributions, empty.user_attrs, empty.system_attrs = {}, {}, {}, {}
        trial_id = super().create_new_trial(study_id, empty)
        self._set_trial(trial_id, trial)
        return trial_id

    def _shared(self, name: str, distribution: BaseDistribution) -> tuple[BaseDistribution, str]:
        """The distribution as one object for all trials, with its text."""
        known = self._distributions.get(name)
        if known is None or known[0] != distribution:
            known = self._distributions[name] = distribution, distribution_to_json(distribution)
        return known

    def _append(self, op_code: int, **fields: Any) -> None:
        self._changes.pending.append({"op_code": op_code, **fields})

    def _change(self, trial_id: int, op_code: int, **fields: Any) -> None:
        if trial_id not in self._changes.created:
            self._append(op_code, trial_id=trial_id, **fields)

    def _record(self, entry: dict[str, Any] | tuple[int, int]) -> dict[str, Any]:
        if isinstance(entry, tuple):
            study_id, trial_id = entry
            trial = self.get_trial(trial_id)
            texts = {n: self._shared(n, d)[1] for n, d in trial.distributions.items()}
            entry = journal.created(trial, study_id, texts)
        return {**entry, "worker_id": self._worker}
