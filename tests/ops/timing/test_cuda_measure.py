"""Measuring on a GPU: the arithmetic and the words anywhere, the clock where there is one."""

from __future__ import annotations

import json

import pytest
import torch

import ops
from ops.timing import GpuConditions, Measurement, energy, nvml
from ops.timing.clock import flushed_bytes, last_level_cache_bytes
from ops.timing.cuda import MOST_HELD_SECONDS, CudaClock, graphed, longer
from ops.timing.gpu import REASONS, foreign, throttle_reasons

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
CPU = torch.device("cpu")
QUIET = GpuConditions(
    sm_clock_mhz=(1980.0, 1975.0),
    max_sm_clock_mhz=1980.0,
    temperature_c=(41.0, 55.0),
    throttle_reasons=("application clocks",),
    throttled_s={"power": 0.0, "thermal": None},
    foreign_processes=0,
)


def test_throttle_reasons_are_named_and_an_idle_gpu_has_none() -> None:
    assert throttle_reasons() == throttle_reasons(0, 1) == ()
    assert throttle_reasons(0x5, 0x40) == ("power cap", "thermal slowdown (hardware)")
    assert throttle_reasons(0x4, 0x4, 0x10000) == ("power cap", "0x10000")
    assert len(throttle_reasons(0x1FF)) == len(REASONS) - 1


def test_this_process_is_not_foreign() -> None:
    assert [foreign(None), foreign([]), foreign(["us"]), foreign(["us", 2, 3])] == [None, 0, 0, 2]


def test_a_quiet_gpu_flags_nothing_and_what_cannot_be_read_neither() -> None:
    assert QUIET.flags() == ()
    assert GpuConditions(reason="no NVML").flags() == ()


@pytest.mark.parametrize(
    ("changed", "flag"),
    [
        ({"throttle_reasons": ("power cap", "sync boost")}, "gpu throttled: power cap"),
        ({"throttled_s": {"thermal": 0.25}}, "gpu throttled: thermal for 0.25 s"),
        ({"sm_clock_mhz": (1980.0, 1200.0)}, "gpu clock: fell from 1980 to 1200 MHz"),
        ({"foreign_processes": 2}, "gpu shared: 2 other processes compute on it"),
    ],
)
def test_each_disturbance_of_a_gpu_is_flagged(changed: dict[str, object], flag: str) -> None:
    assert GpuConditions(**changed).flags() == (flag,)  # type: ignore[arg-type]


def test_conditions_survive_json() -> None:
    assert json.loads(json.dumps(QUIET.as_dict())) == QUIET.as_dict()
    assert QUIET.as_dict()["sm_clock_mhz"] == [1980.0, 1975.0]


def test_the_spin_grows_until_it_covers_queueing_and_no_further() -> None:
    held, steps = 0.0, 0
    while held < 1.5e-3:
        held, steps = longer(held, 1e-3), steps + 1
    assert steps == 1
    assert longer(4e-3, 1e-3) == 8e-3
    assert longer(0.0, 60.0) == MOST_HELD_SECONDS


def test_energy_is_null_with_the_reason() -> None:
    """On a CPU, and on any device over too short a window."""
    on_cpu = energy(lambda: None, CPU, 2.0)
    assert on_cpu.mj is None
    assert on_cpu.reason == "read on CUDA devices only, not on cpu"
    short = energy(lambda: None, torch.device("cuda"), 0.2)
    assert (short.mj, short.reason) == (None, "a window of 0.2 s is shorter than 1 s")


def test_a_measurement_says_how_its_time_was_taken() -> None:
    one = ops.measure(torch.relu, (4, 4), cache="cold", min_time=0.0, warmup_time=0.0, max_width=9)
    assert one.conditions["clock"] == {"kind": "monotonic"}
    assert one.conditions["flushed_bytes"] == flushed_bytes(CPU, "cold") > 0
    assert one.conditions["gpu"] is None
    assert not one.conditions["cuda_graph"]
    assert one.energy_mj is None
    assert one.conditions["energy"]["reason"]
    again = Measurement.from_dict(json.loads(json.dumps(one.as_dict())))
    assert again == one


