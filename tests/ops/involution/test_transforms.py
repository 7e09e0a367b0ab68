"""torch.func's transforms and forward-mode AD: each equals that of a plain torch composition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import ops
from ops.involution import library
from ops.involution.fused import bottleneck, fused, fused_backward
from ops.self_attention import SelfAttention2d

Function = Callable[..., Any]

STEPS = ([2, 1], [1, 1], [1, 1])
CPU_BACKENDS = ("torch", "unfold", "native")


def numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def windows(x: Tensor, groups: int, size: int, steps: Any) -> Tensor:
    """(B, G, C / G, K * K, H_out * W_out)."""
    stride, padding, dilation = steps
    columns = F.unfold(x, size, dilation, padding, stride)
    return columns.reshape(x.shape[0], groups, x.shape[1] // groups, size**2, -1)


def reference(x: Tensor, kernel: Tensor, steps: Any = STEPS) -> Tensor:
    """The paper's definition, of torch's own operators."""
    _, groups, size, _, *output = kernel.shape
    weights = kernel.reshape(kernel.shape[0], groups, 1, size**2, -1)
    y = (windows(x, groups, size, steps) * weights).sum(3)
    return y.reshape(*x.shape[:2], *output)


def reference_grad_kernel(grad_output: Tensor, x: Tensor, groups: int, size: int) -> Tensor:
    gradients = grad_output.reshape(x.shape[0], groups, x.shape[1] // groups, 1, -1)
    kernel = (windows(x, groups, size, STEPS) * gradients).sum(2)
    return kernel.reshape(x.shape[0], groups, size, size, *grad_output.shape[2:])


def reference_grad_input(grad_output: Tensor, kernel: Tensor, size: tuple[int, int]) -> Tensor:
    batch, groups, window = kernel.shape[:3]
    channels = grad_output.shape[1]
    gradients = grad_output.reshape(batch, groups, channels // groups, 1, -1)
    columns = gradients * kernel.reshape(batch, groups, 1, window**2, -1)
    stride, padding, dilation = STEPS
    columns = columns.reshape(batch, channels * window**2, -1)
    return F.fold(columns, size, window, dilation, padding, stride)


def reference_fused(x: Tensor, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    groups, size, _, hidden = weight.shape
    span = F.conv2d(features, weight.reshape(-1, hidden, 1, 1), bias.reshape(-1))
    return reference(x, span.unflatten(1, (groups, size, size)))


def reference_bottleneck(
    x: Tensor, reduce: Tensor, gain: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    reduced = F.conv2d(F.avg_pool2d(x, (2, 1), (2, 1), ceil_mode=True), reduce)
    features = F.relu(reduced / (1 + 1e-5) ** 0.5 * gain[:, None, None])
    return reference_fused(x, features, weight, bias)


def run_bottleneck(backend: str) -> Function:
    mean, variance = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)

    def run(x: Tensor, reduce: Tensor, gain: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        norm = (mean, variance, gain, mean)
        return bottleneck(x, reduce, *norm, weight, bias, 1e-5, *STEPS, backend)

    return run


def reference_backward(g: Tensor, *inputs: Tensor) -> Any:
    return vjp(reference_fused, *inputs)[1](g)


SPAN = ((1, 2, 4, 3), (1, 2, 2, 3), (1, 3, 3, 2), (1, 3, 3))

CASES: dict[str, tuple[Function, Function, tuple[tuple[int, ...], ...]]] = {
    "involution2d": (
        lambda backend: lambda x, k: ops.involution2d(x, k, (2, 1), backend=backend),
        reference,
        ((2, 2, 3, 3), (2, 1, 3, 3, 2, 3)),
    ),
    "grad_input": (
        lambda backend: lambda g, k: library.grad_input(g, k, (3, 3), *STEPS, backend),
        lambda g, k: reference_grad_input(g, k, (3, 3)),
        ((2, 2, 2, 3), (2, 1, 3, 3, 2, 3)),
    ),
    "grad_kernel": (
        lambda backend: lambda g, x: library.grad_kernel(g, x, 3, 1, *STEPS, backend),
        lambda g, x: reference_grad_kernel(g, x, 1, 3),
        ((2, 2, 2, 3), (2, 2, 3, 3)),
    ),
    "fused": (lambda backend: lambda *t: fused(*t, *STEPS, backend), reference_fused, SPAN),
    "fused_backward": (
        lambda backend: lambda *t: fused_backward(*t, *STEPS, backend),
        reference_backward,
        ((1, 2, 2, 3), *SPAN),
    ),
    "bottleneck": (
        run_bottleneck,
        reference_bottleneck,
        ((1, 2, 4, 3), (2, 2, 1, 1), (2,), *SPAN[2:]),
    ),
}


def scalar(function: Function) -> Function:
    """A cubic of the results, so that second derivatives by one argument are not 0."""

    def loss(*inputs: Tensor) -> Any:
        results = function(*inputs)
        parts = results if isinstance(results, tuple) else (results,)
        return sum((part**3).sum() for part in parts)

    return loss


def dual(function: Function, inputs: Any, tangents: Any) -> Any:
    """Forward mode without torch.func, then gradients of its tangent, then forward over reverse."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*both) for both in zip(leaves, tangents, strict=True)]
        value, tangent = forward_ad.unpack_dual(scalar(function)(*duals))
        over = torch.autograd.grad(tangent, leaves, retain_graph=True)
        under = torch.autograd.grad(scalar(function)(*duals), duals, create_graph=True)
        return value, tangent, over, [forward_ad.unpack_dual(g).tangent for g in under]


