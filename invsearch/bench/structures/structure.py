"""Structure: a made search space whose truth is known, as a space file and as arrays."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.bench.structures.worth import Worth
from invsearch.runs.front import non_dominated

__all__ = ["Objective", "Parameter", "Structure"]

Array = NDArray[np.float64]

_EVALUATORS = "invsearch.bench.structures.evaluators"
_MOST = 100_000  # points that are all evaluated for the true front
_BRED, _GENERATIONS = 1000, 150  # else 150,000 evaluations of an evolution that sees the truth
_PARENTS = 300  # of the front, evenly; a front between ranges has no end


@dataclass(frozen=True)
class Parameter:
    """One parameter of a structure.

    Attributes:
        name: Its name.
        levels: How many values it has; 0 for a continuous one between 0 and 1.
        ordered: Whether these are numbers rather than choices.
        when: Another parameter and the level of it with which alone this one has an effect.
        like: What its choices are called after, where several parameters have the same; else it.
    """

    name: str
    levels: int
    ordered: bool = False
    when: tuple[str, int] | None = None
    like: str = ""

    @property
    def kind(self) -> str:
        """What its choices are called after."""
        return self.like or self.name

    def declared(self) -> dict[str, Any]:
        """As a space file declares it."""
        if not self.levels:
            found: dict[str, Any] = {"range": [0.0, 1.0]}
        elif self.ordered:
            found = {"range": [0, self.levels - 1]}
        else:
            found = {"choice": [f"{self.kind}{k}" for k in range(self.levels)]}
        if self.when is not None:
            name, level = self.when
            found["when"] = {name: f"{name}{level}"}
        return found

    def level(self, value: Any) -> float:
        """The level of a value: the index of a choice, the number itself of a range."""
        if self.levels and not self.ordered:
            return float(str(value).removeprefix(self.kind))
        return float(value)

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """``n`` levels."""
        drawn = rng.integers(self.levels, size=n) if self.levels else rng.random(n)
        return np.asarray(drawn, dtype=np.float64)


@dataclass(frozen=True)
class Objective:
    """One minimised objective.

    Attributes:
        name: Its name.
        values: Of levels (n, parameters): (n,).
        known: Whether it can be had without an evaluation.
        noise: Deviation of the logarithm of what is observed, of the true values (n,).
    """

    name: str
    values: Worth
    known: bool = False
    noise: Worth | None = None


@dataclass(frozen=True)
class Structure:
    """A made search space.

    Attributes:
        name: What it is called.
        parameters: Its parameters.
        objectives: What is minimised.
    """

    name: str
    parameters: tuple[Parameter, ...]
    objectives: tuple[Objective, ...]

    def declared(self) -> dict[str, Any]:
        """The space file."""
        file: dict[str, Any] = {
            "name": self.name,
            "objectives": {objective.name: "minimize" for objective in self.objectives},
            "params": {parameter.name: parameter.declared() for parameter in self.parameters},
            "evaluator": f"{_EVALUATORS}:{self.name}",
        }
        if any(objective.known for objective in self.objectives):
            file["costs"] = f"{_EVALUATORS}:{self.name}_costs"
        return file

    def evaluate(self, values: Mapping[str, Any], seed: int) -> dict[str, float]:
        """What an evaluation observes with a seed; ``true_<objective>`` where it is noisy."""
        x = self._levels(values)
        found: dict[str, float] = {}
        for objective in self.objectives:
            true = objective.values(x)
            found[objective.name] = float(true[0])
            if objective.noise is not None:
                rng = np.random.default_rng(
                    [seed, zlib.crc32(repr(sorted(values.items())).encode())]
                )
                deviation = float(objective.noise(true)[0])
                found[f"true_{objective.name}"] = float(true[0])
                found[objective.name] *= float(np.exp(deviation * rng.standard_normal()))
        return found

    def costs(self, values: Mapping[str, Any]) -> dict[str, float]:
        """The known objectives."""
        x = self._levels(values)
        return {o.name: float(o.values(x)[0]) for o in self.objectives if o.known}

    @cached_property
    def points(self) -> Array:
        """The true objectives of every point, or of those that evolution met: (n, objectives)."""
        sizes = [parameter.levels for parameter in self.parameters]
        if not all(sizes) or np.prod([float(size) for size in sizes]) > _MOST:
            return self._bred()
        mesh = np.meshgrid(*[np.arange(size) * 1.0 for size in sizes], indexing="ij")
        return self._truth(np.stack([axis.ravel() for axis in mesh], axis=1))

    def _levels(self, values: Mapping[str, Any]) -> Array:
        """(1, parameters); a parameter without effect has level 0."""
        levels = [p.level(values[p.name]) if p.name in values else 0.0 for p in self.parameters]
        return np.array([levels])

    def _truth(self, x: Array) -> Array:
        x = x.copy()
        names = [parameter.name for parameter in self.parameters]
        for j, parameter in enumerate(self.parameters):
            if parameter.when is not None:
                name, level = parameter.when
                x[x[:, names.index(name)] != level, j] = 0.0
        return np.stack([objective.values(x) for objective in self.objectives], axis=1)

    def _bred(self) -> Array:
        """What a long evolution from the front meets: its front is taken for the true one."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        x = np.stack([p.draw(rng, 20 * _BRED) for p in self.parameters], axis=1)
        values = self._truth(x)
        worst = values.max(axis=0, keepdims=True)
        for _ in range(_GENERATIONS):
            different = np.unique(values, axis=0, return_index=True)[1]  # by the first objective
            front = different[non_dominated(values[different])]
            front = front[np.linspace(0, len(front) - 1, min(len(front), _PARENTS)).astype(int)]
            x, values = x[front], values[front]
            child = self._children(x, rng)
            x = np.concatenate([x, child])
            values = np.concatenate([values, self._truth(child)])
        return np.concatenate([values, worst])

    def _children(self, parents: Array, rng: np.random.Generator) -> Array:
        child: Array
        mothers, fathers = parents[rng.integers(len(parents), size=(2, _BRED))]
        child = np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)
        for j, parameter in enumerate(self.parameters):
            hit = rng.random(_BRED) < 1.5 / len(self.parameters)
            fresh = parameter.draw(rng, int(hit.sum()))
            if not parameter.levels:
                near = child[hit, j] + 0.05 * rng.standard_normal(len(fresh))
                fresh = np.where(rng.random(len(fresh)) < 0.7, np.clip(near, 0.0, 1.0), fresh)
            child[hit, j] = fresh
        return child
