"""`ops.measure` times what it says, as often as it says, and says how."""

from __future__ import annotations

import json
import time

import pytest
import torch
from torch import Tensor, nn

import ops

QUICK = {"min_time": 0.0, "warmup_time": 0.0, "sample_time": 0.0, "max_width": 1e9}


class Spy(nn.Module):
    """Records the circumstances of every call."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.seen: list[tuple[bool, bool, bool, torch.dtype]] = []

    def forward(self, x: Tensor) -> Tensor:
        state = torch.is_inference_mode_enabled(), torch.is_grad_enabled(), self.training, x.dtype
        self.seen.append(state)
        return x * self.weight.sum()


@pytest.mark.parametrize("training", [False, True])
def test_forward_runs_in_eval_and_inference_mode(training: bool) -> None:
    spy = Spy().train(training)
    m = ops.measure(spy, (2, 3), **QUICK)
    assert set(spy.seen) == {(True, False, False, torch.float32)}
    assert len(spy.seen) == m.warmup_calls + m.calls_per_sample * len(m.samples)
    assert spy.training is training


def test_backward_runs_the_forward_pass_once() -> None:
    spy = Spy()
    m = ops.measure(spy, (2, 3), mode="backward", **QUICK)
    assert spy.seen == [(False, True, True, torch.float32)]
    assert spy.weight.grad is None
    assert m.mode == "backward"


def test_train_runs_forward_and_backward_each_time() -> None:
    spy = Spy()
    m = ops.measure(spy, (2, 3), mode="train", **QUICK)
    assert len(spy.seen) == 1 + m.warmup_calls + m.calls_per_sample * len(m.samples)


def test_samples_are_at_least_as_many_and_as_long_as_asked() -> None:
    m = ops.measure(nn.Identity(), (1,), min_samples=8, warmup_time=0.0, max_width=1e9)
    assert len(m.samples) >= 8
    assert m.calls_per_sample > 1
    assert m.missed is None
    assert m.interval[0] <= m.median <= m.interval[1]
    assert m.median_ms == m.median * 1e3


def test_the_time_limit_is_kept_and_what_it_missed_is_said() -> None:
    m = ops.measure(lambda x: time.sleep(0.02), (1,), max_time=0.05, warmup_time=0.0)
    assert 1 <= len(m.samples) < 20
    assert m.missed == f"{len(m.samples)} of 20 samples within 0.05 s"


def test_another_dtype_is_measured_on_a_copy() -> None:
    layer = ops.Involution2d(16)
    m = ops.measure(layer, (1, 16, 8, 8), dtype=torch.bfloat16, **QUICK)
    assert m.dtype == "bfloat16"
    assert next(layer.parameters()).dtype == torch.float32


def test_layers_are_not_copied_without_need() -> None:
    spy = Spy()
    ops.measure(spy, (2, 3), **QUICK)
    assert spy.seen


def test_the_result_says_what_was_measured_where_and_goes_into_json() -> None:
    m = ops.measure(nn.ReLU(), [2, 3], **QUICK)
    assert (m.shape, m.device, m.threads) == ((2, 3), "cpu", torch.get_num_threads())
    again = json.loads(json.dumps(m.as_dict()))
    assert again["median_ms"] == m.median_ms
    for key in ("cpu_model", "logical_cores", "usable_cores", "nice", "load_average", "torch"):
        assert again["environment"][key] is not None
    assert "95 % interval" in str(m)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="mode = 'inference' must be one of forward, backward"):
        ops.measure(nn.ReLU(), (1,), mode="inference")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_samples = 3 must be at least 6"):
        ops.measure(nn.ReLU(), (1,), min_samples=3)


def test_training_flags_come_back_after_an_error() -> None:
    def fail(x: Tensor) -> Tensor:
        raise RuntimeError("broken layer")

    layer = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3))
    layer.register_forward_pre_hook(lambda module, args: fail(args[0]))
    with pytest.raises(RuntimeError, match="broken layer"):
        ops.measure(layer, (1, 3, 2, 2))
    assert layer[1].training
