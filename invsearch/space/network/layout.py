"""The ``model:`` and ``space:`` sections as a layout: what is given for which stage and block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ops
from invsearch.errors import InputError, nearest
from invsearch.models.families import FAMILIES, Family
from invsearch.models.resolve import family_settings
from invsearch.models.task import TASK_KEYS, TASKS, task_problem
from invsearch.space.architecture import Value
from invsearch.space.entries import parameter_at, title
from invsearch.space.parameter import Parameter
from invsearch.space.schema import Model
from invsearch.space.validation import unknown_key
from invsearch.space.yaml_file import Document, Path, show

__all__ = ["Layout", "Slot", "read_layout"]

_NO_SETTINGS = frozenset({*Model.model_fields} - {"family"})  # of a network, in ``model``
_MAX_BLOCKS = 100  # of a stage; the deepest preset has 36
_MAX_WIDTH = 16  # 1024 channels in a ResNet's first stage: beyond what any machine here trains
_MAX_VALUES = 1_000  # of one parameter: each is checked and shown


def network_keys() -> tuple[str, ...]:
    """What may be set for a whole network, operators and hyperparameters aside."""
    return ("family", "depth", "width", *family_settings(), *TASK_KEYS)


@dataclass(frozen=True)
class Slot:
    """A setting of the network, of a stage or of a block: a parameter or a constant.

    Attributes:
        key: What is set, such as ``kernel_size``.
        stage: The stage from 1; 0 for the whole network.
        block: The block from 1; 0 for a whole stage.
        path: Where its value stands in the file.
        parameter: What varies, without its conditions.
        constant: What is held, if nothing varies.
    """

    key: str
    stage: int
    block: int
    path: Path
    parameter: Parameter | None = None
    constant: Value | None = None

    @property
    def name(self) -> str:
        """The parameter's name."""
        return slot_name(self.key, self.stage, self.block)

    @property
    def values(self) -> tuple[Value, ...]:
        """What the setting may be."""
        if self.parameter is None:
            return () if self.constant is None else (self.constant,)
        return tuple(self.parameter.values())


def slot_name(key: str, stage: int, block: int) -> str:
    """Return ``key``, ``stage1.key`` or ``stage1.block2.key``."""
    return (f"stage{stage}." if stage else "") + (f"block{block}." if block else "") + key


@dataclass
class Layout:
    """Everything that is set, by name, in the order of the file and stage by stage.

    Attributes:
        document: The file.
        families: Those that a network may be of; their stages and depths are named alike.
        slots: By name.
    """

    document: Document
    families: tuple[Family, ...]
    slots: dict[str, Slot] = field(default_factory=dict)

    @property
    def family(self) -> Family:
        """One of the families, for what they have in common."""
        return self.families[0]

    @property
    def stages(self) -> range:
        """The stages' numbers."""
        return range(1, len(self.family.stages) + 1)

    def find(self, key: str, stage: int = 0, block: int = 0) -> Slot | None:
        """Look a setting up: at the block, else at its stage, else at the network."""
        for place in ((stage, block), (stage, 0), (0, 0)):
            slot = self.slots.get(slot_name(key, *place))
            if slot is not None:
                return slot
        return None

    def levels(self, key: str) -> set[str]:
        """Where a setting is given: ``network``, ``stage``, ``block``."""
        found = [slot for slot in self.slots.values() if slot.key == key]
        return {"block" if s.block else "stage" if s.stage else "network" for s in found}

    @property
    def depths(self) -> tuple[Value, ...]:
        """The depths there may be; ``custom`` where blocks are given instead."""
        slot = self.slots.get("depth")
        return ("custom",) if slot is None else slot.values

    def blocks(self, stage: int) -> tuple[int, ...]:
        """The numbers of blocks that a stage may have."""
        counts = {self.family.presets[d][stage - 1] for d in self.depths if isinstance(d, int)}
        own = self.slots.get(f"stage{stage}.blocks")
        if "custom" in self.depths and own is not None:
            counts |= {int(value) for value in own.values}
        return tuple(sorted(counts))

    def places(self, stage: int = 0, block: int = 0) -> Iterator[tuple[int, int]]:
        """The (stage, block) pairs that may exist inside a scope."""
        for i in [stage] if stage else self.stages:
            most = max(self.blocks(i))
            yield from ((i, j) for j in ([block] if block else range(1, most + 1)))


def hyperparameter_names() -> list[str]:
    """Every hyperparameter of a registered operator."""
    return list(dict.fromkeys(n for op in operator_specs() for n in op.hyperparameters))


def operator_specs() -> list[ops.OpSpec]:
    """Every operator that can be loaded."""
    found = []
    for name in ops.names():
        try:
            found.append(ops.get(name))
        except ImportError:  # a broken plugin matters only to those who name it
            continue
    return found


