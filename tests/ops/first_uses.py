"""First uses of a layer, each in a process in which nothing was called before: run as a script.

`python first_uses.py` imports torch and ops, then reads ways from standard input, one a line. For
each it forks a process for each layer and mode, where the layer is used that way before anything
else, and its result compared with a plain call's. Answers with a line of JSON a way: case -> what
went wrong, or nothing.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import torch
import torch._dynamo
import torch.export
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

import ops
from ops import pointwise, registry
from ops.involution.backends import cuda, native

CHANNELS, SIZE = 32, (7, 6)


class Functional(nn.Module):
    """`involution2d` with a kernel of its own."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        size = tuple(-(-side // stride) for side in SIZE)
        self.stride, self.kernel = stride, nn.Parameter(torch.randn(2, 2, 3, 3, *size))

    def forward(self, x: Tensor) -> Tensor:
        return ops.involution2d(x, self.kernel, self.stride)


def _involution(generator: str, stride: int) -> nn.Module:
    return ops.Involution2d(CHANNELS, 3, stride, generator=generator)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda name=name: ops.get(name).make(CHANNELS) for name in ops.names()},
    **{
        f"{generator} / {stride}": lambda g=generator, s=stride: _involution(g, s)
        for generator, stride in (("bottleneck", 2), ("linear", 1), ("attention", 2))
    },
    "functional": lambda: Functional(1),
    "functional / 2": lambda: Functional(2),
    "pointwise": lambda: pointwise.Pointwise(CHANNELS, 8, 2, bias=True),
}

DIFFERENT = ("involution", "self_attention", "functional / 2")
"""Layers that meet the others' first needs too: a way that is not named in `EVERY` tries these."""

Way = Callable[[nn.Module, Tensor], Tensor]


def compiled(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.compile(layer, fullgraph=True, backend="eager")(x)


def compiled_ahead(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)(x)


def exported(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.export.export(layer, (x,)).module()(x)


def exported_strictly(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.export.export(layer, (x,), strict=True).module()(x)


def scripted(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.jit.trace(layer, x)(x)


def make_fx_of_it(layer: nn.Module, x: Tensor) -> Tensor:
    return make_fx(lambda image: layer(image))(x)(x)


def make_fx_symbolic(layer: nn.Module, x: Tensor) -> Tensor:
    traced = make_fx(
        lambda image: layer(image), tracing_mode="symbolic", _allow_non_fake_inputs=True
    )
    return traced(x)(x)


def fake(layer: nn.Module, x: Tensor) -> Tensor:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        y = layer(mode.from_tensor(x))
    real = layer(x)
    assert (y.shape, y.stride()) == (real.shape, real.stride())
    return real


def meta(layer: nn.Module, x: Tensor) -> Tensor:
    y, real = copy.deepcopy(layer).to("meta")(x.to("meta")), layer(x)
    assert (y.shape, y.dtype) == (real.shape, real.dtype)
    return real


def under_inference_mode(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        y = layer(x)
    return y.clone()


def in_threads(layer: nn.Module, x: Tensor) -> Tensor:
    gradients, results = torch.is_grad_enabled(), []

    def call() -> None:
        with torch.set_grad_enabled(gradients):
            results.append(layer(x))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, *others = results
    assert len(others) == 3
    assert all(torch.equal(first, other) for other in others)
    return first


def mapped(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():  # batch norm's statistics cannot be moved under vmap
        return torch.vmap(layer.eval())(x[None])[0]


def with_tangents(layer: nn.Module, x: Tensor) -> Tensor:
    with forward_ad.dual_level():
        y = layer(forward_ad.make_dual(x, torch.ones_like(x)))
        return forward_ad.unpack_dual(y).primal


def with_another_default_type(layer: nn.Module, x: Tensor) -> Tensor:
    torch.set_default_dtype(torch.float64)
    try:
        return layer(x)
    finally:
        torch.set_default_dtype(torch.float32)


def with_another_default_device(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.device("meta"):
        return layer(x)


def after_a_fork(layer: nn.Module, x: Tensor) -> Tensor:
    """Used here first, then in a child, as in the workers of a DataLoader."""
    y = layer(x)
    child = os.fork()
    if not child:
        os._exit(0 if torch.equal(layer(x), y) else 1)
    assert os.waitpid(child, 0)[1] == 0
    return y


WAYS: dict[str, Way] = {
    way.__name__: way
    for way in (
        *(compiled, compiled_ahead, exported, exported_strictly, scripted, make_fx_of_it),
        *(make_fx_symbolic, fake, meta, under_inference_mode, in_threads, mapped, with_tangents),
        *(with_another_default_type, with_another_default_device, after_a_fork),
    )
}

EVERY = ("compiled", "exported")


def case(layer: nn.Module, way: Way, training: bool) -> None:
    """In training with gradients, otherwise without, as the fast paths want it.

    What was found out on the way must be what a quiet look finds.
    """
    x = torch.randn(2, CHANNELS, *SIZE).contiguous(memory_format=torch.channels_last)
    layer.train(training and way not in (scripted, mapped, after_a_fork))
    other = copy.deepcopy(layer)
    with torch.set_grad_enabled(training):
        y, expected = way(layer, x), other(x)
    torch.testing.assert_close(y.detach(), expected.detach(), rtol=1e-4, atol=1e-5)
    product, status = pointwise._onednn_product(), ops.backends()
    for probe in (pointwise._onednn_product, cuda.BACKEND.missing, registry._entry_points):
        probe.forget()
    assert (product is None) is (pointwise._onednn_product() is None)
    assert status == ops.backends()
    assert (native.library.kernels() is None) is (native.library.missing() is not None)


def forked(run: Callable[[], None]) -> str:
    """What goes wrong in a process of its own: nothing, or a line."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            run()
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}"[:500].encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    return said if os.waitpid(child, 0)[1] == 0 else f"crashed; {said}"


def cases(way: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """What to run of a way, by name."""
    for layer in LAYERS if way in EVERY else DIFFERENT:
        for training in (False, True):
            name = f"{layer}, {'training' if training else 'eval'}"
            yield name, lambda m=layer, t=training: case(LAYERS[m](), WAYS[way], t)


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="`torch.jit")  # deprecated by torch; still in use
    torch.manual_seed(0)
    for line in sys.stdin:
        print(json.dumps({name: forked(run) for name, run in cases(line.strip())}), flush=True)
