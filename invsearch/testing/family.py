"""What every family of networks must do.

To test yours, in a test module of your own::

    from invsearch.testing.family import FamilyConformance

    class TestMine(FamilyConformance):
        @pytest.fixture
        def family(self):
            return FAMILIES["mine"]
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from torch import nn

import ops
from invsearch import cost
from invsearch.latency.parts import build_part, network_parts
from invsearch.models import (
    BlockSpec,
    Family,
    NetworkSpec,
    Part,
    build,
    family_spec,
    problem,
    proxy_spec,
)
from invsearch.models.blocks import ResidualBlock
from invsearch.space import load_space_file

__all__ = ["FamilyConformance", "random_member"]

_SIZE = (37, 50)  # no stride divides it


def random_member(family: Family, rng: random.Random) -> NetworkSpec:
    """A narrow and shallow member with any operators, each fitted to its channels."""
    width = rng.choice([0.125, 0.25, 0.5])
    bare = family.skeleton(width)
    blocks = [
        tuple(
            _random_block(rng, family.operator_channels(bare, number)[min(index, 1)])
            for index in range(rng.randint(1, 2))
        )
        for number in range(1, len(family.stages) + 1)
    ]
    return family.network(blocks, width, None, rng.choice([1, 10]), rng.choice([1, 3]))


def _random_block(rng: random.Random, channels: int) -> BlockSpec:
    operator = ops.get(rng.choice(ops.names()))
    chosen = {
        name: rng.choice(known.allowed)
        for name, known in operator.hyperparameters.items()
        if known.allowed is not None
    }
    return BlockSpec(operator.name, tuple(sorted(operator.fit(channels, chosen).items())))


class FamilyConformance:
    """The tests; a subclass gives the fixture `family`."""

    @pytest.fixture(params=range(4), ids="seed={}".format)
    def member(self, family: Family, request: pytest.FixtureRequest) -> NetworkSpec:
        return random_member(family, random.Random(request.param))

    @pytest.fixture
    def network(self, member: NetworkSpec) -> nn.Module:
        torch.manual_seed(0)
        return build(member).eval()

    def test_every_preset_has_a_number_of_blocks_for_each_stage(self, family: Family) -> None:
        for depth, blocks in family.presets.items():
            spec = family_spec(family.name, depth)
            assert tuple(len(stage.blocks) for stage in spec.stages) == blocks
            operators = {block.operator for _, block in spec.blocks()}
            assert operators == {family.operator}
        assert set(family.baselines.values()) <= set(family.presets)

    def test_a_preset_fits_its_widths(self, family: Family) -> None:
        spec = family_spec(family.name, next(iter(family.presets)))
        assert [problem(p.part.inner_channels, b) for p, b in spec.blocks()] == [None] * len(
            list(spec.blocks())
        )

    def test_counts_agree_three_ways(self, member: NetworkSpec, network: nn.Module) -> None:
        """The closed form, fvcore's trace and the modules."""
        shape = (1, member.in_channels, *_SIZE)
        fvcore = cost.count(member, resolution=_SIZE, convention="fvcore")
        paper = cost.count(member, resolution=_SIZE, convention="paper")
        assert fvcore.params == sum(p.numel() for p in network.parameters())
        assert fvcore.macs == cost.trace_macs(network, shape)
        assert paper.macs == cost.module_macs(network, shape, exclude_head=True)

    def test_layers_add_up_and_have_modules(self, member: NetworkSpec) -> None:
        rows, network = cost.layers(member, _SIZE), build(member)
        counts = cost.count(member, resolution=_SIZE)
        assert sum(row.params for row in rows) == counts.params
        assert sum(row.macs_fvcore for row in rows) == counts.macs
        modules = dict(network.layers())
        assert list(modules) == [row.name for row in rows]
        for row in rows:
            assert sum(p.numel() for p in modules[row.name].parameters()) == row.params

    def test_the_walk_is_the_forward_pass(self, member: NetworkSpec, network: nn.Module) -> None:
        """Each part takes what the one before it gives, and says its shape."""
        x = torch.zeros(2, member.in_channels, *_SIZE)
        for place in member.walk(*_SIZE):
            assert tuple(x.shape[1:]) == place.part.shape, place.name
            x = build_part(place.part).eval()(x)
            if place.part.kind != "head":
                expected = (place.part.out_channels, *place.part.output_size)
                assert tuple(x.shape[1:]) == expected, place.name
        assert x.shape == (2, member.num_classes)
        assert network(torch.zeros(2, member.in_channels, *_SIZE)).shape == x.shape

    def test_gradients_are_finite_and_reach_every_weight(self, member: NetworkSpec) -> None:
        torch.manual_seed(0)
        network = build(member).train()
        for block in (m for m in network.modules() if isinstance(m, ResidualBlock)):
            norm = block.last_norm()
            if norm is not None:
                nn.init.ones_(norm.weight)
        network(torch.randn(4, member.in_channels, 64, 64)).square().sum().backward()
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.isfinite().all(), name

    @pytest.mark.parametrize("width", [0.125, 0.25, 0.3, 1.0])
    def test_proxies_fit(self, member: NetworkSpec, width: float) -> None:
        """At any fraction of the width every operator is possible; the rest is the member's."""
        proxy = proxy_spec(member, width=width, num_classes=7, in_channels=1)
        names = [block.operator for _, block in member.blocks()]
        assert [block.operator for _, block in proxy.blocks()] == names
        assert build(proxy).eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 7)

    def test_specs_and_parts_survive_json(self, member: NetworkSpec) -> None:
        assert NetworkSpec.from_json(json.loads(json.dumps(member.to_json()))) == member
        parts = set(network_parts(member, *_SIZE))
        assert len({part.name for part in parts}) == len(parts)
        for part in parts:
            assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part

    def test_every_value_of_a_setting_is_reachable(self, family: Family, tmp_path: Path) -> None:
        """From a space file, for the settings of the family and of every operator."""
        known = dict(family.settings)
        for name in ops.names():
            known.update(ops.get(name).hyperparameters)
        # no value may rule another out, so what must divide the channels stays out
        choices = {
            name: list(one.allowed if one.allowed is not None else (one.default,))
            for name, one in known.items()
            if not one.divides_channels and not one.keeps_channels
        }
        space = {"operator": list(ops.names()), **choices}
        lines = [f"  {name}: {{choice: {json.dumps(values)}}}" for name, values in space.items()]
        path = tmp_path / "space.yaml"
        text = "\n".join(lines)
        depth = next(iter(family.presets))
        path.write_text(
            f"name: all\nobjectives: {{macs: minimize}}\n"
            f"model: {{family: {family.name}, depth: {depth}}}\nspace:\n{text}\n"
        )
        found = load_space_file(path).space
        for name, values in space.items():
            assert all(found.reaches(name, value) for value in values), name
