"""A catalogue of modules with what each costs, by formulas that know nothing of any counter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import ops
from invsearch.cost import count
from invsearch.models import build, rednet_spec
from ops.pointwise import Pointwise

__all__ = ["CATALOGUE", "Counted"]

IMAGE = (2, 3, 8, 8)
PIXELS = 2 * 8 * 8
CONSTANT = torch.ones(6, 4)
ROWS = (2, 5, 6)  # two sequences of five vectors, or two matrices


@dataclass(frozen=True)
class Counted:
    """A module, and its multiply-adds.

    Attributes:
        make: Builds it.
        shape: Of its input.
        products: Multiply-adds of products, which every counter has.
        fvcore: What the convention ``fvcore`` adds for norms, pooling and interpolation.
        paper: What the convention ``paper`` adds, for biases and ReLUs besides.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    products: int
    fvcore: int = 0
    paper: int = 0


class Call(nn.Module):
    """A function of the input, and of weights of the given shapes."""

    def __init__(self, function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList(nn.Parameter(torch.zeros(shape)) for shape in shapes)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.weights)


class With(nn.Module):
    """A function of the input and of submodules."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Any:
        return self.function(x, *self.parts)


class Idle(nn.Conv2d):
    """A convolution that does nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Twice(nn.Linear):
    """A linear map that is applied twice."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(super().forward(x))


class Standardised(nn.Conv2d):
    """A convolution whose weights are standardised first (Qiao et al., 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight / weight.std(), self.bias, self.stride, self.padding)


class Frozen(nn.BatchNorm2d):
    """A batch norm written as one multiplication and one addition."""

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight / (self.running_var + self.eps).sqrt()
        return x * scale[:, None, None] + self.bias[:, None, None]


