"""Spaces of networks: what is active, what is counted, what is one and the same network."""

from __future__ import annotations

import itertools
import pickle
import random
from pathlib import Path
from textwrap import dedent

import pytest

from invsearch.models import network_spec, problem
from invsearch.space import Architecture, Space, load_space_file

HEAD = "name: test\nobjectives: {macs: minimize}\n"

SMALL = {
    "stages": """
        model: {family: rednet}
        space:
          depth: {choice: [26, custom]}
          width: {choice: [0.25, 0.5]}
          stage:
            blocks: [{range: [1, 2]}, {range: [1, 2]}, {choice: [4, 1]}, 1]
            operator: [{choice: [involution, convolution]}, convolution, involution, involution]
            kernel_size: [{choice: [3, 5]}, 3, {choice: [3, 7]}, 7]
            group_channels: [{choice: [8, 32]}, 8, 16, {choice: [16, 32]}]
        """,
    "blocks": """
        model: {family: rednet, width: 0.5}
        space:
          kernel_size: {choice: [3, 7]}
          stage:
            blocks: [{range: [1, 2]}, {range: [1, 2]}, 1, 1]
            group_channels: {choice: [8, 16]}
          block:
            operator: {choice: [involution, self_attention]}
        """,
    "families": """
        model: {}
        space:
          family: {choice: [rednet, resnet]}
          depth: {choice: [26, 50]}
          stem_kernel_size: {choice: [3, 7]}
          generator: {choice: [bottleneck, linear]}
          reduction: {choice: [2, 4]}
          kernel_size: {choice: [3, 5]}
        """,
    "conditions": """
        model: {family: rednet}
        space:
          depth: {choice: [26, 38, custom]}
          stage:
            blocks: [{choice: [1, 2]}, {choice: [2, 3]}, {choice: [4, 5]}, {choice: [1, 2]}]
            kernel_size: {choice: [3, 5], when: {depth: custom, stage1.blocks: [1, 2]}}
          reduction: {choice: [2, 4], when: {depth: 38}}
        """,
    "generators": """
        model: {family: rednet, depth: 26}
        space:
          stage:
            generator: [{choice: [bottleneck, linear]}, linear, linear, attention]
            operator: [{choice: [involution, convolution]}, involution, involution, involution]
          reduction: {choice: [2, 4, 8]}
          group_channels: {choice: [16, 32], when: {reduction: [2, 4]}}
        """,
    "unconditional": """
        model: {family: resnet}
        space:
          width: {range: [0.5, 1.0], step: 0.25}
          stage:
            blocks: {choice: [1, 2]}
            operator: {choice: [convolution, involution], when: {width: [0.5, 1.0]}}
        """,
}


@pytest.fixture(params=SMALL)
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Space:
    return load(tmp_path, SMALL[request.param])


def load(folder: Path, text: str) -> Space:
    path = folder / "space.yaml"
    path.write_text(HEAD + dedent(text))
    return load_space_file(path).space


def everything(space: Space) -> list[Architecture]:
    """Every architecture by brute force: all raw combinations, spelt canonically, the possible."""
    names = [parameter.name for parameter in space.parameters]
    raw = itertools.product(*(list(parameter.values()) for parameter in space.parameters))
    found = {space.canonical(dict(zip(names, values, strict=True))): None for values in raw}
    return [architecture for architecture in found if possible(space, architecture)]


def possible(space: Space, architecture: Architecture) -> bool:
    spec = network_spec(space.constants, architecture)
    return not any(problem(stage.width, b) for stage in spec.stages for b in stage.blocks)


def test_size_and_enumeration_equal_brute_force(space: Space) -> None:
    expected = everything(space)
    assert space.size() == len(expected)
    assert space.size_is_exact
    listed = list(space.enumerate())
    assert len(listed) == len(set(listed))
    assert set(listed) == set(expected)


def test_architectures_are_equal_exactly_if_their_networks_are(space: Space) -> None:
    architectures = list(space.enumerate())
    specs = {network_spec(space.constants, architecture) for architecture in architectures}
    assert len(specs) == len(architectures)


def test_problem_is_what_the_models_say(space: Space) -> None:
    names = [parameter.name for parameter in space.parameters]
    rng = random.Random(0)
    for _ in range(200):
        values = {name: space[name].sample(rng) for name in names}
        architecture = space.canonical(values)
        assert (space.problem(architecture) is None) == possible(space, architecture)
        assert space.problem(values) == space.problem(architecture)


def test_samples_and_mutations_stay_in_the_space(space: Space) -> None:
    rng = random.Random(1)
    members = set(space.enumerate())
    for _ in range(100):
        a, b = space.sample(rng), space.sample(rng)
        mutated = space.mutate(a, rng)
        assert mutated != a
        assert {a, b, mutated} <= members
        assert a in space
        assert space.canonical(a) == a
        assert all(space.active(name, a) == (name in a) for name in space.names)


def test_a_value_is_reached_exactly_if_an_architecture_has_it(space: Space) -> None:
    reached = {item for architecture in space.enumerate() for item in architecture.items_}
    for parameter in space.parameters:
        for value in parameter.values():
            assert space.reaches(parameter.name, value) == ((parameter.name, value) in reached)


def test_a_space_survives_pickling(space: Space) -> None:
    copy = pickle.loads(pickle.dumps(space))
    assert list(copy.enumerate()) == list(space.enumerate())
    assert copy.size() == space.size()


@pytest.mark.parametrize(
    ("family", "operator", "kernel_size"),
    [("rednet", "involution", 7), ("resnet", "convolution", 3)],
)
def test_the_papers_smallest_networks_are_points_of_the_shipped_space(
    family: str, operator: str, kernel_size: int
) -> None:
    """A ResNet is the one whose stem and stages are of convolutions."""
    space = load_space_file("rednet").space
    stage = {"operator": operator, "kernel_size": kernel_size, "group_channels": 16, "reduction": 4}
    values = {f"stage{i}.{key}": value for i in range(1, 5) for key, value in stage.items()}
    architecture = space.canonical({"stem": operator, "depth": 26, "width": 1.0, **values})
    published = network_spec({"family": family, "depth": 26}, {})
    assert network_spec(space.constants, architecture) == published
    assert space.problem(architecture) is None


def test_blocks_that_equal_a_preset_are_spelt_as_its_depth(tmp_path: Path) -> None:
    space = load(tmp_path, """
        model: {family: rednet}
        space: {depth: {choice: [26, custom]}, stage: {blocks: {range: [1, 4]}}}
        """)  # fmt: skip
    blocks = {f"stage{i}.blocks": count for i, count in enumerate((1, 2, 4, 1), 1)}
    assert space.canonical({"depth": "custom", **blocks}).to_json() == {"depth": 26}
    assert space.size() == 4**4


def test_a_large_space_of_blocks_is_counted_exactly(tmp_path: Path) -> None:
    space = load(tmp_path, """
        model: {family: rednet}
        space:
          depth: {choice: [26, 50]}
          block:
            operator: {choice: [involution, convolution]}
            kernel_size: {choice: [3, 5, 7]}
        """)  # fmt: skip
    assert space.size() == 6**8 + 6**16
    assert space.size_is_exact
