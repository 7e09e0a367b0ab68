"""Each case checks its candidates, counts their cost, and measures them in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import json

import pytest
import torch

import ops
from invsearch.bench import Candidate, Case, Cost, Result, Settings, measure_case
from invsearch.bench.composites import COMPILED, shift_form
from invsearch.bench.layers import (
    CONVOLUTION,
    BareInvolution,
    Unfused,
    bare_case,
    layer_case,
    layer_cost,
)
from invsearch.bench.networks import calibrated, with_backend
from invsearch.bench.reach import CLAIMS, Claim, outcome, reach_cases
from invsearch.bench.shapes import LayerShape
from invsearch.bench.study import OPERATORS, _case, study_rows
from invsearch.cost import trace_macs
from invsearch.errors import CheckError
from invsearch.models import rednet
from ops.timing import Roofline

ROOF = Roofline(100.0, 10.0, 1, "cpu", "float32")
MODES = ("forward", "backward", "train")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operator", ["involution", "self_attention"])
def test_every_back_end_of_the_family_computes_what_unfold_does(
    operator: str, mode: str, small: LayerShape, settings: Settings
) -> None:
    case = layer_case(operator, small, 2, mode, "cpu")
    assert {name for name, one in case.candidates.items() if one.oracle == "unfold"} >= {"default"}
    result = measure_case(case, settings)
    available = {name for name, status in ops.backends().items() if status == "available"}
    assert set(result.comparison.measurements) == {"default", CONVOLUTION} | available
    assert set(result.skipped) == set(ops.backends()) - available
    assert result.comparison.reference == "unfold"


@pytest.mark.parametrize("mode", MODES)
def test_the_bare_operator_runs_by_every_back_end(
    mode: str, small: LayerShape, settings: Settings
) -> None:
    result = measure_case(bare_case(small, 2, mode, "cpu"), settings)
    assert "torch" in result.comparison.measurements
    assert result.name == f"involution/small/b2/{mode}/bare"


@pytest.mark.parametrize("operator", ["convolution", "depthwise_convolution"])
def test_other_operators_stand_beside_the_convolution(
    operator: str, small: LayerShape, settings: Settings
) -> None:
    result = measure_case(layer_case(operator, small, 1, "forward", "cpu"), settings)
    others = set() if operator == "convolution" else {CONVOLUTION}
    assert set(result.comparison.measurements) == {"default"} | others


def test_a_wrong_back_end_fails_before_it_is_timed(
    small: LayerShape, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forward kernel that drops one window position in one image."""
    row = next(row for row in ops.involution.backends.TABLE if row.name == "torch")

    def wrong(x: torch.Tensor, kernel: torch.Tensor, geometry: object) -> torch.Tensor:
        kernel = kernel.clone()
        kernel[1, 0, 0, 1, 2, 2] = 0
        return row.aggregate(x, kernel, geometry)

    table = tuple(
        dataclasses.replace(one, aggregate=wrong) if one is row else one
        for one in ops.involution.backends.TABLE
    )
    monkeypatch.setattr("ops.involution.backends.TABLE", table)
    with pytest.raises(CheckError, match="involution/small/b2/forward/bare: torch disagrees"):
        measure_case(bare_case(small, 2, "forward", "cpu"), settings)


def test_threads_are_set_for_a_case_and_put_back(settings: Settings) -> None:
    seen: list[int] = []
    before = torch.get_num_threads()

    def enter(stack: contextlib.ExitStack) -> object:
        return lambda: seen.append(torch.get_num_threads())

    case = Case("a", {"a": Candidate(enter)}, "a")  # type: ignore[arg-type]
    measure_case(case, dataclasses.replace(settings, threads=before + 1))
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("operator", ["involution", "convolution", "self_attention"])
def test_the_counted_cost_is_the_traces(operator: str, small: LayerShape) -> None:
    case = layer_case(operator, small, 2, "forward", "cpu")
    layer = ops.get(operator).make(
        32, stride=2, **({} if operator == "convolution" else {"kernel_size": 5})
    )
    assert case.candidates["default"].cost is not None
    assert case.candidates["default"].cost.macs == trace_macs(layer, small.input_shape(2))