def read_layout(document: Document, model: Model, space: dict[str, Any]) -> Layout:
    """Read the two sections.

    Raises:
        InputError: With the position of an unknown key, of a setting given twice, or of a value
            that no network can have.
    """
    reader = _SectionsReader(document, _families(document, model, space))
    for key, value in model:
        if value is not None and key not in _NO_SETTINGS:
            reader.check_key(("model", key), [*network_keys(), "operator", *reader.hyperparameters])
            reader.constant(key, ("model", key), value)
    reader.network(space)
    reader.stages(space.get("stage"))
    reader.check_depth()
    reader.check_task(model)
    reader.blocks(space.get("block"))
    slots = reader.layout.slots
    reader.layout.slots = dict(sorted(slots.items(), key=lambda item: _place(item[1])))
    return reader.layout


def _families(document: Document, model: Model, space: dict[str, Any]) -> tuple[Family, ...]:
    """The families that a network may be of; what is wrong with their names is found later.

    Raises:
        InputError: If two of them cannot be in one space.
    """
    given: Any = space.get("family", model.family)
    path: Path = ("space" if "family" in space else "model", "family")
    names = (given.get("choice") or []) if isinstance(given, dict) else [given]
    known = [str(name) for name in names if isinstance(name, str) and name in FAMILIES]
    first, *others = [FAMILIES[name] for name in dict.fromkeys(known)] or [FAMILIES["rednet"]]
    for other in others:
        if not first.shares_stages(other):
            raise document.error(
                path,
                f"{title(path)}: {first.name} and {other.name} have other stages and depths, so "
                "one space cannot hold both: give each a file of its own",
            )
    return (first, *others)


def _place(slot: Slot) -> tuple[int, int]:
    return slot.stage, slot.block


