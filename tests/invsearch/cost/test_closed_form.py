"""Closed forms: the published figures, and equality with both ways of counting a built network."""

from __future__ import annotations

import csv
from collections import Counter
from decimal import Decimal
from importlib import resources
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_outputs import stage_outputs
from torch import nn

import ops
from invsearch.cost import count, flop_counter_macs, layers, module_macs, trace_macs
from invsearch.errors import InputError
from invsearch.latency.layers import layer_modules
from invsearch.models import (
    BlockSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
    build,
    rednet_spec,
    resnet_spec,
)

REDNETS = {
    26: ("9.23", "1.7334"),
    38: ("12.39", "2.2233"),
    50: ("15.54", "2.7132"),
    101: ("25.65", "4.7423"),
    152: ("33.99", "6.7856"),
}


@pytest.mark.parametrize("depth", REDNETS)
def test_rednets_equal_the_published_digits(depth: int) -> None:
    """Stem 7, convention paper, without the final linear layer, 224 x 224."""
    counts = count(rednet_spec(depth), convention="paper")
    assert (f"{counts.params / 1e6:.2f}", f"{counts.macs / 1e9:.4f}") == REDNETS[depth]


def test_the_published_params_have_the_seven_pixel_stem() -> None:
    """RedNet-152 is 33.99 M with K = 7 only."""
    assert count(rednet_spec(152, stem_kernel_size=7)).params == 33_985_302
    assert count(rednet_spec(152, stem_kernel_size=3)).params == 33_984_582


def classification() -> list[dict[str, str]]:
    text = (resources.files("invsearch.paper") / "classification.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("row", classification(), ids=lambda row: row["model"])
def test_rows_of_the_classification_table(row: dict[str, str]) -> None:
    """Published rows to the printed digit, the others to 1.2 halves of it."""
    family, depth = row["model"].lower().split("-")
    spec = {"rednet": rednet_spec, "resnet": resnet_spec}[family](int(depth))
    counts = count(spec, convention="paper")
    for printed, counted in (
        (row["params_m"], counts.params / 1e6),
        (row["macs_g"], counts.macs / 1e9),
    ):
        half = 0.5 * 10.0 ** Decimal(printed).as_tuple().exponent
        tolerance = half if row["status"] == "published" else 1.2 * half
        assert abs(counted - float(printed)) <= tolerance


BLOCKS = st.one_of(
    st.builds(
        lambda k, gc, r, g, d: block(
            "involution", kernel_size=k, group_channels=gc, reduction=r, generator=g, dilation=d
        ),
        st.sampled_from([1, 3, 5, 7]),
        st.sampled_from([1, 2, 4, 8]),
        st.sampled_from([1, 2, 3, 4]),
        st.sampled_from(["bottleneck", "linear", "attention"]),
        st.sampled_from([1, 2]),
    ),
    st.builds(
        lambda name, k: block(name, kernel_size=k),
        st.sampled_from(["convolution", "depthwise_convolution"]),
        st.sampled_from([1, 3, 5]),
    ),
    st.builds(
        lambda k, hc: block("self_attention", kernel_size=k, head_channels=hc),
        st.sampled_from([3, 5]),
        st.sampled_from([2, 8]),
    ),
)
STAGES = st.builds(
    StageSpec,
    st.sampled_from([8, 16, 24]),
    st.sampled_from([1, 2]),
    st.lists(BLOCKS, min_size=1, max_size=3).map(tuple),
)
STEMS = st.builds(
    StemSpec,
    st.sampled_from(["rednet", "resnet", "deep"]),
    st.sampled_from([8, 24, 32]),
    st.sampled_from([3, 7]),
    st.sampled_from([1, 2]),
    st.booleans(),
)
SPECS = st.builds(
    NetworkSpec,
    STEMS,
    st.lists(STAGES, min_size=1, max_size=3).map(tuple),
    st.sampled_from([1, 10]),
    st.sampled_from([1, 3]),
)
SIZES = st.tuples(st.integers(5, 41), st.integers(5, 41))


def block(operator: str, **hyperparameters: int | str) -> BlockSpec:
    complete = ops.get(operator).complete(hyperparameters)
    return BlockSpec(operator, tuple(sorted(complete.items())))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SPECS, SIZES)
