"""Aggregation in ONNX's own operators, in the form that runtimes run fastest.

Of eleven forms that were measured at RedNet-50's shapes, each column of the window is one shifted
copy of x, padded above and below. A row of offsets is K products with planes of the kernel, which
the channels of a group share, over the whole padded image, and their sum; only the sum's rows are
shifted. So x is copied K times and not K * K times, and every step is a pass over contiguous
numbers. OpenVINO makes one loop of a row's products and sums, in which it is four times as fast as
in sums over an axis of stacked copies; ONNX Runtime takes about the same for both. Windows times
kernels as matrix products, einsum, one-hot convolutions and banded matrices all took longer in one
of the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ops.runtimes import AGGREGATE, DOMAIN

__all__ = ["expand"]


def expand(proto: Any) -> None:
    """Replace each aggregation of a ModelProto, in place, by nodes of ONNX's own operators."""
    graph = proto.graph
    nodes = list(graph.node)
    del graph.node[:]
    for number, node in enumerate(nodes):
        if node.domain == DOMAIN and node.op_type == AGGREGATE:
            graph.node.extend(_Expansion(graph, node, f"involution_{number}").nodes)
        else:
            graph.node.append(node)
    kept = [one for one in proto.opset_import if one.domain != DOMAIN]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)


class _Expansion:
    """The nodes that stand for one aggregation.

    Args:
        graph: Where constants go.
        node: The aggregation.
        name: Prefix of the names of what is made.
    """

    def __init__(self, graph: Any, node: Any, name: str) -> None:
        self.graph, self.name, self.nodes = graph, name, list[Any]()
        self._numbers = itertools.count()
        self._constants: dict[tuple[int, ...], str] = {}
        self._a = {attribute.name: attribute.i for attribute in node.attribute}
        x, kernel = node.input
        (self._y,) = node.output
        self._build(x, kernel)

    def _build(self, x: str, kernel: str) -> None:
        a = self._a
        size, channels = a["kernel_size"], a["channels"] // a["groups"]
        height, width = a["size_rows"], a["size_columns"]
        output = (a["output_rows"], a["output_columns"])
        grouped = self._reshape(x, (-1, channels, height, width))
        down, across = a["padding_rows"], a["padding_columns"]
        padded = self._pad(grouped, (0, 0, down, across), (0, 0, down, across))
        step, apart = a["stride_columns"], a["dilation_columns"]
        columns = [self._slice(padded, 3, v * apart, output[1], step) for v in range(size)]
        planes = self._reshape(kernel, (-1, size * size, *output))
        add_row = self._row_of_whole_rows if a["stride_rows"] == 1 else self._row_of_slices
        rows = self._split(planes, size)
        parts = [add_row(columns, row, u * a["dilation_rows"]) for u, row in enumerate(rows)]
        self._reshape(self._sum(parts), (-1, a["channels"], *output), self._y)

    def _row_of_whole_rows(self, columns: Sequence[str], planes: str, first: int) -> str:
        """Products of whole padded images; the rows of their sum are shifted."""
        a = self._a
        reach = (a["kernel_size"] - 1) * a["dilation_rows"]
        padded = self._pad(planes, (0, 0, first, 0), (0, 0, reach - first, 0))
        total = self._sum(self._products(columns, padded))
        return self._slice(total, 2, first, a["output_rows"], 1)

    def _row_of_slices(self, columns: Sequence[str], planes: str, first: int) -> str:
        """The same for any stride: what is multiplied is sliced."""
        a = self._a
        steps = (first, a["output_rows"], a["stride_rows"])
        return self._sum(self._products([self._slice(x, 2, *steps) for x in columns], planes))

    def _products(self, columns: Sequence[str], planes: str) -> list[str]:
        entries = self._split(planes, len(columns))
        return [self._add("Mul", [x, h]) for x, h in zip(columns, entries, strict=True)]

    def _sum(self, terms: Sequence[str]) -> str:
        total, *rest = terms
        for term in rest:
            total = self._add("Add", [total, term])
        return total

    def _reshape(self, x: str, shape: Sequence[int], output: str = "") -> str:
        return self._add("Reshape", [x, self._integers(shape)], output=output)

    def _pad(self, x: str, before: Sequence[int], behind: Sequence[int]) -> str:
        pads = (*before, *behind)
        return self._add("Pad", [x, self._integers(pads)]) if any(pads) else x

    def _slice(self, x: str, axis: int, start: int, count: int, step: int) -> str:
        ends = (start, start + step * (count - 1) + 1, axis, step)
        return self._add("Slice", [x, *(self._integers((one,)) for one in ends)])

    def _split(self, x: str, parts: int) -> list[str]:
        """Along axis 1, into equal parts."""
        outputs = [self._new() for _ in range(parts)]
        self._put("Split", [x], outputs, axis=1, num_outputs=parts)
        return outputs

    def _add(self, kind: str, inputs: Sequence[str], *, output: str = "") -> str:
        output = output or self._new()
        self._put(kind, inputs, [output])
        return output

    def _put(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **rest: Any) -> None:
        from onnx import helper

        name = f"{self.name}_{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), name=name, **rest))

    def _new(self) -> str:
        return f"{self.name}_{next(self._numbers)}"

    def _integers(self, values: Sequence[int]) -> str:
        from onnx import helper

        key = tuple(values)
        if key not in self._constants:
            name = f"{self.name}_constant_{len(self._constants)}"
            tensor = helper.make_tensor(name, 7, [len(key)], key)  # int64
            self.graph.initializer.append(tensor)
            self._constants[key] = name
        return self._constants[key]
