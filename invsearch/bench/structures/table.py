"""The structures that strategies are compared on; a new one is one row."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from invsearch.bench.structures.structure import Objective, Parameter, Structure
from invsearch.bench.structures.worth import (
    Worth,
    additive,
    alike,
    interacting,
    mixed,
    paths,
    plateaus,
    smooth,
    switched,
)

__all__ = ["STRUCTURES", "get_structure"]

Array = NDArray[np.float64]
Make = Callable[[np.random.Generator], Worth]


@dataclass(frozen=True)
class Row:
    """A structure before its numbers are drawn.

    Attributes:
        name: What it is called.
        parameters: Its parameters.
        objectives: Draws its objectives.
    """

    name: str
    parameters: tuple[Parameter, ...]
    objectives: Callable[[np.random.Generator], tuple[Objective, ...]]

    def drawn(self, draw: int = 0) -> Structure:
        """The structure of a draw; all but 0 are called ``NAME__DRAW``."""
        name = f"{self.name}__{draw}" if draw else self.name
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        return Structure(name, self.parameters, self.objectives(rng))


def _choices(count: int, levels: int) -> tuple[Parameter, ...]:
    return tuple(Parameter(f"p{j}_", levels) for j in range(count))


def _error(worth: Worth, noise: Worth | None = None) -> Objective:
    """Percent, from about 5 up; what makes a point better multiplies what is above that."""
    return Objective(
        "error", lambda x: 5.0 + np.minimum(85.0, 15.0 * np.exp(-worth(x))), noise=noise
    )


def _price(parameters: Sequence[Parameter], rng: np.random.Generator, name: str = "cost") -> Worth:
    """A sum over the parameters; of choices it rises with the level, alike where they are."""
    of: dict[str, Array] = {}
    for p in parameters:
        if p.kind not in of:
            of[p.kind] = np.sort(rng.lognormal(0.0, 1.0, max(p.levels, 2)))
    prices = [of[p.kind] for p in parameters]

    def price(x: Array) -> Array:
        total = np.ones(len(x))
        for j, (parameter, price) in enumerate(zip(parameters, prices, strict=True)):
            if parameter.levels:
                total += price[x[:, j].astype(np.intp)]
            else:
                total += price[0] + (price[-1] - price[0]) * x[:, j]
        return total

    return price


def _structure(
    name: str,
    parameters: tuple[Parameter, ...],
    make: Make,
    *,
    known: bool = True,
    noise: Worth | None = None,
    more: Callable[[np.random.Generator, Worth], tuple[Objective, ...]] | None = None,
) -> Row:
    """Error against a price, and ``more`` objectives."""

    def draw(rng: np.random.Generator) -> tuple[Objective, ...]:
        worth = make(rng)
        objectives = (_error(worth, noise), Objective("cost", _price(parameters, rng), known))
        return objectives + (more(rng, worth) if more is not None else ())

    return Row(name, parameters, draw)


def _alone(name: str, parameters: tuple[Parameter, ...], make: Make) -> Row:
    return Row(name, parameters, lambda rng: (_error(make(rng)),))


def _memory(parameters: Sequence[Parameter]) -> Callable[..., tuple[Objective, ...]]:
    return lambda rng, worth: (Objective("memory", _price(parameters, rng), True),)


def _second(sign: float) -> Callable[..., tuple[Objective, ...]]:
    """A second unknown objective, of like (1) or of opposed (-1) order to the error."""

    def more(rng: np.random.Generator, worth: Worth) -> tuple[Objective, ...]:
        own = additive(7, 4, rng)
        return (Objective("fault", lambda x: 3.0 + np.exp(-sign * 0.8 * worth(x) - 0.6 * own(x))),)

    return more


def _deep() -> tuple[Parameter, ...]:
    """A depth of 1 to 4, and two choices of each stage, without effect where there is no stage."""
    # the network is built up stage by stage: the last choice of depth has every stage
    depth = Parameter("depth", 4)
    first = (Parameter("a0_", 4), Parameter("b0_", 3))
    later = tuple(
        Parameter(f"{letter}{stage}_", levels, when=("depth", stage))
        for stage in (1, 2, 3)
        for letter, levels in (("a", 4), ("b", 3))
    )
    return (depth, *first, *later)


def _mixed(rng: np.random.Generator) -> Worth:
    return mixed([(slice(0, 4), interacting(4, 4, rng, order=2)), (slice(4, 8), smooth(4, rng))])


def _ordinal(rng: np.random.Generator) -> Worth:
    """A bump over numbers from 0 to 5."""
    worth = smooth(6, rng)
    return lambda x: worth(x / 5.0)


def _stages(rng: np.random.Generator) -> Worth:
    """Of one to four stages, each with the worth of its two choices, later ones less."""
    first = rng.standard_normal((4, 4))
    second = rng.standard_normal((4, 3))
    fade = 0.7 ** np.arange(4)

    def worth(x: Array) -> Array:
        index = x.astype(np.intp)
        stage = np.arange(4)
        own = 0.5 + 0.4 * (first[stage, index[:, 1::2]] + second[stage, index[:, 2::2]])
        return np.asarray(np.where(stage <= index[:, :1], fade * own, 0.0).sum(axis=1))

    return worth


def _noisier_when_good(true: Array) -> Array:
    return np.where(true < 15.0, 0.32, 0.02)


def _constant(deviation: float) -> Worth:
    return lambda true: np.full(len(true), deviation)


_SEVEN = _choices(7, 4)  # 16,384 points: all are candidates of cost_aware
_EIGHT = _choices(8, 4)  # 65,536: a pool of them is
_CELL = _choices(6, 5)
_OPERATORS = tuple(Parameter(f"op{j}", 4, like="o") for j in range(7))
_RANGES = tuple(Parameter(f"r{j}", 6, ordered=True) for j in range(6))
_MIXED = (*_choices(4, 4), *(Parameter(f"u{j}", 0) for j in range(4)))

_ROWS: tuple[Row, ...] = (
    _structure("additive", _SEVEN, lambda rng: additive(7, 4, rng)),
    _structure("pairs", _SEVEN, lambda rng: interacting(7, 4, rng, order=2)),
    _structure("triples", _EIGHT, lambda rng: interacting(8, 4, rng, order=3)),
    _structure("switches", _SEVEN, lambda rng: switched(7, 4, rng)),
    _structure("cell", _CELL, paths),
    _structure("cell_2", _CELL, paths),
    _structure("plateaus", _SEVEN, lambda rng: plateaus(interacting(7, 4, rng, order=2))),
    # deviations of log error: between architectures about .5
    _structure("noisy", _SEVEN, lambda rng: interacting(7, 4, rng, order=2), noise=_constant(0.25)),
    _structure("noisy_cell", _CELL, paths, noise=_constant(0.1)),
    _structure(
        "noisy_ends",
        _SEVEN,
        lambda rng: interacting(7, 4, rng, order=2),
        noise=_noisier_when_good,
    ),
    _structure("ordinal", _RANGES, _ordinal),
    _structure("ranges", _MIXED, _mixed),
    _structure("conditional", _deep(), _stages),
    _structure("fifteen", _choices(15, 3), lambda rng: interacting(15, 3, rng, order=2)),
    _structure("thirty", _choices(30, 3), lambda rng: interacting(30, 3, rng, order=2)),
    _structure(
        "three_objectives",
        _SEVEN,
        lambda rng: interacting(7, 4, rng, order=2),
        more=_memory(_SEVEN),
    ),
    _structure("no_costs", _SEVEN, lambda rng: interacting(7, 4, rng, order=2), known=False),
    _structure("cell_no_costs", _CELL, paths, known=False),
    _structure("operators", _OPERATORS, lambda rng: alike(7, 4, rng)),
    _structure("operators_no_costs", _OPERATORS, lambda rng: alike(7, 4, rng), known=False),
    _structure("opposed", _SEVEN, lambda rng: interacting(7, 4, rng, order=2), more=_second(-1.0)),
    _structure(
        "alike_no_costs",
        _SEVEN,
        lambda rng: interacting(7, 4, rng, order=3),
        known=False,
        more=_second(1.0),
    ),
    _structure(
        "four_objectives",
        _SEVEN,
        lambda rng: interacting(7, 4, rng, order=2),
        more=lambda rng, worth: _memory(_SEVEN)(rng, worth) + _second(-1.0)(rng, worth),
    ),
    _alone("one_objective", _EIGHT, lambda rng: interacting(8, 4, rng, order=3)),
)

STRUCTURES: tuple[Structure, ...] = tuple(row.drawn() for row in _ROWS)
"""What ``invsearch bench-search structures`` runs."""


def get_structure(name: str) -> Structure:
    """The structure of a name of the table, or of one of its other draws.

    Raises:
        KeyError: If there is none.
    """
    base, _, draw = name.partition("__")
    for row in _ROWS:
        if row.name == base and (not draw or draw.isdecimal()):
            return row.drawn(int(draw or 0))
    raise KeyError(name)
