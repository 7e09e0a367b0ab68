"""Laws of a space, over spaces that hypothesis makes up."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invsearch.errors import InputError
from invsearch.space import Architecture, Parameter, Space, Value

FEW = settings(max_examples=40, deadline=None)


@dataclass(frozen=True)
class SumRule:
    """A rule for tests: the sum of what is active must not be a multiple of three."""

    names: tuple[str, ...]

    def problem(self, values: tuple[Value | None, ...]) -> str | None:
        total = sum(int(value) for value in values if value is not None)
        return "a multiple of three" if total % 3 == 0 else None


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    parameters: list[Parameter] = []
    for index in range(draw(st.integers(1, 6))):
        when = []
        for other in (
            draw(st.lists(st.sampled_from(parameters), max_size=2, unique=True)) if index else []
        ):
            values = list(other.values())
            when.append(
                (
                    other.name,
                    tuple(draw(st.lists(st.sampled_from(values), min_size=1, unique=True))),
                )
            )
        name = f"p{index}"
        if draw(st.booleans()):
            choices = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
            parameters.append(Parameter(name, tuple(choices), when=tuple(when)))
        else:
            high = 1 + 2 * draw(st.integers(1, 2))
            parameters.append(Parameter(name, None, 1, high, 2, integer=True, when=tuple(when)))
    names = [parameter.name for parameter in parameters]
    scopes = draw(st.lists(st.sets(st.sampled_from(names), min_size=1, max_size=3), max_size=2))
    shuffled = draw(st.permutations(parameters))
    return Space(shuffled, rules=[SumRule(tuple(sorted(scope))) for scope in scopes])


def brute_force(space: Space) -> set[Architecture]:
    names = space.names
    raw = itertools.product(*(list(parameter.values()) for parameter in space.parameters))
    found = {space.canonical(dict(zip(names, values, strict=True))) for values in raw}
    return {architecture for architecture in found if space.problem(architecture) is None}


@FEW
@given(spaces())
def test_size_is_the_number_of_distinct_possible_architectures(space: Space) -> None:
    expected = brute_force(space)
    listed = list(space.enumerate())
    assert space.size() == len(expected) == len(listed)
    assert set(listed) == expected


@FEW
@given(spaces(), st.integers(0, 2**32))
def test_draws_are_canonical_possible_members(space: Space, seed: int) -> None:
    members = brute_force(space)
    rng = random.Random(seed)
    if not members:
        with pytest.raises(InputError, match="no possible architecture"):
            space.sample(rng)
        return
    drawn = space.sample(rng)
    mutated = space.mutate(drawn, rng)
    assert {drawn, mutated} <= members
    assert mutated != drawn or len(members) == 1
    for architecture in (drawn, mutated):
        assert space.canonical(architecture) == architecture
        assert space.problem(architecture) is None
        assert architecture in space


@FEW
@given(spaces())
def test_reaches_is_exact(space: Space) -> None:
    reached = {item for architecture in brute_force(space) for item in architecture.items_}
    for parameter in space.parameters:
        for value in parameter.values():
            assert space.reaches(parameter.name, value) == ((parameter.name, value) in reached)


@FEW
@given(spaces(), st.integers(0, 2**32))
def test_a_seed_repeats_its_draws(space: Space, seed: int) -> None:
    if space.size():
        first, second = (space.sample(random.Random(seed)) for _ in range(2))
        assert first == second


def test_conditions_order_parameters_and_inactive_ones_are_left_out() -> None:
    b = Parameter("b", (1, 2), when=(("a", ("x",)),))
    space = Space([b, Parameter("a", ("x", "y"))])
    assert space.names == ("a", "b")
    assert space.canonical({"a": "y", "b": 1}).to_json() == {"a": "y"}
    assert space.active("b", {"a": "x"})
    assert not space.active("b", {"a": "y"})


def test_canonical_says_what_is_wrong() -> None:
    space = Space(
        [Parameter("colour", ("red", "green")), Parameter("n", None, 1, 9, 2, integer=True)]
    )
    for values, expected in [
        ({"colour": "red"}, "'n' has no value; allowed: 1 to 9, step 2"),
        (
            {"colour": "redd", "n": 1},
            "'colour' cannot be 'redd' (did you mean 'red'?); allowed: red, green",
        ),
        ({"colour": "red", "n": 2}, "'n' cannot be 2"),
        ({"colour": "red", "n": True}, "'n' cannot be true"),
        ({"color": "red", "n": 1}, "no parameter is called 'color' (did you mean 'colour'?)"),
    ]:
        with pytest.raises(InputError) as caught:
            space.canonical(values)
        assert expected in str(caught.value)


def test_equal_numbers_are_one_value() -> None:
    space = Space([Parameter("w", (0.5, 1)), Parameter("x", None, 0.0, 1.0, 0.1)])
    assert space.canonical({"w": 1.0, "x": 0.30000000000000004}).items_ == (("w", 1), ("x", 0.3))
    assert list(space["x"].values())[3] == 0.3


def test_a_continuous_space_is_infinite_and_cannot_be_enumerated() -> None:
    continuous = Parameter("x", None, 1e-3, 1.0, log=True, when=(("a", (1,)),))
    space = Space([Parameter("a", (1, 2)), continuous])
    assert space.size() == math.inf
    with pytest.raises(InputError, match="'x' is continuous"):
        list(space.enumerate())
    rng = random.Random(0)
    architecture = space.sample(rng)
    for _ in range(50):
        mutated = space.mutate(architecture, rng)
        assert mutated != architecture
        assert mutated in space
        architecture = mutated


def test_large_spaces_are_counted_without_enumeration() -> None:
    parameters = [Parameter(f"p{i}", None, 1, 10**9, 1, integer=True) for i in range(10)]
    parameters.append(Parameter("q", (1, 2), when=(("p0", (5,)),)))
    assert Space(parameters).size() == 2 * 10**81 + (10**9 - 1) * 10**81


def test_too_entangled_a_space_has_an_upper_bound_that_says_so() -> None:
    names = [f"p{i}" for i in range(30)]
    parameters = [Parameter(name, (1, 2, 3)) for name in names]
    rules = [SumRule((a, b)) for a, b in zip(names[:15], names[:14:-1], strict=True)]
    space = Space(parameters, rules=rules)
    assert space.size() == 3**30
    assert not space.size_is_exact


def test_log_ranges_sample_every_scale() -> None:
    rng = random.Random(0)
    for parameter in (Parameter("x", None, 1, 1000, 1, log=True, integer=True),
                      Parameter("x", None, 1.0, 1000.0, log=True)):  # fmt: skip
        drawn = [float(parameter.sample(rng)) for _ in range(600)]
        assert all(parameter.contains(int(v) if parameter.integer else v) for v in drawn)
        for low in (1, 10, 100):
            assert 120 < sum(low <= value < 10 * low for value in drawn) < 280
