"""What single values of a space file may be: the types of the sections' fields."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from invsearch.errors import nearest, without_password
from invsearch.plugins import Table
from invsearch.space.yaml_file import show

__all__ = [
    "Device",
    "Gpus",
    "Name",
    "Number",
    "Real",
    "Reference",
    "Resource",
    "Scalar",
    "Storage",
    "TargetName",
    "TrainingDevice",
    "Whole",
    "auto_or",
    "auto_or_row_of",
    "row_of",
]


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {show(value)}")
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, not {value}")
    return value


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"must be a word, a number, true or false, not {show(value)}")
    return value if isinstance(value, bool | str) else _number(value)


def auto_or(least: int) -> Callable[[Any], Any]:
    """What checks that a value is ``auto`` or a whole number that is not below ``least``."""

    def check(value: Any) -> Any:
        value = _integral(value)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value != "auto" and not (whole and value >= least):
            raise ValueError(
                f"must be 'auto' or a whole number of at least {least}, not {show(value)}"
            )
        return value

    return check


def row_of(table: Table) -> Callable[[Any], Any]:
    """What checks that a value is the name of a row."""

    def check(value: Any) -> Any:
        if value not in table:
            hint = nearest(value, table)
            raise ValueError(f"cannot be {show(value)}{hint}; allowed: {table}")
        return value

    return check


def auto_or_row_of(table: Table) -> Callable[[Any], Any]:
    """What checks that a value is ``auto`` or the name of a row."""
    row = row_of(table)
    return lambda value: value if value == "auto" else row(value)


def _reference(value: str) -> str:
    module, _, function = value.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"must be written package.module:function, not {show(value)}")
    return value


def _device(value: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", value):
        raise ValueError(f"must be cpu, cuda or cuda:N, not {show(value)}")
    return value


def _target_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", value):
        raise ValueError(f"must be letters, digits, '.', '-' and '_', not {show(value)}")
    return value


def _training_device(value: str) -> str:
    return value if value == "auto" else _device(value)


def _storage(value: str) -> str:
    if without_password(value) != value:
        raise ValueError(
            f"{without_password(value)} was given with a password, which would be kept in the "
            "run's folder: leave it to PGPASSWORD, to ~/.pgpass or to --storage"
        )
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError(f"must be postgresql://USER@HOST:PORT/DATABASE, not {show(value)}")
    return value


def _gpus(value: float) -> float:
    if value > 1 and not value.is_integer():
        raise ValueError(f"must be a whole number, or at most 1, not {show(value)}")
    return value


def _resource(value: str) -> str:
    own = {"cpu": "cpus_per_trial", "gpu": "gpus_per_trial"}
    if value.lower() in own:
        raise ValueError(f"{value} is not named here: use cluster.{own[value.lower()]}")
    if not value.strip():
        raise ValueError("a resource has a name")
    return value


def _name(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if not value.isprintable():
        raise ValueError("must be printable and on one line")
    return value


Whole = Annotated[int, BeforeValidator(_integral)]
Number = Annotated[int | float, BeforeValidator(_number)]
Real = Annotated[float, BeforeValidator(_number)]
Scalar = Annotated[bool | int | float | str, BeforeValidator(_scalar)]
Reference = Annotated[str, AfterValidator(_reference)]
Name = Annotated[str, AfterValidator(_name)]
Device = Annotated[str, AfterValidator(_device)]
TrainingDevice = Annotated[str, AfterValidator(_training_device)]
TargetName = Annotated[str, AfterValidator(_target_name)]
Storage = Annotated[str, AfterValidator(_storage)]
Gpus = Annotated[Real, AfterValidator(_gpus)]
Resource = Annotated[str, AfterValidator(_resource)]
