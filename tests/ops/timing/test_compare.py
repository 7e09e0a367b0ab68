"""Comparisons take turns, check before they time, and judge by rounds."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import ops
from ops.timing import Comparison, DisagreementError, Measurement, Roofline, Rule, check
from ops.timing.sampling import Timer, sample

QUICK = Rule(min_samples=6, min_time=0, max_width=1e9, warmup_time=0, sample_time=0)


class Clock:
    """A clock of synthetic times: nothing waits, and every run is noted."""

    def __init__(self, seconds: dict[str, list[float]]) -> None:
        self.seconds = {name: itertools.cycle(times) for name, times in seconds.items()}
        self.log: list[str] = []

    def timer(self, name: str) -> Timer:
        def clock(run: object, calls: int) -> float:
            self.log.append(name)
            return calls * next(self.seconds[name])

        return Timer(lambda: None, clock, lambda: None)


def test_every_round_samples_each_once_in_changing_order() -> None:
    clock = Clock({name: [1.0] for name in "abc"})
    timers = [clock.timer(name) for name in "abc"]
    assert sample(timers, Rule(12, 0, 0.1, 10, 0, 0)) is None
    rounds = clock.log[6:]  # two calls of each warm up
    orders = ["".join(rounds[i : i + 3]) for i in range(0, len(rounds), 3)]
    assert len(orders) == 12
    assert {"".join(sorted(order)) for order in orders} == {"abc"}
    assert len(set(orders)) > 3


def test_sampling_goes_on_until_the_interval_is_narrow() -> None:
    times = [1.0 + 0.1 * (i % 7) for i in range(7)]
    coarse, fine = (Clock({"a": times}).timer("a") for _ in range(2))
    assert sample([coarse], Rule(7, 0, 10.0, 10, 0, 0)) is None
    assert sample([fine], Rule(7, 0, 0.08, 10, 0, 0)) is None
    assert len(coarse.samples) == 7
    assert len(fine.samples) > 40


def test_the_time_limit_says_which_criterion_it_cut_short() -> None:
    rule = Rule(min_samples=20, min_time=0.5, max_width=0.01, max_time=2)
    assert rule.missed(19, 1.0, 0.0) == "19 of 20 samples within 2 s"
    assert rule.missed(20, 0.1, 0.0) == "0.1 of 0.5 s of sampling within 2 s"
    reason = rule.missed(20, 1.0, 0.123)
    assert reason == "an interval of 12.3% where 1.0% was asked for within 2 s"
    assert rule.missed(20, 0.5, 0.01) is None
    timer = Clock({"a": [1.0]}).timer("a")
    assert sample([timer], Rule(20, 0, 9, 0, 0, 0)) == "1 of 20 samples within 0 s"


def test_a_cold_sample_is_one_call_after_a_flush() -> None:
    log: list[str] = []
    timer = Timer(
        lambda: log.append("run"),
        lambda run, calls: float(len([run() for _ in range(calls)])),
        lambda: log.append("flush"),
        single=True,
    )
    sample([timer], Rule(6, 0, 9, 10, 0, 1.0))
    assert timer.calls == 1
    assert log[-4:] == ["flush", "run", "flush", "run"]


@pytest.mark.parametrize(("seconds", "calls"), [(0.01, 3 * 6 + 2), (10.0, 6 + 2)])
def test_in_turns_a_warm_sample_follows_a_call_that_does_not_count(
    seconds: float, calls: int
) -> None:
    """Otherwise the neighbour's data would be in the cache; slow work needs no such call."""
    log: list[str] = []

    def clock(run: Callable[[], object], count: int) -> float:
        for _ in range(count):
            run()
        return seconds * count

    first, second = (Timer(lambda: log.append("run"), clock, lambda: None) for _ in range(2))
    sample([first, second], Rule(6, 0, 9, 10, 0, 2 * 0.01))
    assert len(log) == 2 * calls
    assert len(first.samples) == 6


def test_cold_and_warm_are_said() -> None:
    cold = ops.measure(
        nn.ReLU(), (4,), cache="cold", min_samples=6, min_time=0, warmup_time=0, max_time=0.2
    )
    assert (cold.cache, cold.calls_per_sample) == ("cold", 1)
    assert "cold cache" in str(cold)
    with pytest.raises(ValueError, match="cache = 'lukewarm' must be one of warm, cold"):
        ops.measure(nn.ReLU(), (4,), cache="lukewarm")  # type: ignore[arg-type]