def every(inputs: Any) -> tuple[int, ...]:
    return tuple(range(len(inputs)))


def pullback(function: Function, inputs: Any, tangents: Any) -> Any:
    value, pull = vjp(function, *inputs)
    return pull(value)


def unmixed(function: Function, inputs: Any, tangents: Any) -> Any:
    """No gradients on: forward mode must not need them."""
    with torch.no_grad():
        return jvp(function, inputs, tangents)


TRANSFORMS: dict[str, Callable[[Function, Any, Any], Any]] = {
    "jvp": jvp,
    "jvp of the first": lambda f, i, t: jvp(lambda x: f(x, *i[1:]), i[:1], t[:1]),
    "jvp of the last": lambda f, i, t: jvp(lambda x: f(*i[:-1], x), i[-1:], t[-1:]),
    "jvp without gradients": unmixed,
    "grad": lambda f, i, t: grad(scalar(f), every(i))(*i),
    "vjp": pullback,
    "jacrev": lambda f, i, t: jacrev(f, every(i))(*i),
    "jacfwd": lambda f, i, t: jacfwd(f, every(i))(*i),
    "hessian": lambda f, i, t: hessian(scalar(f), (0, 1))(*i),
    "reverse over reverse": lambda f, i, t: jacrev(jacrev(scalar(f)), 1)(*i),
    "reverse over forward": lambda f, i, t: jacrev(jacfwd(scalar(f)), 1)(*i),
    "forward over forward": lambda f, i, t: jacfwd(jacfwd(scalar(f)), 1)(*i),
    "forward over reverse": lambda f, i, t: jvp(grad(scalar(f), every(i)), i, t),
    "dual tensors": dual,
    "vmap of jvp": lambda f, i, t: vmap(lambda *t: jvp(f, i, t)[1])(*doubled(t)),
    "vmap of grad": lambda f, i, t: vmap(grad(scalar(f), every(i)))(*doubled(i)),
    "grad of vmap": lambda f, i, t: grad(scalar(vmap(f)), every(i))(*doubled(i)),
    "jvp of vmap": lambda f, i, t: jvp(vmap(f), doubled(i), doubled(t)),
}


