"""What vision people expect of a network's end: features, another head, no head; counted right."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from invsearch import cost
from invsearch.errors import InputError
from invsearch.models import FAMILIES, Network, NetworkSpec, build, family_spec
from invsearch.models.arguments import GLOBAL_POOLS

SHAPE = (2, 3, 40, 56)
ENDS = [(classes, pool) for classes in (0, 7) for pool in GLOBAL_POOLS if pool or not classes]


def small(family: str, **settings: object) -> NetworkSpec:
    depth = next(iter(FAMILIES[family].presets))
    own = {"group_channels": 8} if family == "rednet" else {}
    return family_spec(family, depth, width=0.25, **own, **settings)


@pytest.fixture(params=list(FAMILIES))
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(0)
    return build(small(request.param, num_classes=7)).eval()


def test_the_parts_of_the_forward_pass(network: Network) -> None:
    """Feature map, pooled vector, logits; each of the width that the attributes say."""
    images = torch.randn(SHAPE)
    with torch.no_grad():
        features = network.forward_features(images)
        pooled = network.forward_head(features, pre_logits=True)
        logits = network(images)
    assert features.shape[:2] == (2, network.num_features)
    assert features.dim() == 4
    torch.testing.assert_close(pooled, features.mean((2, 3)))
    assert logits.shape == (2, network.num_classes)
    assert torch.equal(network.forward_head(features), logits)
    torch.testing.assert_close(network.get_classifier()(pooled), logits)


def test_no_classes_gives_pooled_features(network: Network) -> None:
    images = torch.randn(SHAPE)
    other = build(small(network_family(network), num_classes=0)).eval()
    missing, extra = other.load_state_dict(network.state_dict(), strict=False)
    assert (missing, sorted(extra)) == ([], ["head.bias", "head.weight"])
    assert other.num_features == network.num_features
    assert isinstance(other.get_classifier(), nn.Identity)
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(images), pre_logits=True)
        assert torch.equal(other(images), expected)
        network.reset_classifier(0)
        assert torch.equal(network(images), expected)


def network_family(network: Network) -> str:
    return network.spec.stem.kind


def test_the_classifier_is_reset(network: Network) -> None:
    """In place, alone, on the network's device and in its type and mode; fit to be trained."""
    network = network.double().train()
    before = copy.deepcopy(network.state_dict())
    network.reset_classifier(5)
    assert network.num_classes == network.spec.num_classes == 5
    assert network.head.weight.dtype == torch.float64
    assert network.head.weight.requires_grad
    assert network.head.training
    assert not network.head.bias.any()
    assert network.head.weight.std().item() == pytest.approx(0.01, rel=0.2)
    for key, value in network.state_dict().items():
        assert key.startswith("head.") or torch.equal(value, before[key])
    network(torch.randn(SHAPE, dtype=torch.float64)).sum().backward()
    assert network.head.weight.grad is not None
    assert build(network.spec).double().load_state_dict(network.state_dict())


def test_the_pooling_is_reset(network: Network) -> None:
    images = torch.randn(SHAPE)
    with torch.no_grad():
        features = network.forward_features(images)
        network.reset_classifier(0, global_pool="")
        assert torch.equal(network(images), features)
        network.reset_classifier(0, global_pool="max")
        torch.testing.assert_close(network(images), features.amax((2, 3)))
        network.reset_classifier(3)  # keeps the pooling
        assert network.spec.global_pool == "max"
        network.reset_classifier(3, "avg")
        assert network(images).shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((-1,), "num_classes is -1"),
        (("10",), "num_classes is '10'"),
        ((None,), "num_classes is None"),
        ((3, "mean"), "global_pool is 'mean'"),
        ((3, ""), "give num_classes=0"),
    ],
)
def test_a_refused_reset_changes_nothing(
    network: Network, arguments: tuple[object, ...], line: str
) -> None:
    spec, head, pool = network.spec, network.head, network.pool
    with pytest.raises(InputError, match=line):
        network.reset_classifier(*arguments)
    assert (network.spec, network.head, network.pool) == (spec, head, pool)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("classes", "pool"), ENDS)
def test_every_counter_counts_every_end(family: str, classes: int, pool: str) -> None:
    """Closed form against traces, by either convention, and row by row."""
    spec, shape = small(family, num_classes=classes, global_pool=pool), (1, *SHAPE[1:])
    network = build(spec)
    closed = {c: cost.count(spec, resolution=SHAPE[2:], convention=c) for c in ("fvcore", "paper")}
    assert closed["fvcore"].params == sum(p.numel() for p in network.parameters())
    assert (
        closed["fvcore"].macs == cost.trace_macs(network, shape) == cost.meta_macs(network, shape)
    )
    assert closed["paper"].macs == cost.module_macs(network, shape, exclude_head=True)
    rows = cost.layers(spec, SHAPE[2:])
    assert sum(row.macs_fvcore for row in rows) == closed["fvcore"].macs
    assert [row.name for row in rows] == [name for name, _ in network.layers()]
    assert NetworkSpec.from_json(spec.to_json()) == spec


def test_a_reset_network_counts_as_what_it_is() -> None:
    network = build(small("mobilenet"))
    network.reset_classifier(0, "max")
    assert network.spec == small("mobilenet", num_classes=0, global_pool="max")
    names = [name for name, _ in network.layers()]
    assert names[-2:] == ["final", "pool"]
