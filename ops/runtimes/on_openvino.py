"""OpenVINO: operations of its extension API, in Python, whose work is one call of the kernels."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ops.involution.backends.native import library as native
from ops.involution.geometry import Geometry

__all__ = ["openvino_model"]

_STEPS = [
    f"{name}_{axis}" for name in ("stride", "padding", "dilation") for axis in ("rows", "columns")
]


def openvino_model(
    model: str | Path | bytes,
    shape: Sequence[int] | None = None,
    *,
    threads: int = 1,
    properties: dict[str, Any] | None = None,
) -> Any:
    """An ``openvino.CompiledModel`` on a CPU, in float32, that knows the operators of `ops`.

    Args:
        model: An ONNX file, or the bytes of a model.
        shape: Of the images, where it is to be fixed: (B, C, H, W).
        threads: CPU threads; of each involution, torch's (``torch.set_num_threads``).
        properties: More of OpenVINO's, such as ``INFERENCE_PRECISION_HINT``.

    Raises:
        ImportError: If openvino is not installed.
        RuntimeError: If a node needs the kernels, and they were not built.
    """
    import openvino

    core = openvino.Core()
    for extension in _extensions():
        core.add_extension(extension)
    source = io.BytesIO(model) if isinstance(model, bytes) else str(model)
    network = core.read_model(source)
    if shape is not None:
        network.reshape(list(shape))
    asked = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    asked |= {"PERFORMANCE_HINT": "LATENCY"}
    return core.compile_model(network, "CPU", asked | (properties or {}))


@functools.cache
def _extensions() -> tuple[Any, ...]:
    """Of the ONNX front end, for each operator; made once, as OpenVINO keeps what it is given."""
    from openvino.frontend.onnx import ConversionExtension

    kinds = {"Aggregate": ("aggregate", 1), "Bottleneck": ("bottleneck", 6)}
    made = []
    for name, (kernel, weight) in kinds.items():
        convert = functools.partial(_convert, _operation(name, kernel, weight))
        made.append(ConversionExtension(name, "ops.involution", convert))
    return tuple(made)


def _convert(operation: Any, node: Any) -> Any:
    inputs = [node.get_input(index) for index in range(node.get_input_size())]
    attributes = {name: node.get_attribute(name) for name in (*_STEPS, "epsilon")}
    return operation(inputs, attributes).outputs()


def _operation(name: str, kernel: str, weight: int) -> Any:
    """A class of operations.

    Args:
        name: Of its nodes.
        kernel: The C function that it calls.
        weight: Which input has the window: (..., K, K, ...) behind the groups.
    """
    import openvino

    class Operation(openvino.Op):  # type: ignore[misc]
        def __init__(self, inputs: Any = None, attributes: Any = None) -> None:
            super().__init__(self)
            self.attributes = dict(attributes or {})
            if inputs is not None:
                self.set_arguments(inputs)
                self.constructor_validate_and_infer_types()

        def validate_and_infer_types(self) -> None:
            images, channels, *size = self.get_input_partial_shape(0)
            window = self.get_input_partial_shape(weight)[1 if weight > 1 else 2].get_length()
            output = [
                openvino.Dimension(_out(self.attributes, axis, n.get_length(), window))
                for axis, n in zip(("rows", "columns"), size, strict=True)
            ]
            shape = openvino.PartialShape([images, channels, *output])
            self.set_output_type(0, self.get_input_element_type(0), shape)

        def clone_with_new_inputs(self, inputs: Any) -> Any:
            return type(self)(inputs, self.attributes)

        def visit_attributes(self, visitor: Any) -> bool:
            visitor.on_attributes(self.attributes)
            return True

        def has_evaluate(self) -> bool:
            return True

        def evaluate(self, outputs: Any, inputs: Any) -> bool:
            (y,) = outputs
            _run(kernel, self.attributes, weight, y, list(inputs))
            return True

    Operation.__name__ = Operation.__qualname__ = f"Involution{name}"
    return Operation


def _out(attributes: dict[str, Any], axis: str, size: int, window: int) -> int:
    step, padding, apart = (
        attributes[f"{name}_{axis}"] for name in ("stride", "padding", "dilation")
    )
    return int((size + 2 * padding - apart * (window - 1) - 1) // step + 1)


def _run(kernel: str, attributes: dict[str, Any], weight: int, y: Any, inputs: list[Any]) -> None:
    """Call the kernel on OpenVINO's own memory."""
    import torch

    x, window = tuple(inputs[0].shape), tuple(inputs[weight].shape)
    groups, size = (window[0], window[1]) if weight > 1 else (window[1], window[2])
    pairs = [(attributes[_STEPS[i]], attributes[_STEPS[i + 1]]) for i in (0, 2, 4)]
    out = (int(y.shape[2]), int(y.shape[3]))
    geometry = Geometry(x[0], x[1], groups, size, (x[2], x[3]), out, *pairs)
    around = (geometry, torch.float32, _strides(x), _strides(tuple(y.shape)))
    pointers = [one.data.ctypes.data for one in (*inputs, y)]
    if kernel == "aggregate":
        native.call(kernel, native.plan(*around, _strides(window)), *pointers)
        return
    plan = native.plan(*around, hidden=int(inputs[1].shape[0]))
    native.call(kernel, plan, *pointers, attributes["epsilon"])


@functools.lru_cache(1024)
def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of numbers with the last axis innermost."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides))
