"""The one table of multiply-adds: what each of torch's products costs, from shapes alone.

A multiply-add is a term of the sum that an operation is defined by: a matrix product has one for
each output element and each element of the dimension that is summed over. Biases, scalings and
masks are none, and zeros that pad a convolution count like pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch

from invsearch.cost.einsum import einsum_macs

__all__ = ["PRODUCTS", "Rule", "Shape", "numel"]

Shape = tuple[int, ...]
Rule = Callable[[Sequence[Any], Sequence[Shape]], int]
"""Multiply-adds of one call.

Its inputs come in the order of the operation's schema: a tensor as its shape, which is a tuple, a
list as a list, anything else as it is, and None for what is unknown or left out. Its outputs are
the shapes of the tensors that it returns.
"""


def numel(shape: Iterable[int]) -> int:
    """How many numbers a tensor of that shape has."""
    return math.prod(shape)


def _product(first: int) -> Rule:
    """Of the matrix product of the inputs ``first`` and ``first + 1``."""

    def macs(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
        return _matmul(inputs[first], inputs[first + 1])

    return macs


def _matmul(left: Shape, right: Shape) -> int:
    """Of ``left @ right``: vectors, matrices, or batches of them that broadcast."""
    rows = left if len(left) > 1 else (1, *left)
    columns = right if len(right) > 1 else (*right, 1)
    batch = torch.broadcast_shapes(rows[:-2], columns[:-2])
    return numel(batch) * rows[-2] * rows[-1] * columns[-1]


def _linear(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """x (..., I) and weight (O, I), or (I) for a single output."""
    x, weight = inputs[:2]
    return numel(x) * numel(weight[:-1])


def _convolution(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """Weight (O, I / groups, ...) at every output pixel, or transposed at every input pixel."""
    x, weight = inputs[:2]
    transposed = len(inputs) > 6 and inputs[6] is True  # elsewhere the sixth is a number of groups
    image = x if transposed else outputs[0]
    batch, pixels = (image[:1], image[2:]) if len(image) == len(weight) else ((), image[1:])
    return numel(batch) * numel(pixels) * numel(weight)


def _conv_tbc(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """x (T, B, I) and weight (K, I, O)."""
    return numel(outputs[0][:2]) * numel(inputs[1])


def _recurrent(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """Every matrix of an LSTM, a GRU or an RNN meets every step of every sequence once.

    x is (T, B, I) or (B, T, I), or (steps, I) where the sequences are packed; the last list among
    the inputs has the weights of all layers and directions, biases and projections among them.
    """
    weights = [value for value in inputs if isinstance(value, list)][-1]
    matrices = sum(numel(weight) for weight in weights if len(weight) == 2)
    return numel(inputs[0][:-1]) * matrices


def _attention(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """q (..., L, E), k (..., S, E) and v (..., S, V): the scores and what they weight.

    Heads of k and v that several heads of q share count as often as they are used.
    """
    query, key, value = inputs[:3]
    batches = zip_longest(*(shape[-3::-1] for shape in (query, key, value)), fillvalue=1)
    batch = numel(max(sizes) for sizes in batches)
    return numel((batch, query[-2], key[-2], key[-1] + value[-1]))


def _tensordot(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """A summed dimension that is 1 on one side is summed on the other before the product."""
    left, right, dims_left, dims_right = inputs[:4]
    pairs = [(i % len(left), j % len(right)) for i, j in zip(dims_left, dims_right, strict=True)]
    summed = numel(min(left[i], right[j]) for i, j in pairs)
    rows = (n for i, n in enumerate(left) if i not in [pair[0] for pair in pairs])
    columns = (n for j, n in enumerate(right) if j not in [pair[1] for pair in pairs])
    return numel(rows) * summed * numel(columns)


def _inner(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """Over the last dimension of both; with a number it is elementwise."""
    left, right = inputs[:2]
    return numel(left) * numel(right[:-1]) if left and right else 0


def _bilinear(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """x (..., I), y (..., J) and weight (O, I, J): I * J terms an output."""
    x, _, weight = inputs[:3]
    return numel(x[:-1]) * numel(weight)


def _trilinear(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    """Three factors that are expanded, multiplied and summed: what ``bilinear`` calls."""
    factors = [list(shape) for shape in inputs[:3]]
    for shape, expanded in zip(factors, inputs[3:6], strict=True):
        for dimension in sorted(expanded):
            shape.insert(dimension, 1)
    return numel(max(sizes) for sizes in zip(*factors, strict=True))


def _einsum(inputs: Sequence[Any], outputs: Sequence[Shape]) -> int:
    equation, operands, path = inputs[:3]
    return einsum_macs(equation, operands, path)


_RULES: tuple[tuple[str, Rule], ...] = (
    ("mm bmm mv dot vdot matmul _int_mm _scaled_mm", _product(0)),
    ("addmm baddbmm addbmm addmv", _product(1)),
    ("linear mkldnn_linear", _linear),
    (
        """_convolution _convolution_mode convolution convolution_overrideable cudnn_convolution
        mkldnn_convolution _slow_conv2d_forward""",
        _convolution,
    ),
    ("conv_tbc", _conv_tbc),
    ("lstm gru rnn_tanh rnn_relu", _recurrent),
    (
        """scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention
        _scaled_dot_product_cudnn_attention""",
        _attention,
    ),
    ("tensordot", _tensordot),
    ("inner", _inner),
    ("bilinear", _bilinear),
    ("_trilinear", _trilinear),
    ("einsum", _einsum),
)

PRODUCTS: Mapping[str, Rule] = {
    f"aten::{name}": rule for names, rule in _RULES for name in names.split()
}
"""By name, of the operations that people call (what a trace shows) and of those that torch makes of
them (what a dispatch mode sees)."""