def test_earlier_measurements_without_energy_are_read() -> None:
    one = ops.measure(torch.relu, (2, 2), min_time=0.0, warmup_time=0.0, max_width=9)
    earlier = one.as_dict()
    for key in ("energy", "clock", "cuda_graph", "flushed_bytes", "gpu"):
        del earlier["conditions"][key]
    assert Measurement.from_dict(earlier).energy_mj is None


def test_a_graph_needs_a_gpu() -> None:
    with pytest.raises(ValueError, match="cuda_graph needs a CUDA device, not cpu"):
        ops.measure(torch.relu, (2, 2), cuda_graph=True)
    with pytest.raises(ValueError, match="cuda_graph needs a CUDA device, not cpu"):
        ops.compare({"relu": torch.relu}, (2, 2), cuda_graph=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: NVML can be used")
def test_without_a_driver_nvml_says_why_and_answers_nothing() -> None:
    handle, reason = nvml._handle(0)
    assert handle is None
    assert reason == nvml.NOT_INSTALLED or str(reason).startswith("NVML cannot be used: ")
    assert nvml.read("nvmlSystemGetDriverVersion") is None
    assert nvml.read("nvmlDeviceGetPowerUsage", None) is None


@needs_gpu
def test_the_clock_times_the_gpu_and_hides_the_launches() -> None:
    """A kernel that spins for known cycles takes ten times as long for ten times as many."""
    device = torch.device("cuda")
    clock = CudaClock(device)
    short, long = (
        clock(lambda cycles=cycles: torch.cuda._sleep(cycles), 20) for cycles in (10**5, 10**6)
    )
    assert 8 < long / short < 12
    x = torch.zeros(1, device=device)
    clock(lambda: x.add_(1), 200)
    assert clock.as_dict()["exposed"] == 0
    assert clock.held_s > 0
    assert clock.flags() == ()


@needs_gpu
def test_work_that_waits_for_the_gpu_is_flagged() -> None:
    x = torch.zeros(1, device="cuda")
    one = ops.measure(lambda y: x.add_(1).item(), (1,), "cuda", min_samples=6, max_time=2)
    assert any(flag.startswith("launches: ") for flag in one.flags)


@needs_gpu
@pytest.mark.parametrize("mode", ["forward", "backward", "train"])
def test_a_graph_computes_the_same(mode: ops.timing.workload.Mode) -> None:
    layer = ops.Involution2d(32).cuda()
    for graph in (False, True):
        one = ops.measure(layer, (2, 32, 9, 9), "cuda", mode, cuda_graph=graph, max_time=2)
        assert one.median > 0
        assert one.conditions["cuda_graph"] == graph
    x = torch.randn(3, device="cuda")
    with torch.cuda.stream(torch.cuda.Stream()):
        replay = graphed(lambda: x * 2, torch.device("cuda"))
        x.fill_(21)
        assert torch.equal(replay(), torch.full_like(x, 42))  # type: ignore[arg-type]


@needs_gpu
def test_the_flush_is_sized_from_the_device() -> None:
    device = torch.device("cuda")
    assert flushed_bytes(device, "cold") >= 2 * last_level_cache_bytes(device) > 0
    assert flushed_bytes(device, "warm") == 0


@needs_gpu
@pytest.mark.skipif(nvml._nvml()[0] is None, reason=str(nvml._nvml()[1]))
def test_nvml_tells_clocks_and_energy() -> None:
    layer = torch.nn.Linear(512, 512).cuda()
    one = ops.measure(layer, (512, 512), "cuda", max_time=2, energy_window=1.2)
    assert one.conditions["gpu"]["sm_clock_mhz"][1] > 100
    used = one.conditions["energy"]
    assert used["mj"] is None or (used["mj"] > 0 and used["window_s"] >= 1.2 and used["calls"] > 0)
    assert used["mj"] is not None or used["reason"]
