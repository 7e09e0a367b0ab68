"""Networks and layers go through torch.fx; portable copies through ONNX and quantisation."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import ops
from invsearch.models import FAMILIES, build, family_spec, portable
from ops.pointwise import Pointwise
from ops.self_attention import SelfAttention2d

NETWORKS = {
    **{name: {"family": name} for name in FAMILIES},
    "deep stem": {"family": "resnet", "deep": True},
    "attention": {"family": "rednet", "operator": "self_attention"},
    "linear generator": {"family": "rednet", "generator": "linear"},
    "attention generator": {"family": "rednet", "generator": "attention"},
    "depthwise": {"family": "resnet", "operator": "depthwise_convolution"},
    "mobile involution": {"family": "mobilenet", "operator": "involution", "group_channels": 8},
}
LAYERS = {
    "involution": lambda: ops.Involution2d(32, 5),
    "strided": lambda: ops.Involution2d(32, 3, stride=2, dilation=2),
    "linear": lambda: ops.Involution2d(32, 3, generator="linear"),
    "attention": lambda: ops.Involution2d(32, 3, stride=2, generator="attention"),
    "self attention": lambda: SelfAttention2d(32, 5, stride=2),
    "dilated": lambda: SelfAttention2d(32, 3, dilation=2),
    "pointwise": lambda: Pointwise(32, 16, 2, bias=True),
}


def network(name: str) -> nn.Module:
    settings = {"width": 0.5, "num_classes": 7, **NETWORKS[name]}
    deep = settings.pop("deep", False)
    spec = family_spec(settings["family"], 53 if "mobile" in settings["family"] else 26, **{
        key: value for key, value in settings.items() if key != "family"
    })  # fmt: skip
    if deep:
        from invsearch.models import resnet

        return resnet(26, width=0.5, num_classes=7, deep_stem=True)
    return build(spec)


def made(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    if name in LAYERS:
        return LAYERS[name](), torch.randn(2, 32, 11, 14)
    return network(name), torch.randn(2, 3, 37, 50)


ALL = [*NETWORKS, *LAYERS]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_fx_traces_it(name: str, training: bool) -> None:
    """The graph computes the same, for other sizes too, and has the same gradients."""
    model, x = made(name)
    model, x = model.double(), x.double()  # one image's batch norm magnifies rounding
    traced = torch.fx.symbolic_trace(copy.deepcopy(model).train(training))
    model.train(training)
    for images in (x, x[:1, :, 3:, :-5]):
        expected, found = model(images), traced(images)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    expected.square().sum().backward()
    found.square().sum().backward()
    gradients = dict(traced.named_parameters())
    for key, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(gradients[key].grad, parameter.grad, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_the_portable_copy_computes_the_same(name: str) -> None:
    """By torch's operators alone, with the same state dict; the original is as it was."""
    model, x = made(name)
    model.eval()
    kinds = [type(module) for module in model.modules()]
    copied = portable(model)
    with torch.no_grad():
        torch.testing.assert_close(copied(x), model(x), rtol=1e-4, atol=1e-5)
    assert [type(module) for module in model.modules()] == kinds
    assert list(copied.state_dict()) == list(model.state_dict())
    own = {parameter.data_ptr() for parameter in model.parameters()}
    assert not own & {parameter.data_ptr() for parameter in copied.parameters()}
    graph = torch.fx.symbolic_trace(copied).graph
    calls = [node.target for node in graph.nodes if node.op == "call_function"]
    assert not [call for call in calls if "ops." in getattr(call, "__module__", "")]
    program = torch.export.export(copied, (x,))
    named = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert {target.namespace for target in named if hasattr(target, "namespace")} <= {"aten"}


def test_a_users_own_model_is_copied_too() -> None:
    layer = ops.Involution2d(16)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), layer, nn.Sequential(layer)).eval()
    x = torch.randn(1, 3, 12, 12)
    copied = portable(model)
    assert copied[1] is copied[2][0]
    with torch.no_grad():
        torch.testing.assert_close(copied(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="torch has no fbgemm here"
)
def test_quantisation_by_fx() -> None:
    """Static int8 of a network with involutions: convolutions become quantised ones."""
    model, x = made("rednet")
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, that another package will have this
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        prepared = prepare_fx(portable(model), get_default_qconfig_mapping("fbgemm"), (x,))
        with torch.no_grad():
            prepared(x)
            found = convert_fx(prepared)(x)
            expected = model(x)
    assert found.shape == expected.shape
    assert torch.nn.functional.cosine_similarity(found, expected).min() > 0.9


def test_dynamic_quantisation() -> None:
    model, x = made("mobilenet")
    model.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(portable(model), {nn.Linear})
    with torch.no_grad():
        expected, found = model(x), quantised(x)
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript")),
    reason="needs the extra onnx: pip install 'invsearch[onnx]'",
)
@pytest.mark.parametrize("name", ["rednet", "attention", "mobilenet"])
def test_onnx(name: str, tmp_path: Path) -> None:
    model, x = made(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(portable(model.eval()), (x,), tmp_path / "model.onnx", dynamo=True)
    import onnx

    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    assert {node.domain for node in nodes} <= {"", "ai.onnx"}
