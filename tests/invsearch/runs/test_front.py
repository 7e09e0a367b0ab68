"""The front against brute force, and its probabilities against what is known in closed form."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from invsearch.metrics import Direction, Fidelity, Metric
from invsearch.runs import Trial, front, hypervolume, hypervolume_trace
from invsearch.runs.front import non_dominated, reference_point
from invsearch.space.architecture import Architecture

Points = list[tuple[float, ...]]


def make_trial(
    number: int, values: tuple[float, ...], half: float = 0.0, **changes: object
) -> Trial:
    metrics = {
        name: Metric(name, value, "evaluated", *((value - half, value + half) if half else ()))
        for name, value in zip("abcd", values, strict=False)
    }
    fields: dict[str, Any] = {"state": "complete", "metrics": metrics, **changes}
    return Trial(number=number, architecture=Architecture((("x", number),)), **fields)


def minimized(names: str) -> dict[str, Direction]:
    return dict.fromkeys(names, "minimize")


def inclusion_exclusion(points: Points, reference: tuple[float, ...]) -> float:
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in itertools.combinations(points, size):
            corner = [max(values) for values in zip(*chosen, strict=True)]
            sides = [max(0.0, r - c) for r, c in zip(reference, corner, strict=True)]
            total += (-1) ** (size + 1) * math.prod(sides)
    return total


def clouds(size: int) -> st.SearchStrategy[Points]:
    value = st.integers(0, 6).map(float)
    return st.lists(st.tuples(*[value] * size), max_size=7)


@given(st.integers(1, 4).flatmap(clouds))
def test_hypervolume_is_exact(points: Points) -> None:
    """Ties, duplicates, dominated points, points beyond the reference; one to four objectives."""
    reference = (5.0,) * (len(points[0]) if points else 2)
    assert hypervolume(points, reference) == pytest.approx(inclusion_exclusion(points, reference))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_hypervolume_of_many_points_agrees_with_counting_cells(size: int) -> None:
    """Larger sets than inclusion-exclusion can check: integer points, so cells can be counted."""
    points: NDArray[Any] = np.random.default_rng(size).integers(0, 8, (60, size))
    axis = np.arange(8)
    cells: NDArray[Any] = np.stack(np.meshgrid(*[axis] * size, indexing="ij"), axis=-1).reshape(
        -1, size
    )
    covered = [bool((point >= points).all(axis=1).any()) for point in cells]
    assert hypervolume(points, [8] * size) == sum(covered)


@pytest.mark.parametrize("reference", [[], [1] * 5, 3.0, [[1, 2]]])
def test_hypervolume_refuses_a_wrong_reference(reference: Any) -> None:
    """A wrong shape would be broadcast to a wrong number."""
    with pytest.raises(ValueError, match="reference"):
        hypervolume([[1.0, 2.0]], reference)
    with pytest.raises(ValueError, match="do not fit"):
        hypervolume([[1.0, 2.0]], [1.0, 2.0, 3.0])


@given(st.integers(1, 4).flatmap(clouds))
def test_front_is_who_nobody_dominates(points: Points) -> None:
    """The definition, spelled out pair by pair; equal points are both members."""
    trials = [make_trial(number, point) for number, point in enumerate(points)]
    size = len(points[0]) if points else 2
    objectives = minimized("abcd"[:size])
    expected = {
        trial.number
        for trial, point in zip(trials, points, strict=True)
        if not any(
            other != point and all(o <= p for o, p in zip(other, point, strict=True))
            for other in points
        )
    }
    found = front(trials, objectives)
    assert {member.trial.number for member in found} == expected
    assert all(member.p_front == 1.0 for member in found)


def test_directions_turn_the_front() -> None:
    """More accuracy is better, more latency is not."""
    trials = [make_trial(0, (70.0, 5.0)), make_trial(1, (75.0, 9.0)), make_trial(2, (69.0, 6.0))]
    members = front(trials, {"a": "maximize", "b": "minimize"})
    assert [member.trial.number for member in members] == [1, 0]


def test_only_complete_feasible_fully_trained_trials_are_members() -> None:
    """Stopped, failed, infeasible and half-trained trials are never shown as results."""
    short = {
        "a": Metric("a", 0.0, "trained", fidelity=Fidelity(1, 6, 8)),
        "b": Metric("b", 0, "counted"),
    }
    trials = [
        make_trial(0, (5.0, 5.0)),
        make_trial(1, (0.0, 0.0), state="stopped"),
        make_trial(2, (0.0, 0.0), state="failed"),
        make_trial(3, (0.0, 0.0), state="infeasible"),
        make_trial(4, (0.0, 0.0), constraints={"b": 0.5}),
        make_trial(5, (0.0,)),
        make_trial(6, (0.0, 0.0), metrics=short),
        make_trial(7, (6.0, 4.0), constraints={"b": -0.5}),
    ]
    members = front(trials, {"a": "minimize", "b": "minimize"})
    assert [member.trial.number for member in members] == [0, 7]


def test_p_front_of_two_rivals_is_the_normal_probability() -> None:
    """One objective, two trials: P(first < second) = Phi(difference / (sqrt(2) sigma))."""
    half = 1.959964
    trials = [make_trial(0, (0.0,), half), make_trial(1, (1.0,), half)]
    (member,) = front(trials, {"a": "minimize"}, draws=20_000)
    assert member.p_front == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=0.01)


def test_p_front_is_seeded_and_small_among_many_equals() -> None:
    """The best of thirty noisy equals is doubtful; the same seed gives the same digits."""
    trials = [make_trial(number, (number * 0.01, 1.0), 2.0) for number in range(30)]
    first = front(trials, {"a": "minimize", "b": "minimize"}, seed=3)
    again = front(trials, {"a": "minimize", "b": "minimize"}, seed=3)
    assert first == again
    assert first[0].doubtful


def test_p_front_does_not_depend_on_trials_out_of_reach() -> None:
    """Rivals that no draw can bring near are left out of the work, not out of the answer."""
    near = [make_trial(0, (0.0, 1.0), 0.5), make_trial(1, (0.2, 1.0), 0.5)]
    far = [make_trial(number, (100.0, 100.0), 0.5) for number in range(2, 6)]
    alone = front(near, {"a": "minimize"}, draws=5000)[0].p_front
    among = front(near + far, {"a": "minimize"}, draws=5000)[0].p_front
    assert among == pytest.approx(alone, abs=0.03)


def test_hypervolume_trace_ends_at_the_hypervolume_of_the_front() -> None:
    """The curve is built step by step; its end is checked against the direct computation."""
    rng = np.random.default_rng(1)
    values = rng.random((40, 3))
    trials = [make_trial(number, tuple(row)) for number, row in enumerate(values)]
    trace = hypervolume_trace(reversed(trials), minimized("abc"))
    reference = reference_point(values)
    scaled = (values - values.min(axis=0)) / (reference - values.min(axis=0))
    assert [number for number, _ in trace] == list(range(40))
    assert trace[-1][1] == pytest.approx(hypervolume(scaled, [1.0] * 3))
    assert all(before <= after for (_, before), (_, after) in itertools.pairwise(trace))


def test_degenerate_traces_do_not_fail() -> None:
    """No trial, one trial, and trials that agree in an objective are all met in practice."""
    objectives = minimized("ab")
    assert hypervolume_trace([], objectives) == []
    ((number, share),) = hypervolume_trace([make_trial(0, (3.0, 0.0))], objectives)
    assert number == 0
    assert share == pytest.approx(1.0)


def test_non_dominated_of_nothing_is_nothing() -> None:
    """An empty run has an empty front."""
    assert len(non_dominated(np.empty((0, 2)))) == 0
