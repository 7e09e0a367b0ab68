"""Networks as ONNX: standard nodes in any runtime, or the kernels of `ops` inside two of them."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ops
import ops.runtimes
from invsearch.models import rednet
from ops.involution.backends.native import library as native


def _has(*names: str) -> bool:
    return all(importlib.util.find_spec(name) for name in names)


pytestmark = pytest.mark.skipif(not _has("onnx", "onnxscript"), reason="needs the extra onnx")

needs_onnxruntime = pytest.mark.skipif(not _has("onnxruntime"), reason="needs onnxruntime")
needs_openvino = pytest.mark.skipif(not _has("openvino"), reason="needs the extra openvino")


def by_onnxruntime(model: bytes, shape: tuple[int, ...]) -> Callable[[Tensor], np.ndarray]:
    session = ops.runtimes.onnxruntime_session(model)
    return lambda x: session.run(None, {"images": x.numpy()})[0]


def by_openvino(model: bytes, shape: tuple[int, ...]) -> Callable[[Tensor], np.ndarray]:
    compiled = ops.runtimes.openvino_model(model, shape)
    return lambda x: compiled([x.numpy()])[0]


ENGINES = [
    pytest.param(by_onnxruntime, marks=needs_onnxruntime),
    pytest.param(by_openvino, marks=needs_openvino),
]
NATIVE = [
    False,
    pytest.param(
        True, marks=pytest.mark.skipif(native.missing() is not None, reason="needs the kernels")
    ),
]


def network() -> nn.Module:
    """All operators, strides 1 and 2, a layer of every generator."""
    torch.manual_seed(0)
    operators = ("involution", "self_attention", "convolution", "involution")
    stages = [{"blocks": 1, "operator": operator, "kernel_size": 3} for operator in operators]
    stages[3]["generator"] = "linear"
    made = rednet(None, num_classes=7, width=0.25, stem_kernel_size=5, stages=stages).eval()
    for stage in made.stages:
        stage[0].bn3.weight.data.fill_(0.2)
    return made


def windows() -> nn.Module:
    """Layers of all steps of the window."""
    torch.manual_seed(0)
    settings = itertools.product((3, 5), (1, 2), (1, 2))
    layers = [
        ops.Involution2d(8, k, stride=s, dilation=d, group_channels=4) for k, s, d in settings
    ]
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module", params=[network, windows], ids=lambda make: make.__name__)
def made(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    if request.param is network:
        return network(), torch.randn(3, 3, 32, 40)
    return windows(), torch.randn(3, 8, 45, 38)


@pytest.fixture(scope="module")
def models(made: tuple[nn.Module, Tensor]) -> dict[bool, bytes]:
    from invsearch.models.onnx import onnx_model

    module, x = made
    found = {native: onnx_model(module, (1, *x.shape[1:]), native=native) for native in (0, 1)}
    domains = {key: {node.domain for node in one.graph.node} for key, one in found.items()}
    assert domains[0] == {""}, "standard operators alone"
    assert "ops.involution" in domains[1]
    return {bool(key): one.SerializeToString() for key, one in found.items()}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("native", NATIVE)
def test_runtimes_compute_what_the_network_does(
    made: tuple[nn.Module, Tensor],
    models: dict[bool, bytes],
    engine: Callable[..., Callable[[Tensor], np.ndarray]],
    native: bool,
) -> None:
    module, x = made
    for images in (x, x[:1]):
        with torch.no_grad():
            expected = module(images)
        found = torch.from_numpy(engine(models[native], tuple(images.shape))(images))
        assert expected.std() > 1e-4, "nothing to compare"
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.std()))


def test_the_standard_form_is_right_by_the_standards_own_evaluator() -> None:
    """ONNX's reference implementation, which shares nothing with a runtime."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    from invsearch.models.onnx import onnx_model

    module = nn.Sequential(ops.Involution2d(8, 3, group_channels=4), ops.Involution2d(8, 3, 2, 4))
    x = torch.randn(2, 8, 7, 6)
    model = onnx_model(module.eval(), (1, 8, 7, 6))
    onnx.checker.check_model(model, full_check=True)
    with torch.no_grad():
        expected = module(x)
    found = ReferenceEvaluator(model).run(None, {"images": x.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)


@needs_onnxruntime
@pytest.mark.skipif(native.missing() is not None, reason="needs the kernels")
def test_inputs_that_do_not_fit_are_an_error_of_onnxruntime() -> None:
    from onnx import TensorProto, helper

    names = ("stride", "padding", "dilation")
    steps = {
        f"{name}_{axis}": int(name != "padding") for name in names for axis in ("rows", "columns")
    }
    node = helper.make_node(
        "Aggregate", ["x", "h"], ["y"], domain="ops.involution", epsilon=0.0, **steps
    )
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x", "h", "y")]
    graph = helper.make_graph([node], "g", values[:2], values[2:])
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("ops.involution", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    session = ops.runtimes.onnxruntime_session(model.SerializeToString())
    x = np.zeros((1, 4, 5, 5), np.float32)
    good = np.zeros((1, 2, 3, 3, 3, 3), np.float32)
    assert session.run(None, {"x": x, "h": good})[0].shape == (1, 4, 3, 3)
    for shape in ((1, 2, 3, 3, 4, 3), (1, 3, 3, 3, 3, 3), (2, 2, 3, 3, 3, 3)):
        with pytest.raises(Exception, match="do not fit"):
            session.run(None, {"x": x, "h": np.zeros(shape, np.float32)})
