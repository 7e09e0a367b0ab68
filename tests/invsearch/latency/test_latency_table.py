"""The latency table: parts make up the network, sums are sums, the fit is honest."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from invsearch.latency.calibration import calibrate
from invsearch.latency.measured import part_latencies
from invsearch.latency.parts import Part, build_part, network_parts
from invsearch.latency.table import CalibrationNetwork, LatencyTable, MissingPartsError
from invsearch.metrics import Metric
from invsearch.models import (
    NetworkSpec,
    build,
    network_spec,
    proxy_spec,
    rednet_spec,
    resnet_spec,
)

SMALL = rednet_spec(26, width=0.125, group_channels=8, num_classes=7)
SPECS = {
    "rednet": SMALL,
    "resnet": resnet_spec(38, width=0.125),
    "deep": resnet_spec(26, width=0.125, deep_stem=True),
    "proxy": proxy_spec(
        network_spec({"family": "rednet", "depth": 26}, {}),
        width=0.125, num_classes=10, in_channels=1,
    ),
}  # fmt: skip


def params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def table_of(spec: NetworkSpec, size: int) -> LatencyTable:
    """Entries of made-up latencies, each another one."""
    table = LatencyTable({"resolution": [size, size]})
    for value, part in enumerate(network_parts(spec, size, size), start=1):
        latency = Metric("latency_ms", value, "measured", 0.9 * value, 1.2 * value)
        table.entries.setdefault(part.name, latency)
    return table


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("size", [32, 37])
def test_the_parts_one_after_the_other_are_the_network(spec: NetworkSpec, size: int) -> None:
    """Each part takes what the one before it gives, and none of the weights is left out."""
    x = torch.zeros(2, spec.in_channels, size, size)
    weights = 0
    for part in network_parts(spec, size, size):
        assert tuple(x.shape[1:]) == part.shape
        module = build_part(part).eval()
        x = module(x)
        weights += params(module)
    assert x.shape == (2, spec.num_classes)
    assert weights == params(build(spec))


def test_a_parts_name_tells_it_apart_and_json_keeps_it() -> None:
    parts = {part for spec in SPECS.values() for part in network_parts(spec, 32, 32)}
    assert len({part.name for part in parts}) == len(parts)
    for part in parts:
        assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_uncalibrated_a_prediction_is_the_sum_of_the_entries(spec: NetworkSpec) -> None:
    """With the entries' own intervals added up, and labelled as a prediction."""
    table = table_of(spec, 32)
    names = [part.name for part in network_parts(spec, 32, 32)]
    total = sum(table.entries[name].value for name in names)
    found = table.predict(spec)
    assert (found.name, found.source) == ("latency_ms", "predicted")
    assert found.value == found.detail["sum_ms"] == pytest.approx(total)
    assert (found.low, found.high) == pytest.approx((0.9 * total, 1.2 * total))


def test_missing_parts_are_named() -> None:
    table = table_of(SMALL, 32)
    gone = next(network_parts(SMALL, 32, 32))
    del table.entries[gone.name]
    assert table.missing(SMALL) == [gone]
    with pytest.raises(MissingPartsError) as caught:
        table.predict(SMALL)
    assert caught.value.parts == [gone]


def test_json_keeps_every_prediction() -> None:
    table = table_of(SMALL, 32)
    table.calibrate(
        CalibrationNetwork({"a": i}, total, Metric("latency_ms", took, "measured"))
        for i, (total, took) in enumerate([(10.0, 12.0), (20.0, 21.0), (30.0, 34.0), (40.0, 43.0)])
    )
    read = LatencyTable.from_json(json.loads(json.dumps(table.to_json())))
    assert read.predict(SMALL) == table.predict(SMALL)
    assert read.to_json() == table.to_json()


@pytest.mark.parametrize("data", [[], {}, {"kind": "latency_table", "schema": 99}, None, 3])
def test_what_is_no_table_says_so(data: object) -> None:
    with pytest.raises(ValueError, match="no latency table"):
        LatencyTable.from_json(data)


@given(
    st.floats(0.1, 10),
    st.floats(0, 50),
    st.lists(st.floats(0.5, 500), min_size=4, max_size=12, unique_by=lambda x: round(x, 1)),
)
def test_exact_data_is_fitted_exactly(ratio: float, constant: float, sums: list[float]) -> None:
    """A ratio and a constant come back, and the interval closes on the value."""
    fit = calibrate(sums, [ratio * total + constant for total in sums])
    for total in (*sums, 2 * max(sums)):
        expected = ratio * total + constant
        assert fit.value(total) == pytest.approx(expected, rel=1e-4)
        ends = fit.interval(total)
        assert ends == pytest.approx((expected, expected), rel=1e-3)


@given(st.floats(0.1, 10), st.lists(st.floats(0.5, 500), min_size=1, max_size=3))
def test_a_few_networks_give_a_ratio(ratio: float, sums: list[float]) -> None:
    fit = calibrate(sums, [ratio * total for total in sums])
    assert fit.constant_ms == 0
    assert fit.value(7.0) == pytest.approx(7.0 * ratio)
    assert (fit.interval(7.0) is None) == (len(sums) == 1)


def test_one_disturbed_network_hardly_moves_the_fit() -> None:
    sums = [3.0, 5.0, 8.0, 12.0, 17.0, 23.0, 30.0, 40.0]
    noise = [1.01, 0.99, 1.02, 0.98, 1.01, 0.99, 1.0, 1.0]
    took = [1.1 * total * factor for total, factor in zip(sums, noise, strict=True)]
    took[2] *= 1.8
    fit = calibrate(sums, took)
    for total in sums:
        assert fit.value(total) == pytest.approx(1.1 * total, rel=0.05)


def test_larger_sums_never_become_faster_and_predictions_stay_positive() -> None:
    fit = calibrate([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0])
    assert 0 < fit.value(1.0) < fit.value(10.0)
    steep = calibrate([10.0, 11.0, 12.0, 13.0], [1.0, 3.0, 5.0, 7.0])
    assert steep.value(1.0) > 0


def test_intervals_cover_as_often_as_they_say() -> None:
    """Of fresh networks with 5 % of noise, about 95 % lie inside, over many fits of eight."""
    rng = random.Random(0)
    sums = [3.0, 5.0, 8.0, 12.0, 17.0, 23.0, 30.0, 40.0]

    def measured(total: float) -> float:
        return (1.2 * total + 2.0) * (1.0 + rng.gauss(0.0, 0.05))

    def hits() -> Iterator[bool]:
        for _ in range(400):
            fit = calibrate(sums, [measured(total) for total in sums])
            for total in (4.0, 20.0, 60.0):
                ends = fit.interval(total)
                assert ends is not None
                yield ends[0] <= measured(total) <= ends[1]

    found = list(hits())
    assert 0.90 < sum(found) / len(found) < 0.985


def test_parts_are_measured_in_a_process_of_their_own() -> None:
    """Each with an interval, in the order asked for, however many are the same."""
    parts = list(itertools.islice(network_parts(SMALL, 16, 16), 3))
    latencies = part_latencies([parts], batch_size=2)
    assert [one.detail["shape"] for one in latencies] == [[2, *part.shape] for part in parts]
    for one in latencies:
        assert one.source == "measured"
        assert 0 < one.low <= one.value <= one.high
