"""Multiply-adds of ``torch.einsum``: those of the products that it is carried out as.

Torch contracts two operands at a time, along the path if there is one, else from left to right. A
label that the result and the other operands do not have is summed: beforehand where only one of the
two has it, else by the product. A product that sums nothing is elementwise, and free.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

__all__ = ["einsum_macs"]

Sizes = dict[str, int]
"""Of an operand, by label; a label of size 1 broadcasts and is left out."""


def einsum_macs(
    equation: str, shapes: Sequence[tuple[int, ...]], path: Sequence[int] | None = None
) -> int:
    """Count the multiply-adds of an einsum.

    Args:
        equation: Such as ``"bhid,bhjd->bhij"``; with or without ``->``, spaces and ellipses.
        shapes: Those of the operands.
        path: Positions of the two operands of every contraction, as torch takes them: the result
            of one goes to the end of those that are left.

    Returns:
        The sum over all contractions.
    """
    inputs, output = _labels(equation, shapes)
    operands = [_sizes(labels, shape) for labels, shape in zip(inputs, shapes, strict=True)]
    total = 0
    for first, second in _order(len(operands), path):
        right, left = operands.pop(second), operands.pop(first)
        needed = set(output).union(*operands)
        left, right = _summed(left, right, needed), _summed(right, left, needed)
        together = {**left, **right}
        contracted = [label for label in together if label not in needed]
        total += math.prod(together.values()) if contracted else 0
        result = {label: size for label, size in together.items() if label in needed}
        operands.insert(0 if path is None else len(operands), result)
    return total


def _labels(equation: str, shapes: Sequence[tuple[int, ...]]) -> tuple[list[list[str]], list[str]]:
    """Labels of every operand and of the result; those of an ellipsis are ``...0``, the last."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    inputs = [_split(term, len(shape)) for term, shape in zip(terms, shapes, strict=True)]
    if arrow:
        longest = max((len(labels) for labels in map(_hidden, inputs)), default=0)
        return inputs, _split(right, len(right.replace("...", "")) + longest)
    often = Counter(label for term in terms for label in term if label != ".")
    once = [label for label, times in often.items() if times == 1]
    return inputs, once + [label for labels in inputs for label in _hidden(labels)]


def _split(term: str, dimensions: int) -> list[str]:
    before, ellipsis, after = term.partition("...")
    hidden = dimensions - len(before) - len(after) if ellipsis else 0
    return [*before, *(f"...{place}" for place in reversed(range(hidden))), *after]


def _hidden(labels: Sequence[str]) -> list[str]:
    return [label for label in labels if label.startswith("...")]


def _sizes(labels: Sequence[str], shape: tuple[int, ...]) -> Sizes:
    return {label: size for label, size in zip(labels, shape, strict=True) if size != 1}


def _order(operands: int, path: Sequence[int] | None) -> Iterator[tuple[int, int]]:
    """The two operands of each contraction, the lower position first."""
    for step in range(operands - 1):
        pair = (0, 1) if path is None else (path[2 * step], path[2 * step + 1])
        yield min(pair), max(pair)


def _summed(operand: Sizes, other: Sizes, needed: set[str]) -> Sizes:
    """The operand after what it alone has was summed."""
    return {label: size for label, size in operand.items() if label in needed or label in other}