class Same(nn.ReLU):
    """A ReLU with a forward of its own that is the ReLU's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Named(nn.Conv2d):
    """A convolution under another name."""


def overridden(part: nn.Module, forward: Callable[[Tensor], Tensor]) -> nn.Module:
    part.forward = forward  # type: ignore[method-assign]
    return part


def inferring(x: Tensor, part: nn.Module) -> Tensor:
    with torch.inference_mode():
        return part(x)


def casting(x: Tensor, part: nn.Module) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return part(x)


def unused(x: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
    second(x)
    return first(x)


def attend(x: Tensor, attention: nn.Module) -> Tensor:
    return attention(x, x, x)[0]


def attend_alone(x: Tensor, attention: nn.Module) -> Tensor:
    return attention(x, x, x, need_weights=False)[0]


def packed(x: Tensor, part: nn.Module) -> Tensor:
    """Two sequences of five and of three steps."""
    sequences = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
    return part(sequences)[1][0]


def einsum(equation: str) -> Callable[..., Tensor]:
    return lambda *operands: torch.einsum(equation, *operands)


def operator(name: str, stride: int, **settings: Any) -> Counted:
    """A registered operator; its closed forms are what they are."""
    spec, shape = ops.get(name), (2, 32, 9, 7)
    whole = spec.macs(shape, "fvcore", stride=stride, **settings)
    pixels = 2 * -(-9 // stride) * -(-7 // stride)
    norm = 2 * 8 * pixels if settings.get("generator", name) == "involution" else 0
    paper = spec.macs(shape, "paper", stride=stride, **settings)
    return Counted(
        lambda: spec.make(32, stride=stride, **settings),
        shape,
        whole - norm,
        norm,
        paper - (whole - norm),
    )


def whole_network() -> Counted:
    spec = rednet_spec(26, width=0.25, group_channels=8, num_classes=4)
    counts = {c: count(spec, resolution=32, convention=c).macs for c in ("fvcore", "paper")}
    norms = sum(2 * spec_norm for spec_norm in _norm_elements(build(spec), (1, 3, 32, 32)))
    pooled = 512
    head = 512 * 4
    products = counts["fvcore"] - norms - pooled
    return Counted(
        lambda: build(spec),
        (1, 3, 32, 32),
        products,
        norms + pooled,
        counts["paper"] + head + 4 - products,
    )


def _norm_elements(network: nn.Module, shape: tuple[int, ...]) -> list[int]:
    found: list[int] = []
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_hook(lambda _, x, y: found.append(y.numel()))
    with torch.no_grad():
        network.eval()(torch.zeros(shape))
    return found


def gated(gates: int, features: int, hidden: int, steps: int = 10) -> int:
    """Multiply-adds of a recurrent layer in one direction."""
    return steps * gates * hidden * (features + hidden)


def attention(queries: int, keys: int, width: int, batch: int = 2) -> int:
    """Of all heads together: four projections, scores and what they weight."""
    projections = 2 * (queries + keys) * width**2
    return batch * (projections + 2 * queries * keys * width)


_ENCODER = attention(5, 5, 6) + 2 * 5 * 2 * 6 * 7
_DECODER = 2 * attention(5, 5, 6) + 2 * 5 * 2 * 6 * 7
_STEM = PIXELS * 27 * 4

CATALOGUE: dict[str, Counted] = {
    # convolutions
    "conv2d": Counted(lambda: nn.Conv2d(3, 4, 3, padding=1), IMAGE, _STEM, 0, PIXELS * 4),
    "conv2d without bias": Counted(lambda: nn.Conv2d(3, 4, 1, bias=False), IMAGE, PIXELS * 12),
    "conv2d, stride": Counted(lambda: nn.Conv2d(3, 4, 3, 2, 1, bias=False), IMAGE, 2 * 16 * 27 * 4),
    "conv2d, dilation": Counted(
        lambda: nn.Conv2d(3, 4, 3, dilation=2, bias=False), IMAGE, 2 * 16 * 27 * 4
    ),
    "conv2d, groups": Counted(
        lambda: nn.Conv2d(4, 8, 3, groups=2, bias=False), (2, 4, 5, 5), 2 * 9 * 8 * 2 * 9
    ),
    "conv2d, depthwise": Counted(
        lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False), (2, 4, 5, 5), 2 * 9 * 4 * 9
    ),
    "conv2d, same": Counted(lambda: nn.Conv2d(3, 4, 3, padding="same", bias=False), IMAGE, _STEM),
    "conv2d, reflecting": Counted(
        lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect", bias=False), IMAGE, _STEM
    ),
    "conv2d, unbatched": Counted(lambda: nn.Conv2d(3, 4, 1, bias=False), (3, 8, 8), 64 * 12),
    "pointwise": Counted(lambda: Pointwise(3, 4, bias=True), IMAGE, PIXELS * 12, 0, PIXELS * 4),
    "conv1d": Counted(lambda: nn.Conv1d(5, 3, 3), ROWS, 2 * 4 * 5 * 3 * 3, 0, 2 * 4 * 3),
    "conv3d": Counted(lambda: nn.Conv3d(2, 3, 2, bias=False), (2, 2, 3, 3, 3), 2 * 8 * 2 * 3 * 8),
    "conv_transpose1d": Counted(
        lambda: nn.ConvTranspose1d(5, 3, 3), ROWS, 2 * 6 * 5 * 3 * 3, 0, 2 * 8 * 3
    ),
    "conv_transpose2d": Counted(
        lambda: nn.ConvTranspose2d(3, 4, 2, 2), IMAGE, PIXELS * 3 * 4 * 4, 0, 4 * PIXELS * 4
    ),
    "conv_transpose2d, groups": Counted(
        lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, bias=False),
        (2, 4, 5, 5),
        2 * 25 * 4 * 3 * 9,
    ),
    "conv_transpose3d": Counted(
        lambda: nn.ConvTranspose3d(2, 3, 2, bias=False), (2, 2, 3, 3, 3), 2 * 27 * 2 * 3 * 8
    ),
    "conv_tbc": Counted(
        lambda: Call(torch.conv_tbc, (3, 6, 4), (4,)), (5, 2, 6), 3 * 2 * 3 * 6 * 4
    ),
    # linear maps and matrix products
    "linear": Counted(lambda: nn.Linear(6, 4), (3, 6), 3 * 24, 0, 3 * 4),
    "linear of sequences": Counted(lambda: nn.Linear(6, 4), ROWS, 10 * 24, 0, 10 * 4),
    "linear of an image": Counted(lambda: nn.Linear(8, 4, bias=False), IMAGE, 48 * 32),
    "linear, channels last": Counted(
        lambda: With(lambda x, f: f(x.permute(0, 2, 3, 1)), nn.Linear(3, 4)),
        IMAGE,
        PIXELS * 12,
        0,
        PIXELS * 4,
    ),
    "linear to one": Counted(lambda: Call(F.linear, (6,)), ROWS, 10 * 6),
    "x @ weight": Counted(lambda: Call(torch.matmul, (6, 4)), ROWS, 10 * 24),
    "weight @ x": Counted(lambda: Call(lambda x, w: w @ x, (7, 5)), ROWS, 2 * 7 * 5 * 6),
    "weight @ image": Counted(lambda: Call(lambda x, w: w @ x, (9, 8)), IMAGE, 6 * 9 * 8 * 8),
    "broadcast both ways": Counted(
        lambda: Call(lambda x, w: x[:, None] @ w, (1, 3, 6, 4)), ROWS, 2 * 3 * 5 * 6 * 4
    ),
    "rows @ vector": Counted(lambda: Call(torch.matmul, (6,)), ROWS, 10 * 6),
    "vector @ matrices": Counted(lambda: Call(lambda x, w: w @ x, (5,)), ROWS, 2 * 5 * 6),
    "matrix @ vector": Counted(lambda: Call(torch.matmul, (6,)), (4, 6), 24),
    "vector @ vector": Counted(lambda: Call(torch.matmul, (6,)), (6,), 6),
    "mm": Counted(lambda: Call(torch.mm, (6, 4)), (3, 6), 72),
    "bmm": Counted(lambda: Call(torch.bmm, (2, 6, 4)), ROWS, 2 * 5 * 24),
    "mv": Counted(lambda: Call(torch.mv, (6,)), (4, 6), 24),
    "dot": Counted(lambda: Call(torch.dot, (6,)), (6,), 6),
    "vdot": Counted(lambda: Call(torch.vdot, (6,)), (6,), 6),
    "inner": Counted(lambda: Call(torch.inner, (4, 6)), ROWS, 10 * 24),
    "addmm": Counted(lambda: Call(lambda x, w, b: torch.addmm(b, x, w), (6, 4), (4,)), (3, 6), 72),
    "addmm in place": Counted(
        lambda: Call(lambda x, w: torch.ones_like(x[:, :4]).addmm_(x, w), (6, 4)), (3, 6), 72
    ),
    "addmv": Counted(lambda: Call(lambda x, w, b: torch.addmv(b, x, w), (6,), (4,)), (4, 6), 24),
    "addbmm": Counted(
        lambda: Call(lambda x, w, b: torch.addbmm(b, x, w), (2, 6, 4), (5, 4)), ROWS, 10 * 24
    ),
    "baddbmm": Counted(
        lambda: Call(lambda x, w, b: torch.baddbmm(b, x, w), (2, 6, 4), (4,)), ROWS, 10 * 24
    ),
    "tensordot": Counted(
        lambda: Call(lambda x, w: torch.tensordot(x, w, ([1, -1], [2, 0])), (6, 4, 5)),
        ROWS,
        2 * 30 * 4,
    ),
    "tensordot of all": Counted(
        lambda: Call(lambda x, w: torch.tensordot(x, w, 3), ROWS), ROWS, 60
    ),
    "bilinear": Counted(
        lambda: With(lambda x, f: f(x, x[..., :4]), nn.Bilinear(6, 4, 3)), ROWS, 10 * 3 * 24
    ),
    "outer": Counted(lambda: Call(torch.outer, (4,)), (6,), 0),
    "einsum of scores": Counted(
        lambda: Call(einsum("bhid,bhjd->bhij"), IMAGE), IMAGE, 6 * 8 * 8 * 8
    ),
    "einsum over channels": Counted(
        lambda: Call(einsum("bchw,oc->bohw"), (5, 3)), IMAGE, PIXELS * 15
    ),
    "einsum of kernels": Counted(
        lambda: Call(einsum("bgckhw,gkhw->bgchw"), (2, 9, 5, 4)),
        (2, 2, 3, 9, 5, 4),
        2 * 2 * 3 * 9 * 20,
    ),
    "einsum of large sizes": Counted(
        lambda: Call(einsum("ij,kj->ik"), (1013, 41)), (1009, 41), 1009 * 1013 * 41
    ),
    "einsum of three": Counted(
        lambda: Call(einsum("...i,ij,jk->...k"), (6, 4), (4, 3)), ROWS, 10 * (24 + 12)
    ),
    "einsum, implicit": Counted(lambda: Call(einsum("bij , jk"), (6, 4)), ROWS, 10 * 24),
    "einsum, elementwise": Counted(lambda: Call(einsum("bij,bij->bij"), ROWS), ROWS, 0),
    "einsum of one": Counted(lambda: Call(einsum("bii->b")), (2, 5, 5), 0),
    # recurrent layers
    "lstm": Counted(lambda: nn.LSTM(6, 3), ROWS, gated(4, 6, 3)),
    "lstm, all at once": Counted(
        lambda: nn.LSTM(6, 4, 2, batch_first=True, bidirectional=True, proj_size=3),
        ROWS,
        # projected to 3 a direction; the second layer reads both
        10 * 2 * (16 * (6 + 3) + 12 + 16 * (6 + 3) + 12),
    ),
    "gru": Counted(lambda: nn.GRU(6, 3, 2, bias=False), ROWS, gated(3, 6, 3) + gated(3, 3, 3)),
    "gru, bidirectional": Counted(
        lambda: nn.GRU(6, 3, batch_first=True, bidirectional=True), ROWS, 2 * gated(3, 6, 3)
    ),
    "rnn": Counted(lambda: nn.RNN(6, 3), ROWS, gated(1, 6, 3)),
    "rnn of relu": Counted(lambda: nn.RNN(6, 3, nonlinearity="relu"), ROWS, gated(1, 6, 3)),
    "lstm of packed sequences": Counted(
        lambda: With(packed, nn.LSTM(6, 3, batch_first=True)), ROWS, gated(4, 6, 3, steps=5 + 3)
    ),
    "lstm, unbatched": Counted(lambda: nn.LSTM(6, 3), (5, 6), gated(4, 6, 3, steps=5)),
    "lstm cell": Counted(lambda: nn.LSTMCell(6, 3), (2, 6), gated(4, 6, 3, steps=2)),
    "gru cell": Counted(lambda: nn.GRUCell(6, 3), (2, 6), gated(3, 6, 3, steps=2)),
    "rnn cell": Counted(lambda: nn.RNNCell(6, 3), (2, 6), gated(1, 6, 3, steps=2)),
    # attention
    "attention": Counted(
        lambda: With(attend, nn.MultiheadAttention(6, 2, batch_first=True)),
        ROWS,
        attention(5, 5, 6),
    ),
    "attention without its weights": Counted(
        lambda: With(attend_alone, nn.MultiheadAttention(6, 3, batch_first=True, bias=False)),
        ROWS,
        attention(5, 5, 6),
    ),
    "attention, length first": Counted(
        lambda: With(attend, nn.MultiheadAttention(6, 2)), ROWS, attention(2, 2, 6, batch=5)
    ),
    "attention, across": Counted(
        lambda: With(
            lambda x, f: f(x, x[:, :3], x[:, :3])[0], nn.MultiheadAttention(6, 2, batch_first=True)
        ),
        ROWS,
        attention(5, 3, 6),
    ),
    "sdpa": Counted(
        lambda: Call(F.scaled_dot_product_attention, IMAGE, (2, 3, 8, 5)),
        IMAGE,
        6 * 8 * 8 * (8 + 5),
    ),
    "sdpa, causal": Counted(
        lambda: Call(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
        IMAGE,
        6 * 8 * 8 * 16,
    ),
    "sdpa, grouped queries": Counted(
        lambda: Call(
            lambda x, k: F.scaled_dot_product_attention(x, k, k, enable_gqa=True), (2, 2, 7, 8)
        ),
        (2, 4, 5, 8),
        2 * 4 * 5 * 7 * 16,
    ),
    "encoder layer": Counted(
        lambda: nn.TransformerEncoderLayer(6, 2, 7, batch_first=True),
        ROWS,
        _ENCODER,
        2 * 5 * 60,
        2 * 2 * 60 + 10 * (7 + 6),
    ),
    "encoder": Counted(
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 7, batch_first=True, norm_first=True),
            2,
            enable_nested_tensor=False,
        ),
        ROWS,
        2 * _ENCODER,
        2 * 2 * 5 * 60,
        2 * (2 * 2 * 60 + 10 * (7 + 6)),
    ),
    "decoder layer": Counted(
        lambda: With(lambda x, f: f(x, x), nn.TransformerDecoderLayer(6, 2, 7, batch_first=True)),
        ROWS,
        _DECODER,
        3 * 5 * 60,
        3 * 2 * 60 + 10 * (7 + 6),
    ),
    # norms
    "batch norm": Counted(lambda: nn.BatchNorm2d(3), IMAGE, 0, 2 * 3 * PIXELS, 2 * 3 * PIXELS),
    "batch norm, 1d": Counted(lambda: nn.BatchNorm1d(6), (4, 6), 0, 48, 48),
    "batch norm without weights": Counted(
        lambda: nn.BatchNorm2d(3, affine=False), IMAGE, 0, 3 * PIXELS, 3 * PIXELS
    ),
    "batch norm without statistics": Counted(
        lambda: nn.BatchNorm2d(3, track_running_stats=False), IMAGE, 0, 15 * PIXELS, 6 * PIXELS
    ),
    "layer norm": Counted(lambda: nn.LayerNorm(6), ROWS, 0, 5 * 60, 2 * 60),
    "layer norm without weights": Counted(
        lambda: nn.LayerNorm(6, elementwise_affine=False), ROWS, 0, 4 * 60, 60
    ),
    "group norm": Counted(lambda: nn.GroupNorm(3, 3), IMAGE, 0, 15 * PIXELS, 6 * PIXELS),
    "instance norm": Counted(lambda: nn.InstanceNorm2d(3), IMAGE, 0, 12 * PIXELS, 3 * PIXELS),
    "instance norm of a kept statistic": Counted(
        lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
        IMAGE,
        0,
        6 * PIXELS,
        6 * PIXELS,
    ),
    "rms norm": Counted(lambda: nn.RMSNorm(6), ROWS, 0),
    "local response norm": Counted(lambda: nn.LocalResponseNorm(2), IMAGE, 0),
    # activations, pooling, interpolation, embedding
    "relu": Counted(lambda: nn.ReLU(), IMAGE, 0, 0, 3 * PIXELS),
    "prelu": Counted(lambda: nn.PReLU(), IMAGE, 0, 0, 3 * PIXELS),
    "gelu": Counted(lambda: nn.GELU(), IMAGE, 0),
    "softmax": Counted(lambda: nn.Softmax(-1), IMAGE, 0),
    "max pool": Counted(lambda: nn.MaxPool2d(2), IMAGE, 0, 0, 3 * PIXELS),
    "average pool": Counted(lambda: nn.AvgPool2d(2), IMAGE, 0, 0, 3 * PIXELS),
    "global average pool": Counted(
        lambda: nn.AdaptiveAvgPool2d(1), IMAGE, 0, 3 * PIXELS, 3 * PIXELS
    ),
    "adaptive average pool": Counted(
        lambda: nn.AdaptiveAvgPool2d(3), IMAGE, 0, 3 * PIXELS, 3 * PIXELS
    ),
    "adaptive max pool, 1d": Counted(lambda: nn.AdaptiveMaxPool1d(3), ROWS, 0, 0, 60),
    "nearest": Counted(lambda: nn.Upsample(scale_factor=2), IMAGE, 0, 12 * PIXELS, 12 * PIXELS),
    "bilinear interpolation": Counted(
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE, 0, 48 * PIXELS, 12 * PIXELS
    ),
    "area": Counted(
        lambda: Call(lambda x: F.interpolate(x, size=4, mode="area")), IMAGE, 0, 3 * PIXELS
    ),
    "grid sample": Counted(
        lambda: Call(
            lambda x: F.grid_sample(x, x.permute(0, 2, 3, 1)[..., :2], align_corners=False)
        ),
        IMAGE,
        0,
        4 * 3 * PIXELS,
    ),
    "embedding": Counted(
        lambda: nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 4, bias=False)), (2, 5), 10 * 24
    ),
    "embedding of a module's own indices": Counted(
        lambda: With(lambda x, f: f(x.long()), nn.Embedding(9, 6)), (2, 5), 0
    ),
    "embedding bag": Counted(lambda: nn.EmbeddingBag(9, 6), (2, 5), 0),
    # what runs is what counts
    "an unused convolution": Counted(
        lambda: With(unused, nn.Conv2d(3, 1, 1, bias=False), nn.Conv2d(3, 4, 1, bias=False)),
        IMAGE,
        PIXELS * (3 + 12),
    ),
    "a part that runs twice": Counted(
        lambda: With(lambda x, f: f(f(x)), nn.Conv2d(3, 3, 1, bias=False)), IMAGE, PIXELS * 18
    ),
    "a convolution that does nothing": Counted(lambda: Idle(3, 4, 3), IMAGE, 0),
    "a linear map applied twice": Counted(lambda: Twice(6, 6), ROWS, 10 * 72, 0, 10 * 12),
    "a convolution of standardised weights": Counted(
        lambda: Standardised(3, 4, 3, padding=1), IMAGE, _STEM, 0, PIXELS * 4
    ),
    "a frozen batch norm": Counted(lambda: Frozen(3), IMAGE, 0),
    "a relu that says so": Counted(lambda: Same(), IMAGE, 0, 0, 3 * PIXELS),
    "a convolution by another name": Counted(
        lambda: Named(3, 4, 3, padding=1), IMAGE, _STEM, 0, PIXELS * 4
    ),
    "an instance's own forward": Counted(
        lambda: overridden(nn.Linear(6, 4), lambda x: x @ x.mT), ROWS, 2 * 5 * 5 * 6
    ),
    "weight norm": Counted(
        lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 3, padding=1)),
        IMAGE,
        _STEM,
        0,
        PIXELS * 4,
    ),
    "spectral norm": Counted(
        lambda: parametrizations.spectral_norm(nn.Linear(6, 4, bias=False)),
        ROWS,
        10 * 24 + 24 + 4,  # sigma = u . (W v) in eval mode
    ),
    "inference mode": Counted(
        lambda: With(inferring, nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1))),
        IMAGE,
        PIXELS * 12,
        PIXELS * 4,
        PIXELS * 8,
    ),
    "vmap": Counted(
        lambda: With(lambda x, f: torch.vmap(f)(x), nn.Linear(6, 4)), ROWS, 10 * 24, 0, 10 * 4
    ),
    "a tensor that is no buffer": Counted(lambda: Call(lambda x: x @ CONSTANT), ROWS, 10 * 24),
    "data parallel": Counted(lambda: nn.DataParallel(nn.Linear(6, 4)), ROWS, 10 * 24, 0, 10 * 4),
    "checkpoint": Counted(
        lambda: With(lambda x, f: checkpoint(f, x, use_reentrant=False), nn.Linear(6, 4, False)),
        ROWS,
        10 * 24,
    ),
    "autocast": Counted(lambda: With(casting, nn.Linear(6, 4, bias=False)), ROWS, 10 * 24),
    # our own
    "involution": operator("involution", 1),
    "involution, stride": operator("involution", 2, kernel_size=3, group_channels=4),
    "involution, linear": operator("involution", 2, generator="linear"),
    "involution, attention": operator("involution", 1, generator="attention"),
    "self-attention": operator("self_attention", 2),
    "depthwise convolution": operator("depthwise_convolution", 2),
    "a whole network": whole_network(),
}