def test_least_traffic_of_the_bare_operator() -> None:
    """Forward: x and kernel in, y out; backward: these and y's gradient in, two gradients out."""
    shape, weights = LayerShape("a", 16, 4, 3, 1, 1), 4 * 9 * 16
    x = y = 4 * 16 * 16
    assert layer_cost(7, shape, 1, "forward", weights) == Cost(7, x + weights + y)
    assert layer_cost(7, shape, 1, "backward", weights) == Cost(14, 2 * (x + weights) + y)
    assert layer_cost(7, shape, 1, "train", weights).macs == 21


def test_results_go_through_json(small: LayerShape, settings: Settings) -> None:
    result = measure_case(bare_case(small, 1, "forward", "cpu"), settings)
    again = Result.from_dict(json.loads(json.dumps(result.as_dict())))
    assert again.as_dict() == result.as_dict()
    assert again.comparison.speedup("torch").value > 0
    rates = again.rates("torch", ROOF)
    assert rates is not None
    assert rates["roofline"] > 0


def test_the_compiled_form_is_the_operator(small: LayerShape) -> None:
    layer = BareInvolution(small, 2, "unfold")
    x = torch.randn(small.input_shape(2))
    torch.testing.assert_close(shift_form(x, layer.kernel, small.stride), layer(x))


def test_unfused_is_the_layer_itself() -> None:
    layer = ops.Involution2d(32).eval()
    x = torch.randn(2, 32, 6, 6)
    torch.testing.assert_close(Unfused(layer)(x), layer(x))


def test_a_calibrated_network_depends_on_its_operators() -> None:
    """A fresh one ends each block with zeros: any operator would pass the check."""
    network = calibrated(rednet(26, width=0.25, num_classes=10), torch.randn(4, 3, 32, 32))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = network(x)
        assert before.isfinite().all()
        unfold = with_backend(network, "unfold")(x)
        assert (unfold - before).norm() < 1e-4 * before.norm()
        network.stages[0][0].operator.generator.span.weight.mul_(1.1)
        assert (network(x) - before).norm() > 1e-3 * before.norm()


def test_every_claim_has_a_case(settings: Settings) -> None:
    names = {name for name, _ in reach_cases(settings)}
    assert names == {claim.case for claim in CLAIMS}
    assert {name for name, _ in reach_cases(settings.quickly())} < names


def test_a_claim_is_judged_by_its_interval_over_the_fastest_reference(settings: Settings) -> None:
    claim = Claim("a", "a", "fast", ("slow", "slower", "absent"), 2.0, 4.0)
    for times, reached in ((5.0, "aim"), (3.0, "at least"), (1.5, "missed")):
        result = synthetic({"fast": 1.0, "slow": times, "slower": 2 * times})
        judged = outcome(claim, result)
        assert judged is not None
        assert (judged.over, judged.reached) == ("slow", reached)
    unsure = outcome(claim, synthetic({"fast": 1.0, "slow": 2.0}, spread=0.5))
    assert unsure is not None
    assert unsure.reached == "cannot tell"
    assert outcome(claim, synthetic({"fast": 1.0})) is None


def synthetic(seconds: dict[str, float], spread: float = 0.0) -> Result:
    """A result made of these times; with a spread, the first candidate's rounds differ."""
    comparison = ops.compare({name: lambda: None for name in seconds}, rule=Settings().rule)
    data = comparison.as_dict()
    for index, (name, time) in enumerate(seconds.items()):
        factors = [1 + spread * (i % 5 - 2) / 2 for i in range(20)] if index == 0 else [1.0] * 20
        data["measurements"][name]["samples"] = [time * factor for factor in factors]
    return Result.from_dict(
        {"name": "a", **data, "costs": {}, "skipped": {}, "facts": {}},
    )


def test_the_study_gives_a_row_for_each_operator(small: LayerShape, settings: Settings) -> None:
    rows = study_rows(measure_case(_case(small, 1, "cpu"), settings), ROOF)
    assert [row["operator"] for row in rows] == list(OPERATORS)
    for row in rows:
        assert row["latency_ms_low"] <= row["latency_ms"] <= row["latency_ms_high"]
        assert min(row["macs"], row["moved_bytes"], row["peak_memory_bytes"], row["params"]) > 0
    by_name = {row["operator"]: row for row in rows}
    assert by_name["7x7 convolution"]["macs"] * 9 == by_name["3x3 convolution"]["macs"] * 49
    assert json.loads(json.dumps(rows)) == rows


def test_the_compiled_reference_has_its_name() -> None:
    assert any(COMPILED in claim.over for claim in CLAIMS)