class _SectionsReader:
    def __init__(self, document: Document, families: tuple[Family, ...]) -> None:
        self.document = document
        self.layout = Layout(document, families)
        self.hyperparameters = hyperparameter_names()
        self._first: dict[str, Path] = {}

    def check_key(self, path: Path, allowed: Sequence[str]) -> None:
        if path[-1] not in allowed:
            raise unknown_key(self.document, path, list(allowed))
        if self._first.setdefault(str(path[-1]), path) != path:
            first = title(self._first[str(path[-1])])
            raise self.document.error(
                path, f"{title(path)} is given already, as {first}: keep one", key=True
            )

    def network(self, space: dict[str, Any]) -> None:
        allowed = [*network_keys(), "operator", *self.hyperparameters, "stage", "block"]
        for key, value in space.items():
            path: Path = ("space", key)
            self.check_key(path, allowed)
            if key in ("stage", "block"):
                if not isinstance(value, dict) or not value:
                    kind = "must be a mapping of settings"
                    raise self.document.error(path, f"{title(path)} {kind}, not {show(value)}")
            elif isinstance(value, list):
                raise self._listed(path, value)
            else:
                self._set(key, path, value)

    def stages(self, section: dict[str, Any] | None) -> None:
        for key, value in (section or {}).items():
            path: Path = ("space", "stage", key)
            self.check_key(path, ["blocks", "operator", *self.hyperparameters])
            number = len(self.layout.stages)
            if isinstance(value, list) and len(value) != number:
                raise self.document.error(
                    path,
                    f"{title(path)}: a list here has one entry a stage, so {number}, "
                    f"not {len(value)}; write {{choice: {show(value)}}} for a choice",
                )
        for stage in self.layout.stages:
            for key, value in (section or {}).items():
                path = ("space", "stage", key)
                if isinstance(value, list):
                    self._set(key, (*path, stage - 1), value[stage - 1], stage)
                elif isinstance(value, dict) or key == "blocks":
                    self._set(key, path, value, stage)
                elif stage == 1:
                    self._set(key, path, value)

    def blocks(self, section: dict[str, Any] | None) -> None:
        for key, value in (section or {}).items():
            path: Path = ("space", "block", key)
            self.check_key(path, ["operator", *self.hyperparameters])
            if isinstance(value, list):
                raise self._listed(path, value)
            if not isinstance(value, dict):
                self._set(key, path, value)
        for stage, block in self.layout.places():
            for key, value in (section or {}).items():
                if isinstance(value, dict):
                    self._set(key, ("space", "block", key), value, stage, block)

    def check_depth(self) -> None:
        given = [f"stage{i}.blocks" in self.layout.slots for i in self.layout.stages]
        depth = self.layout.slots.get("depth")
        path: Path = ("space", "stage", "blocks")
        if any(given) and "custom" not in self.layout.depths:
            way = "add it to the choice, or leave depth out"
            raise self.document.error(
                path, f"stage.blocks is never used: depth cannot be 'custom'; {way}", key=True
            )
        if not any(given) and "custom" in self.layout.depths:
            where = depth.path if depth else ("space",)
            why = "depth may be 'custom'" if depth else "there is no depth"
            raise self.document.error(
                where, f"the number of blocks is not given: {why}, so give space.stage.blocks"
            )

    def check_task(self, model: Model) -> None:
        """Refuse what has no effect: neck and head without a task, a resolution with one."""
        slots = self.layout.slots
        for key in ("neck", "head"):
            if key in slots and "task" not in slots:
                path = slots[key].path
                why = "has no effect: only a task (a detector or segmenter) has one"
                raise self.document.error(path, f"{title(path)} {why}", key=True)
        flat = [family.name for family in self.layout.families if not family.pyramidal]
        if "task" in slots and flat:
            raise self.document.error(
                slots["family"].path if "family" in slots else slots["task"].path,
                f"family {flat[0]} is no backbone of a detector or segmenter: its stages are not "
                "the levels 4, 8, 16 and 32",
            )
        if "task" in slots and "resolution" in model.model_fields_set:
            raise self.document.error(
                ("model", "resolution"),
                "model.resolution has no effect with a task: costs are for the paper's image sizes",
                key=True,
            )

    def constant(self, key: str, path: Path, value: Value) -> None:
        self._set(key, path, value)

    def _set(self, key: str, path: Path, value: Any, stage: int = 0, block: int = 0) -> None:
        if isinstance(value, bool | int | float | str):
            self._check_value(key, value, path, path)
            slot = Slot(key, stage, block, path, None, value)
            if key == "blocks" and "depth" in self.layout.slots:
                slot = Slot(key, stage, block, path, Parameter(slot.name, (value,)))
        else:
            parameter = parameter_at(self.document, path, value, slot_name(key, stage, block))
            self._check_parameter(key, parameter, path)
            slot = Slot(key, stage, block, path, parameter)
        self.layout.slots[slot.name] = slot

    def _listed(self, path: Path, value: Any) -> InputError:
        return self.document.error(
            path, f"{title(path)}: write {{choice: {show(value)}}} for a choice of values"
        )

    def _check_parameter(self, key: str, parameter: Parameter, path: Path) -> None:
        if not parameter.finite:
            raise self.document.error(path, f"{title(path)} must not be continuous: give it a step")
        if parameter.cardinality > _MAX_VALUES:
            count = int(parameter.cardinality)
            raise self.document.error(
                path, f"{title(path)} has {count} values; at most {_MAX_VALUES}"
            )
        for index, value in enumerate(parameter.values()):
            self._check_value(key, value, path, value_path(parameter, path, index))

    def _check_value(self, key: str, value: Value, path: Path, at: Path) -> None:
        reason = self._problem(key, value)
        if reason is not None:
            raise self.document.error(at, f"{title(path)}: {reason}")

    def _problem(self, key: str, value: Value) -> str | None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if key == "family":
            return unknown_problem("family", value, FAMILIES)
        if key == "depth":
            return unknown_problem("depth", value, (*self.layout.family.presets, "custom"))
        if key in ("operator", "neck", "head"):
            reason = unknown_problem(key, value, ops.names())
            return reason if reason or key == "operator" else task_problem(key, value)
        if key == "task":
            return unknown_problem("task", value, TASKS)
        if key == "width":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            good = number and 0 < float(value) <= _MAX_WIDTH
            return None if good else f"width {show(value)} must be above 0 and at most {_MAX_WIDTH}"
        if key == "blocks":
            good = whole and 1 <= int(value) <= _MAX_BLOCKS
            return (
                None if good else f"blocks {show(value)} must be a whole number, 1 to {_MAX_BLOCKS}"
            )
        if key in (settings := family_settings()):
            reason = settings[key].problem(value)
            return reason and f"{key} = {value!r} {reason}"
        return hyperparameter_problem(key, value)


def value_path(parameter: Parameter, path: Path, index: int) -> Path:
    """Where a value of a parameter stands in the file."""
    return (*path, "range") if parameter.choices is None else (*path, "choice", index)


def unknown_problem(what: str, value: Value, allowed: Any) -> str | None:
    """Say that a value is none of those allowed, or return None."""
    if any(value == known and type(value) is type(known) for known in allowed):
        return None
    listed = ", ".join(map(str, allowed))
    quoted = isinstance(value, str) and value in map(str, allowed)
    hint = " (write it without quotes)" if quoted else nearest(value, allowed)
    return f"{what} {show(value)} is unknown{hint}; allowed: {listed}"


def hyperparameter_problem(key: str, value: Value) -> str | None:
    """Say why no operator can have this value, or return None if one can."""
    reasons = [
        op.problem(None, {key: value}) for op in operator_specs() if key in op.hyperparameters
    ]
    refused = [reason for reason in reasons if reason is not None]
    return refused[0].detail if len(refused) == len(reasons) else None
