"""The Space of somebody else's networks: ``model: {builder:}`` or ``{timm:}``, with its rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import ops
from invsearch.errors import InputError, nearest
from invsearch.models.module import TIMM, ModuleSpec
from invsearch.models.replacement import KEEP, Replacement
from invsearch.space.architecture import Value
from invsearch.space.conditions import Clause, Term, explicit_clauses, mentioned
from invsearch.space.entries import checked_order, read_parameters, title
from invsearch.space.network.layout import (
    hyperparameter_names,
    hyperparameter_problem,
    unknown_problem,
)
from invsearch.space.parameter import Parameter
from invsearch.space.schema import Model, Replace
from invsearch.space.space import Space
from invsearch.space.validation import unknown_key
from invsearch.space.yaml_file import Document, Path, show

__all__ = ["module_spec", "own_model_space", "referred", "unchanged"]

_REFERENCE = "$"


def own_model_space(document: Document, model: Model, space: dict[str, Any]) -> Space:
    """Build the space of an own model: every entry is a parameter, or a constant.

    A parameter that is a hyperparameter of replacing operators alone has an effect only where one
    of these has it.

    Raises:
        InputError: With the position of what is wrong.
    """
    _check_model(document, model)
    constants = {name: value for name, value in space.items() if _is_scalar(value)}
    entries = {name: value for name, value in space.items() if name not in constants}
    if "task" in space:
        raise document.error(
            ("space", "task"), "space.task: a parameter of an own model has another name", key=True
        )
    for name in constants:
        if name in model.arguments:
            raise document.error(
                ("space", name), f"space.{name} is given already, as model.arguments.{name}"
            )
    parameters = read_parameters(document, "space", entries)
    by_name = {parameter.name: parameter for parameter in parameters}
    for index, rule in enumerate(model.replace):
        _check_rule(document, index, rule, by_name, constants)
    clauses = {p.name: (*explicit_clauses(p.when), *_implicit(p.name, model, by_name, constants))
               for p in parameters}  # fmt: skip
    paths: dict[str, Path] = {name: ("space", name) for name in by_name}
    checked_order(document, paths, {name: mentioned(found) for name, found in clauses.items()})
    return Space(parameters, clauses=clauses, constants=constants)


def module_spec(
    model: Model,
    constants: Mapping[str, Value],
    values: Mapping[str, Value],
    search_paths: tuple[str, ...] = (),
) -> ModuleSpec:
    """Resolve an architecture's parameters to the network that they stand for.

    Args:
        model: The section.
        constants: What the space holds.
        values: What varies; a parameter without an effect is not there.
        search_paths: Folders in which the builder's module is looked for first.
    """
    known = {**constants, **values}
    used = referred(model)
    arguments = {**model.arguments, **{k: v for k, v in known.items() if k not in used}}
    rules = tuple(rule for one in model.replace if (rule := _resolved(one, known)) is not None)
    return ModuleSpec(
        builder=model.builder or f"{TIMM}{model.timm}",
        parameters=tuple(arguments.items()),
        replace=rules,
        num_classes=model.num_classes,
        in_channels=model.in_channels,
        search_paths=search_paths,
    )


def referred(model: Model) -> frozenset[str]:
    """The parameters that rules name."""
    values = [v for one in model.replace for v in (one.operator, *one.settings.values())]
    return frozenset(name for value in values if (name := _referred(value)))


def unchanged(model: Model, space: Space) -> dict[str, Value] | None:
    """The values at which no rule replaces anything, where there are such; else None.

    What decides nothing about that takes its first value.
    """
    operators = {_referred(one.operator) for one in model.replace}
    literal = any(not _referred(one.operator) and one.operator != KEEP for one in model.replace)
    if not model.replace or literal:
        return None
    chosen: dict[str, Value] = {}
    for parameter in space.parameters:
        value = KEEP if parameter.name in operators else next(parameter.values())
        if not parameter.contains(value):
            return None
        if space.active(parameter.name, chosen):
            chosen[parameter.name] = value
    held = [space.constants[name] for name in operators if name and name in space.constants]
    return chosen if all(value == KEEP for value in held) else None


def _check_model(document: Document, model: Model) -> None:
    keys = [key for key in ("family", "builder", "timm") if getattr(model, key) is not None]
    if len(keys) > 1:
        raise document.error(
            ("model", keys[1]), f"model.{keys[0]} and model.{keys[1]} exclude each other", key=True
        )
    for key in model.model_extra or {}:
        allowed = [name for name in Model.model_fields if name != "family"]
        error = unknown_key(document, ("model", key), allowed)
        way = f"what {model.own} is given stands in model.arguments"
        raise InputError(f"{error}; {way}")


def _check_rule(
    document: Document,
    index: int,
    rule: Replace,
    parameters: Mapping[str, Parameter],
    constants: Mapping[str, Value],
) -> None:
    """Check that a rule names operators, hyperparameters and parameters that there are."""
    at: Path = ("model", "replace", index)
    for key, value in {"operator": rule.operator, **rule.settings}.items():
        path: Path = (*at, key)
        if key != "operator" and key not in hyperparameter_names():
            raise unknown_key(
                document, path, ["match", "operator", "stage", *hyperparameter_names()]
            )
        if not _is_scalar(value):
            raise document.error(path, f"{title(path)} must be a value or $NAME, not {show(value)}")
        for one, place in _values(document, path, value, parameters, constants):
            reason = (
                unknown_problem("operator", one, (KEEP, *ops.names()))
                if key == "operator"
                else hyperparameter_problem(key, one)
            )
            if reason:
                raise document.error(place, f"{title(path)}: {reason}")


def _values(
    document: Document,
    path: Path,
    value: Value,
    parameters: Mapping[str, Parameter],
    constants: Mapping[str, Value],
) -> Iterator[tuple[Value, Path]]:
    """What a value of a rule may be, with where that stands."""
    name = _referred(value)
    if not name:
        yield value, path
    elif name in constants:
        yield constants[name], ("space", name)
    elif name not in parameters:
        names = [*parameters, *constants]
        raise document.error(
            path,
            f"{title(path)}: there is no parameter {name!r}{nearest(name, names)}; there are: "
            f"{', '.join(names)}",
        )
    elif not parameters[name].finite:
        raise document.error(
            ("space", name), f"space.{name} must not be continuous: give it a step"
        )
    else:
        for one in parameters[name].values():
            yield one, ("space", name)


def _implicit(
    name: str,
    model: Model,
    parameters: Mapping[str, Parameter],
    constants: Mapping[str, Value],
) -> tuple[Clause, ...]:
    """When a parameter has an effect, where all that it sets are hyperparameters of rules."""
    reference = f"{_REFERENCE}{name}"
    read = [(one, [k for k, v in one.settings.items() if v == reference]) for one in model.replace]
    reading = [(one, keys) for one, keys in read if keys]
    if not reading or any(one.operator == reference for one in model.replace):
        return ()
    terms: list[Term] = []
    for one, keys in reading:
        other = _referred(one.operator)
        if other in parameters:
            having = [v for v in parameters[other].values() if _has(str(v), keys)]
            terms.append(((other, frozenset(having)),))
        elif _has(str(constants.get(other, one.operator)), keys):
            return ()
    return (tuple(terms),)


def _has(operator: str, keys: list[str]) -> bool:
    return operator != KEEP and not set(keys).isdisjoint(ops.get(operator).hyperparameters)


def _resolved(rule: Replace, values: Mapping[str, Value]) -> Replacement | None:
    """The rule with its parameters' values; None where its operator has no effect."""
    operator = values.get(_referred(rule.operator)) if _referred(rule.operator) else rule.operator
    if operator is None:
        return None
    having = () if operator == KEEP else tuple(ops.get(str(operator)).hyperparameters)
    settings = {
        key: values.get(_referred(value)) if _referred(value) else value
        for key, value in rule.settings.items()
        if key in having
    }
    given = tuple(sorted((key, value) for key, value in settings.items() if value is not None))
    return Replacement(rule.match, str(operator), given, rule.stage or 0)


def _referred(value: object) -> str:
    """The parameter that a rule's value names; empty where it is a value."""
    named = isinstance(value, str) and value.startswith(_REFERENCE)
    return str(value).removeprefix(_REFERENCE) if named else ""


def _is_scalar(value: object) -> bool:
    return isinstance(value, bool | int | float | str)
