"""ONNX Runtime and OpenVINO as what runs a network: with the kernels of `ops`, or without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from invsearch.latency.runtimes import Runtime

__all__ = ["ONNXRUNTIME", "ONNXRUNTIME_PORTABLE", "OPENVINO", "OPENVINO_PORTABLE", "on_onnx"]
__all__ += ["onnxruntime_engine", "openvino_engine"]

Engine = Callable[[bytes, Tensor], Callable[[Any], Any]]


def on_onnx(engine: Engine, network: nn.Module, x: Tensor, *, native: bool) -> _OnArrays:
    """A network in eval mode, as an engine runs it.

    Args:
        engine: From a model and its images to what runs an array.
        network: On a CPU, in float32.
        x: Images (B, C, H, W) as it will get them.
        native: Whether involutions run by the kernels of `ops`.
    """
    from invsearch.models.onnx import onnx_model

    model = onnx_model(network, tuple(x.shape), native=native)
    return _OnArrays(engine(model.SerializeToString(), x))


class _OnArrays:
    """Takes tensors to what takes arrays, whose images lie channel by channel.

    The array of the last tensor is kept: that a runtime's caller has its images in the runtime's
    own layout is no part of a latency.
    """

    def __init__(self, run: Callable[[Any], Any]) -> None:
        self._run = run
        self._last: tuple[Tensor, Any] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self._last is None or self._last[0] is not x:
            self._last = (x, x.detach().contiguous().numpy())
        return torch.from_numpy(self._run(self._last[1]))


def onnxruntime_engine(model: bytes, x: Tensor) -> Callable[[Any], Any]:
    """ONNX Runtime, with as many threads as torch has."""
    from ops.runtimes import onnxruntime_session

    session = onnxruntime_session(model, threads=torch.get_num_threads())
    return lambda array: session.run(None, {"images": array})[0]


def openvino_engine(model: bytes, x: Tensor) -> Callable[[Any], Any]:
    """OpenVINO in float32, for images of x's shape alone, with as many threads as torch has."""
    from ops.runtimes import openvino_model

    compiled = openvino_model(model, tuple(x.shape), threads=torch.get_num_threads())
    request = compiled.create_infer_request()

    def run(array: Any) -> Any:
        return request.infer([array], share_inputs=True, share_outputs=True)[0]

    return run


def _runtime(name: str, engine: Engine, extra: str, *, native: bool) -> Runtime:
    def prepare(network: nn.Module, x: Tensor) -> _OnArrays:
        return on_onnx(engine, network, x, native=native)

    package = name.partition("_")[0]
    return Runtime(
        name,
        prepare,
        devices=("cpu",),
        dtypes=("fp32",),
        packages=((package, extra), ("onnx", extra), ("onnxscript", extra)),
        parts=False,
    )


ONNXRUNTIME = _runtime("onnxruntime", onnxruntime_engine, "onnx", native=True)
OPENVINO = _runtime("openvino", openvino_engine, "openvino", native=True)
ONNXRUNTIME_PORTABLE = _runtime("onnxruntime_portable", onnxruntime_engine, "onnx", native=False)
OPENVINO_PORTABLE = _runtime("openvino_portable", openvino_engine, "openvino", native=False)
