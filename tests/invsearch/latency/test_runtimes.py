"""Runtimes of a target: each runs the very network, or says what is in the way."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from invsearch.latency.runtimes import Runtime
from invsearch.models import rednet
from invsearch.plugins import RUNTIMES

STAGES = [{"blocks": 1, "kernel_size": 3}] * 4
ON_A_CPU = ("torch", "frozen", "onnxruntime", "onnxruntime_portable", "openvino")


@pytest.mark.parametrize("name", ON_A_CPU)
def test_it_computes_what_the_network_does(name: str) -> None:
    runtime = RUNTIMES.get(name, Runtime)
    reason = runtime.problem("cpu", "fp32")
    if reason is not None:
        pytest.skip(reason)
    torch.manual_seed(0)
    network = rednet(None, num_classes=5, width=0.25, stem_kernel_size=3, stages=STAGES).eval()
    for stage in network.stages:
        torch.nn.init.constant_(stage[0].bn3.weight, 0.2)
    x = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        run = runtime.prepare(network, x)
        for images in (x, x + 1):
            torch.testing.assert_close(run(images), network(images), rtol=1e-3, atol=1e-4)


def test_what_it_cannot_run_is_said_before_it_is_tried() -> None:
    for name in ("onnxruntime", "openvino_portable"):
        runtime = RUNTIMES.get(name, Runtime)
        assert "runs on cpu" in str(runtime.problem("cuda:1", "fp32"))
        assert "fp32" in str(runtime.problem("cpu", "fp16"))
        assert not runtime.parts
    openvino = RUNTIMES.get("openvino", Runtime)
    if importlib.util.find_spec("openvino") is None:
        assert "invsearch[openvino]" in str(openvino.problem("cpu", "fp32"))