def test_closed_form_is_the_trace_and_the_modules(spec: NetworkSpec, size: tuple[int, int]) -> None:
    """The law behind every counted figure: three independent ways, one number."""
    network, shape = build(spec), (1, spec.in_channels, *size)
    fvcore = count(spec, resolution=size, convention="fvcore")
    paper = count(spec, resolution=size, convention="paper")
    assert fvcore.params == sum(p.numel() for p in network.parameters())
    assert fvcore.macs == trace_macs(network, shape)
    assert paper.macs == module_macs(network, shape, exclude_head=True)
    rows = layers(spec, size)
    assert sum(row.params for row in rows) == fvcore.params
    assert sum(row.macs_fvcore for row in rows) == fvcore.macs
    assert sum(row.macs_paper for row in rows) == paper.macs


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SPECS, SIZES)
def test_bytes_are_those_of_the_tensors_of_the_built_network(
    spec: NetworkSpec, size: tuple[int, int]
) -> None:
    """Inputs, outputs and weights of every row, whatever is between them inside an operator."""
    with torch.device("meta"):
        network = build(spec).eval()
    moved: Counter[str] = Counter()
    for name, part in layer_modules(network):
        moved[name] = sum(p.nbytes for p in part.parameters())
        first, last = (part[0], part[-1]) if isinstance(part, nn.Sequential) else (part, part)
        reads = 2 if name.endswith(".add") else 1

        def before(_: nn.Module, inputs: Any, name: str = name, reads: int = reads) -> None:
            moved[name] += reads * inputs[0].nbytes

        def after(_: nn.Module, inputs: Any, output: torch.Tensor, name: str = name) -> None:
            moved[name] += output.nbytes

        first.register_forward_pre_hook(before)
        last.register_forward_hook(after)
    with torch.no_grad():
        network(torch.empty(1, spec.in_channels, *size, device="meta"))
    assert [(row.name, row.bytes) for row in layers(spec, size)] == list(moved.items())


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SPECS, SIZES)
def test_flop_counter_agrees_on_products(spec: NetworkSpec, size: tuple[int, int]) -> None:
    """Convolutions, linear layers and aggregations, which both tools count, are the same."""
    network, shape = build(spec), (1, spec.in_channels, *size)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    network.pool = nn.AdaptiveMaxPool2d(1)
    assert sum(flop_counter_macs(network, shape).values()) == trace_macs(network, shape)


def test_layers_are_named_and_shaped() -> None:
    """The breakdown says where each cost is."""
    rows = {row.name: row for row in layers(rednet_spec(26), 224)}
    assert rows["stem.operator"].output_shape == (32, 112, 112)
    assert rows["stage2.block1.operator"].operator == "involution"
    assert rows["stage2.block1.operator"].output_shape == (128, 28, 28)
    assert rows["stage1.block1.downsample"].output_shape == (256, 56, 56)
    assert "stage2.block2.downsample" not in rows
    assert rows["head"].params == 2049 * 1000
    assert rows["head"].macs_paper == 0


def test_layers_have_the_shapes_of_the_built_network() -> None:
    """Output shapes of the breakdown are those of the modules, for a size no stride divides."""
    spec = resnet_spec(26, width=0.125, operator="depthwise_convolution")
    rows = [row for row in layers(spec, (45, 70)) if row.operator == "add"]
    ends = [rows[i].output_shape for i in (0, 2, 6, 7)]
    features = stage_outputs(build(spec).eval(), torch.zeros(1, 3, 45, 70))
    assert [tuple(f.shape[1:]) for f in features] == ends


def test_impossible_networks_are_refused() -> None:
    """A width that an operator cannot have is named; so is an unknown convention."""
    with pytest.raises(InputError, match="group_channels = 48 does not divide"):
        count(rednet_spec(26, group_channels=48))
    with pytest.raises(InputError, match="convention 'papers' is unknown"):
        count(rednet_spec(26), convention="papers")  # type: ignore[arg-type]
