"""What each row on a GPU times, rehearsed on a CPU with small shapes; on a GPU what needs one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gpu_claims import claim_of
from torch.utils._python_dispatch import TorchDispatchMode

import ops
from invsearch.bench.gpu import cases as gpu_cases
from invsearch.bench.gpu import compare as gpu_compare
from invsearch.bench.gpu import fresh as gpu_fresh
from invsearch.bench.gpu import networks as gpu_networks
from invsearch.bench.gpu import works as gpu_works
from invsearch.bench.shapes import LayerShape
from ops.timing.cuda import graphed
from ops.timing.roofline import copy_kernel

AN_INSTANT = 0.01
needs_gpu = pytest.mark.skipif(ops.backends()["cuda"] != "available", reason=ops.backends()["cuda"])


class Recorded(TorchDispatchMode):
    """Notes the operators that are called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_copy_is_an_elementwise_kernel_and_no_memcpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`copy_` of whole tensors is a memcpy, which a graph leaves to the slower copy engine."""
    monkeypatch.setattr(gpu_compare, "COPIED_BYTES", 1 << 10)
    copy = gpu_compare.copy("cpu")
    with Recorded() as recorded:
        copied = copy()
    assert recorded.names == ["aten.mul.out"]
    assert copied.nbytes == 1 << 10
    assert copied.data_ptr() == copy().data_ptr()
    source, target = torch.randn(8), torch.empty(8)
    assert torch.equal(copy_kernel(source, target)(), 1.5 * source)


@needs_gpu
def test_a_graph_of_the_copy_has_no_memcpy() -> None:
    from torch.profiler import ProfilerActivity, profile

    with gpu_compare.streamed("cuda"):
        replay = graphed(gpu_compare.copy("cuda"), torch.device("cuda"))
        with profile(activities=[ProfilerActivity.CUDA]) as taken:
            replay()
            torch.cuda.synchronize()
    names = [event.key for event in taken.key_averages()]
    assert any("elementwise" in name for name in names), names
    assert not any("Memcpy DtoD" in name for name in names), names


def test_the_operator_is_held_against_the_copy_by_bytes(
    monkeypatch: pytest.MonkeyPatch, small: LayerShape
) -> None:
    _use(monkeypatch, small)
    monkeypatch.setattr(gpu_cases, "_shape", lambda row: small)
    monkeypatch.setattr(gpu_cases, "_sets", lambda moved, device: 3)
    monkeypatch.setattr(gpu_compare, "COPIED_BYTES", 1 << 16)
    monkeypatch.setattr(gpu_cases, "COPIED_BYTES", 1 << 16)
    one = gpu_cases.measure_row(claim_of("bare/s1/64"), "cpu", AN_INSTANT)
    assert one.found is not None, one.reason
    times = [one.details["measurements"][name]["median_ms"] for name in ("operator", "copy")]
    moved = 3 * one.details["bytes"] / (2 * (1 << 16))
    assert one.found.value == pytest.approx(moved * times[1] / times[0], rel=0.9)
    assert gpu_cases.copy_rate("cpu")["value"] > 0


@pytest.mark.parametrize("name", ["fused/64", "backward/64"])
def test_layers_are_timed_together_and_each_shape_alone(
    name: str, monkeypatch: pytest.MonkeyPatch, small: LayerShape
) -> None:
    _use(monkeypatch, small)
    one = gpu_cases.measure_row(claim_of(name), "cpu", AN_INSTANT)
    assert one.found is not None, one.reason
    assert set(one.details["measurements"]) == {"fused", "unfused"}
    assert set(one.details["shapes"]) == {"small"}
    assert set(one.details["shapes"]["small"]["ms"]) == {"fused", "unfused"}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["eager/64", "network/64", "training/64"])
def test_networks_are_timed_side_by_side(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without compilation, in fp32: on a CPU both take minutes more."""
    for constant, value in {"SIDE": 32, "DTYPE": torch.float32}.items():
        monkeypatch.setattr(gpu_networks, constant, value)
    monkeypatch.setattr(gpu_networks, "_compile", lambda network: network)
    images = gpu_networks._images(2, "cpu", torch.float32)
    monkeypatch.setattr(gpu_networks, "_images", lambda *sizes: images)
    one = gpu_cases.measure_row(claim_of(name), "cpu", AN_INSTANT)
    assert one.found is not None, one.reason
    assert set(one.details["images_per_s"]) == {"RedNet-50", "ResNet-50"}
    if name.startswith("training"):
        for losses in (one.details["losses, eager"], one.details["losses, compiled"]):
            first, *_, last = losses["RedNet-50"]
            assert last < first


def test_a_wrong_network_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = torch.nn.Conv2d(3, 2, 1)
    networks = {"RedNet-50": layer, "ResNet-50": layer}
    monkeypatch.setattr(gpu_networks, "_networks", lambda: networks)
    monkeypatch.setattr(gpu_networks, "_rednet", lambda: torch.nn.Conv2d(3, 2, 1))
    monkeypatch.setattr(gpu_networks, "DTYPE", torch.float32)
    monkeypatch.setattr(gpu_networks, "SIDE", 4)
    one = gpu_cases.measure_row(claim_of("eager/64"), "cpu", AN_INSTANT)
    assert str(one.reason).startswith("DisagreementError: ")


@pytest.mark.slow
def test_first_calls_are_those_of_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_fresh, "FIRST_CALLS", 2)
    one = gpu_cases.measure_row(claim_of("first/bare"), "cpu", 60.0)
    assert one.found is not None, one.reason
    assert len(one.details["seconds"]) == 2
    failed = gpu_cases.measure_row(claim_of("first/bare"), "nowhere", 60.0)
    assert "nowhere" in str(failed.reason)


def test_what_works_says_which_part_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ['{"bare": null, "fused": null}', '{"bare": null, "fused": "ValueError: other bits"}']
    monkeypatch.setattr(gpu_fresh, "_answer", lambda process, seconds: answers.pop(0))
    right, wrong = (gpu_cases.measure_row(claim_of("capture"), "cuda", 60.0) for _ in range(2))
    assert (right.verdict, right.reason) == ("works", None)
    assert (wrong.verdict, wrong.reason) == ("fails", "fused: ValueError: other bits")


def test_with_less_than_two_gpus_two_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    one = gpu_cases.measure_row(claim_of("two"), "cuda", 60.0)
    assert (one.verdict, one.reason) == ("skipped", "it takes two GPUs, and there are 1")


def test_what_is_captured_depends_on_the_input_that_changes() -> None:
    names = []
    for name, run, changed in gpu_works._operators("cpu"):
        before = [tensor.clone() for tensor in gpu_works._tensors(run())]
        changed.normal_()
        after = gpu_works._tensors(run())
        assert not torch.equal(before[0], after[0])
        names.append(name)
    assert names == ["bare", "fused", "backward"]


@needs_gpu
def test_kernels_load_within_a_capture() -> None:
    one = gpu_cases.measure_row(claim_of("capture"), "cuda", 120.0)
    assert (one.verdict, one.reason) == ("works", None)


def _use(monkeypatch: pytest.MonkeyPatch, small: LayerShape) -> None:
    """One small layer in the place of the network's, in fp32."""
    monkeypatch.setattr(gpu_cases, "REDNET50", (small,))
    monkeypatch.setattr(gpu_cases, "LAYERS", (small, small))
    monkeypatch.setattr(gpu_cases, "DTYPE", torch.float32)
