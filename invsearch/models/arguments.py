"""What the arguments of networks may be: one table, and one rule that says what breaks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from invsearch.errors import InputError, nearest
from ops.hyperparameter import Hyperparameter, positive_int

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = ["ARGUMENTS", "GLOBAL_POOLS", "checked", "plain", "require", "shown"]

GLOBAL_POOLS = ("avg", "max", "")
"""What reduces the last feature map to one vector; the empty text leaves it as it is."""

_LARGEST = 2**31 - 1  # channels or classes; beyond it 32-bit indices end, of labels first
_WIDEST = 1000  # times a family's width: half a million channels inside a bottleneck
_PLAIN = frozenset({int, float, str, bool, type(None)})
_SHOWN = 60  # characters of a value in an error's line; an array's would fill a page


def _count(value: Any) -> str | None:
    if type(value) is int and 0 <= value <= _LARGEST:
        return None
    return "must be a whole number of at least 0, where 0 means features without a classifier"


def _channels(value: Any) -> str | None:
    return positive_int(value) or (None if value <= _LARGEST else f"must be at most {_LARGEST}")


def _multiplier(value: Any) -> str | None:
    number = type(value) in (int, float)
    if number and 0 < value <= _WIDEST:
        return None
    return f"must be a multiplier above 0 and at most {_WIDEST}, such as 0.5 or 1"


ARGUMENTS: Mapping[str, Hyperparameter] = {
    "num_classes": Hyperparameter(1000, check=_count, description="width of the linear head"),
    "in_channels": Hyperparameter(3, check=_channels, description="channels of the images"),
    "width": Hyperparameter(1.0, check=_multiplier, description="multiplier of every width"),
    "deep_stem": Hyperparameter(False, allowed=(False, True), description="three 3x3, not one 7x7"),
    "global_pool": Hyperparameter("avg", allowed=GLOBAL_POOLS, description="before the head"),
}
"""What a network has beside the settings of its family and of its operators."""


def plain(name: str, value: Any) -> Value | None:
    """A setting as Python's own number, text, truth value or None.

    A scalar of numpy, or a tensor of no dimension, becomes the number that it holds.

    Raises:
        InputError: If it is something else, such as a list.
    """
    if type(value) in _PLAIN:
        return value  # type: ignore[no-any-return]
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        item = value.item()
        if type(item) in _PLAIN:
            return item  # type: ignore[no-any-return]
    raise InputError(f"{name} is {shown(value)}: give one number, text or truth value")


def require(name: str, value: Any, known: Hyperparameter | None = None) -> None:
    """Raise InputError, naming value and what is allowed, if an argument cannot have a value.

    Args:
        name: The argument.
        value: What it was given.
        known: What it may be; default: what :data:`ARGUMENTS` says.
    """
    known = known or ARGUMENTS[name]
    reason = known.problem(value)
    if reason is not None:
        hint = nearest(value, known.allowed or ())
        raise InputError(f"{name} is {shown(value)}: it {reason}{hint}")


def checked(name: str, value: Any, known: Hyperparameter | None = None) -> Any:
    """:func:`plain`, then :func:`require`: the value that an argument has."""
    value = plain(name, value)
    require(name, value, known)
    return value


def shown(value: object) -> str:
    """A value as Python writes it, in one line and cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
