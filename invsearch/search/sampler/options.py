"""What cannot be an option of the sampler, said before a search begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from optuna.distributions import BaseDistribution

from invsearch.errors import InputError

__all__ = ["check_options"]


def check_options(search_space: Any, options: Mapping[str, Any]) -> None:
    """Check the options of :class:`~invsearch.search.sampler.CostAwareSampler`, by their names.

    Raises:
        InputError: Naming the option, its value and what is expected.
    """
    if search_space is not None:
        _check_space(search_space)
    for name in ("costs", "canonical", "feasible", "hints"):
        if options[name] is not None and not callable(options[name]):
            raise InputError(
                f"{name} is {options[name]!r}: it is a function of a point's parameters"
            )
    for name in ("seed", "start", "whole"):
        number = options[name]
        if number is not None and (not isinstance(number, Integral) or number < 0):
            raise InputError(f"{name} is {number!r}: it is an integer, 0 at least")
    candidates = options["candidates"]
    if candidates is not None and not callable(candidates):
        _check_candidates(candidates, search_space)


def _check_space(space: Any) -> None:
    if not isinstance(space, Mapping):
        raise InputError(f"search_space is {space!r}: it is a mapping from names to distributions")
    for name, distribution in space.items():
        if not isinstance(distribution, BaseDistribution):
            raise InputError(
                f"search_space: {name} is {distribution!r}: it is a distribution of Optuna's, such"
                " as CategoricalDistribution([1, 2])"
            )


def _check_candidates(candidates: Any, space: Mapping[str, BaseDistribution] | None) -> None:
    if not isinstance(candidates, Sequence) or not all(isinstance(p, Mapping) for p in candidates):
        raise InputError(
            "candidates are a sequence of points, each a mapping from names to values, or a"
            " function of a random number generator and a count"
        )
    if not candidates:
        raise InputError("candidates are empty: give a point at least, or none for the whole space")
    if space is None:
        return
    for point in candidates:
        for name in point:
            if name not in space:
                raise InputError(
                    f"candidates: {name} of {dict(point)} is no parameter of the search space"
                    f" ({', '.join(space)})"
                )