def doubled(tensors: Any) -> tuple[Tensor, ...]:
    """Two of each, in front."""
    return tuple(torch.stack((tensor, 2 - tensor)) for tensor in tensors)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_each_transform_equals_the_references(backend: str, case: str, transform: str) -> None:
    if ops.backends()[backend] != "available":
        pytest.skip(f"back end {backend}: {ops.backends()[backend]}")
    make, expected, shapes = CASES[case]
    inputs = tuple(numbers(*shape) for shape in shapes)
    tangents = tuple(numbers(*shape, seed=9) for shape in shapes)
    run = TRANSFORMS[transform]
    torch.testing.assert_close(
        tuple(run(make(backend), inputs, tangents)), tuple(run(expected, inputs, tangents))
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_vmap_over_any_of_the_arguments(case: str, dim: int) -> None:
    make, expected, shapes = CASES[case]
    inputs = [numbers(*shape) for shape in shapes]
    for mapped in (*([i] for i in range(len(inputs))), list(range(len(inputs)))):
        dims = tuple(dim if i in mapped else None for i in range(len(inputs)))
        arguments = [
            torch.stack((tensor, 1 - tensor, 2 * tensor), dim) if i in mapped else tensor
            for i, tensor in enumerate(inputs)
        ]
        torch.testing.assert_close(
            vmap(make(None), dims)(*arguments), vmap(expected, dims)(*arguments)
        )


def test_vmap_of_vmap_and_vectorized_jacobians() -> None:
    make, expected, shapes = CASES["involution2d"]
    x, kernel = (numbers(*shape) for shape in shapes)
    xs, kernels = torch.stack((x, -x)), torch.stack((kernel, 1 - kernel, kernel + 2), -1)
    nested = [vmap(vmap(f, (0, None)), (None, -1), 1)(xs, kernels) for f in (make(None), expected)]
    torch.testing.assert_close(*nested)
    for strategy in ("reverse-mode", "forward-mode"):
        results = [
            torch.autograd.functional.jacobian(f, (x, kernel), vectorize=True, strategy=strategy)
            for f in (make(None), expected)
        ]
        torch.testing.assert_close(*results)


def test_jvp_equals_finite_differences() -> None:
    x, kernel = numbers(1, 4, 5, 4), numbers(1, 2, 3, 3, 5, 4)
    to_x, to_kernel = numbers(1, 4, 5, 4, seed=1), numbers(1, 2, 3, 3, 5, 4, seed=1)
    _, tangent = jvp(ops.involution2d, (x, kernel), (to_x, to_kernel))
    step = 1e-6
    ahead = ops.involution2d(x + step * to_x, kernel + step * to_kernel)
    behind = ops.involution2d(x - step * to_x, kernel - step * to_kernel)
    torch.testing.assert_close(tangent, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)


def test_shapes_that_do_not_fit_are_named_under_vmap() -> None:
    with pytest.raises(ValueError, match="expected"):
        vmap(ops.involution2d)(torch.ones(2, 1, 4, 5, 5), torch.ones(2, 1, 1, 3, 3, 4, 4))


class Plain(nn.Module):
    """A layer computed from its own generator's modules and the reference."""

    def __init__(self, layer: ops.Involution2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        layer, generator, half = self.layer, self.layer.generator, self.layer.kernel_size // 2
        steps = ([layer.stride] * 2, [half] * 2, [1, 1])
        groups, size = generator.groups, layer.kernel_size
        pooled = F.avg_pool2d(x, layer.stride, ceil_mode=True)
        value = x
        if hasattr(generator, "norm"):
            reduced = F.conv2d(pooled, generator.reduce.weight)
            span = F.conv2d(
                F.relu(generator.norm(reduced)), generator.span.weight, generator.span.bias
            )
            kernel = span.unflatten(1, (groups, size, size))
        elif hasattr(generator, "span"):
            span = F.conv2d(pooled, generator.span.weight, generator.span.bias)
            kernel = span.unflatten(1, (groups, size, size))
        else:
            kernel = self._attention(x, pooled, steps)
            if isinstance(layer, SelfAttention2d):
                value = F.conv2d(x, layer.value.weight)
        return reference(value, kernel, steps)

    def _attention(self, x: Tensor, pooled: Tensor, steps: Any) -> Tensor:
        generator, size = self.layer.generator, self.layer.kernel_size
        groups = generator.groups
        query = F.conv2d(pooled, generator.query.weight)
        query = query.reshape(x.shape[0], groups, -1, 1, pooled.shape[2] * pooled.shape[3])
        keys = windows(F.conv2d(x, generator.key.weight), groups, size, steps)
        logits = (query * keys).sum(2) * generator.scale
        logits = logits + generator.position.reshape(1, groups, -1, 1)
        inside = windows(torch.ones(1, groups, *x.shape[2:]).to(x), groups, size, steps)[:, :, 0]
        weights = logits.masked_fill(inside == 0, -torch.inf).softmax(2)
        return weights.reshape(x.shape[0], groups, size, size, *pooled.shape[2:])


def layer_transforms(module: nn.Module, prefix: str, wanted: str) -> Any:
    """A transform of the layer as a function of its parameters and of x."""
    parameters = {
        prefix + name.removeprefix("layer."): tensor.detach()
        for name, tensor in module.named_parameters()
    }
    buffers = {name: tensor.clone() for name, tensor in module.named_buffers()}
    x = numbers(2, 4, 5, 4)
    tangents = {name: torch.ones_like(tensor) for name, tensor in parameters.items()}

    def call(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(module, (parameters, {k: b.clone() for k, b in buffers.items()}), x)

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return call(parameters, x).pow(3).sum()

    if wanted == "jvp":
        return jvp(call, (parameters, x), (tangents, x.flip(0)))
    if wanted == "forward over reverse":
        return jvp(grad(loss, (0, 1)), (parameters, x), (tangents, x.flip(0)))
    if wanted == "per-sample gradients":
        return vmap(grad(loss), (None, 0))(parameters, x[:, None])
    if wanted == "ensemble":
        stacked = {name: torch.stack((t, 2 * t)) for name, t in parameters.items()}
        return vmap(call, (0, None))(stacked, x)
    assert wanted == "grad"
    return grad(loss, (0, 1))(parameters, x)


WANTED = ("jvp", "grad", "forward over reverse", "per-sample gradients", "ensemble")


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["bottleneck", "linear", "attention", "self_attention"])
@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_layers(backend: str, name: str, training: bool, gradients: bool, wanted: str) -> None:
    if ops.backends()[backend] != "available":
        pytest.skip(f"back end {backend}: {ops.backends()[backend]}")
    if training and name == "bottleneck" and wanted in ("per-sample gradients", "ensemble"):
        pytest.skip("torch's batch norm cannot update its statistics in place under vmap")
    torch.manual_seed(0)
    layer: ops.Involution2d
    if name == "self_attention":
        layer = SelfAttention2d(4, 3, 2, head_channels=2, backend=backend)
    else:
        layer = ops.Involution2d(4, 3, 2, 2, 2, generator=name, backend=backend)
    layer.double().train(training).requires_grad_(gradients)
    plain = Plain(layer)
    with torch.set_grad_enabled(gradients):
        got = layer_transforms(layer, "", wanted)
        expected = layer_transforms(plain, "layer.", wanted)

    def comparable(tree: Any) -> list[Tensor]:
        return torch.utils._pytree.tree_leaves(tree)

    torch.testing.assert_close(comparable(got), comparable(expected))


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_whole_network_in_eval_mode(channels_last: bool) -> None:
    """Where the ordinary path runs layers as single calls of the native library."""
    layers = [
        nn.BatchNorm2d(8),
        ops.Involution2d(8, 3, group_channels=4),
        SelfAttention2d(8, 3, head_channels=4),
    ]
    network = nn.Sequential(*layers).eval().requires_grad_(False)
    x, tangent = numbers(2, 8, 6, 5).float(), numbers(2, 8, 6, 5, seed=1).float()
    if channels_last:
        x, tangent = (t.to(memory_format=torch.channels_last) for t in (x, tangent))
    step = 1e-5
    _, pushed = jvp(network, (x,), (tangent,))
    mapped = vmap(network)(torch.stack((x, tangent)))
    torch.testing.assert_close(mapped, torch.stack((network(x), network(tangent))))
    pulled = grad(lambda x: (network(x) * 3).sum())(x)
    network.double()
    difference = network(x + step * tangent.double()) - network(x - step * tangent.double())
    torch.testing.assert_close(pushed.double(), difference / (2 * step), rtol=1e-3, atol=1e-5)
    leaf = x.double().requires_grad_()
    (wanted,) = torch.autograd.grad((network(leaf) * 3).sum(), leaf)
    torch.testing.assert_close(pulled.double(), wanted, rtol=1e-3, atol=1e-4)


def test_gradients_of_a_fused_call_are_mapped_and_pushed_forward() -> None:
    """The call itself is an ordinary one; only what comes back is batched, or dual."""
    make, expected, shapes = CASES["fused"]
    inputs = tuple(numbers(*shape) for shape in shapes)
    results = []
    for function in (make(None), expected):
        jacobian = torch.autograd.functional.jacobian(function, inputs, vectorize=True)
        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        y = function(*leaves)
        with forward_ad.dual_level():
            gradient = forward_ad.make_dual(y.detach(), torch.ones_like(y))
            pulled = torch.autograd.grad(y, leaves, gradient)
            tangents = [forward_ad.unpack_dual(tensor).tangent for tensor in pulled]
        results.append((jacobian, tangents))
    torch.testing.assert_close(*results)