def test_layers_are_compared_on_one_input() -> None:
    seen: list[Tensor] = []
    layers = {"a": lambda x: seen.append(x.clone()), "b": lambda x: seen.append(x.clone())}
    result = ops.compare(layers, (2, 3), rule=QUICK)
    assert all(torch.equal(x, seen[0]) for x in seen)
    assert result.reference == "a"
    assert {len(m.samples) for m in result.measurements.values()} == {6}


def test_a_wrong_kernel_is_never_timed() -> None:
    """One weight of one window is off: the check sees it, and the clock never starts."""
    layer = ops.Involution2d(16, kernel_size=3).eval()
    x, calls = torch.randn(1, 16, 6, 6), 0

    def wrong() -> Tensor:
        nonlocal calls
        calls += 1
        kernel = layer.generator(x).clone()
        kernel[0, 0, 1, 1, 2, 2] += 0.1
        return layer.aggregate(x, kernel)

    with torch.no_grad(), pytest.raises(DisagreementError, match="wrong disagrees .* is off by"):
        ops.compare(
            {"right": lambda: layer(x), "wrong": wrong}, oracles={"wrong": lambda: layer(x)}
        )
    assert calls == 1


def test_check_names_what_differs() -> None:
    ones = torch.ones(2, 2)
    check("same", [ones, (ones, None)], [ones, (ones,)])
    with pytest.raises(DisagreementError, match=r"shape \(2, 2\), not \(4,\)"):
        check("a", ones, torch.ones(4))
    with pytest.raises(DisagreementError, match="gives 1 tensors where its oracle gives 2"):
        check("a", ones, [ones, ones])
    with pytest.raises(DisagreementError, match="off by nan"):
        check("a", ones * math.nan, ones)
    with pytest.raises(DisagreementError, match="tensor 1 is off by 0.5"):
        check("a", [ones, 1.5 * ones], [ones, ones])


def test_unknown_names_are_errors_that_name_the_nearest() -> None:
    work = {"unfold": lambda: None, "native": lambda: None}
    with pytest.raises(KeyError, match="did you mean 'native'"):
        ops.compare(work, reference="nativ")
    with pytest.raises(KeyError, match="no candidate is called 'x'"):
        ops.compare(work, oracles={"x": lambda: None})
    with pytest.raises(ValueError, match="nothing to compare"):
        ops.compare({})
    with pytest.raises(KeyError, match="nothing called 'unfol' was measured"):
        ops.compare(work, rule=QUICK).speedup("unfol")


def measurement(samples: list[float], *flags: str) -> Measurement:
    """A measurement made of these times."""
    one = ops.measure(nn.Identity(), (1,), min_samples=6, min_time=0, warmup_time=0, sample_time=0)
    data = {**one.as_dict(), "samples": samples, "flags": list(flags)}
    return Measurement.from_dict(data)


def test_measurements_and_comparisons_go_through_json() -> None:
    result = Comparison({"a": measurement([1.0] * 8), "b": measurement([2.0] * 8)}, "b")
    again = Comparison.from_dict(json.loads(json.dumps(result.as_dict())))
    assert again == result
    assert again.speedup("a") == (2.0, 2.0, 2.0)
    assert again.verdict("a") == "faster"
    assert "2x (2 to 2) faster" in str(again)


def test_disturbed_measurements_prove_nothing_that_the_disturbance_could_do() -> None:
    fast, slow = measurement([1.0] * 9), measurement([2.0] * 9)
    loaded, loaded_fast = measurement([2.0] * 9, "foreign load: x"), measurement([1.0] * 9, "x: y")
    assert (fast.against(slow), slow.against(fast)) == ("faster", "slower")
    assert fast.against(loaded) == "cannot tell"
    assert loaded.against(fast) == "cannot tell"
    assert loaded_fast.against(slow) == "faster"


def test_rates_and_roofline_are_the_textbooks() -> None:
    one, roof = measurement([0.5] * 9), Roofline(100.0, 10.0, 1, "cpu", "float32")
    assert one.gflops(1e9) == 2.0
    assert one.gbytes_per_s(1e9) == 2.0
    assert roof.ceiling_gflops(flops=1e9, moved=1e9) == 10.0
    assert roof.ceiling_gflops(flops=1e12, moved=1e9) == 100.0
    assert roof.fraction(flops=1e9, moved=1e9, seconds=0.5) == 0.2


def test_a_roofline_is_measured() -> None:
    from ops.timing import roofline

    roof = roofline(seconds=0.01)
    assert roof.gflops > 0
    assert roof.gbytes_per_s > 0
    assert json.loads(json.dumps(roof.as_dict()))["threads"] == torch.get_num_threads()
