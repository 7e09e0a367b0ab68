"""What a piece of work gives back: tensors, or containers of them, as models return them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["difference", "leaves"]


def leaves(result: Any) -> dict[str, Any]:
    """What is in a result, by place: `0`, `1`, ... in sequences, `'key' 0` under keys.

    Sequences are counted through, however they are nested; mappings and dataclasses go by their
    keys, whatever the order. None is nothing, as in a tuple of gradients.
    """
    found: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    for keys, leaf in _walk(result, ""):
        found[f"{keys}{counts[keys]}"] = leaf
        counts[keys] += 1
    return found


def _walk(result: Any, keys: str) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    if isinstance(result, Mapping):
        for key, part in result.items():
            yield from _walk(part, f"{keys}{key!r} ")
    elif isinstance(result, Sequence) and not isinstance(result, (str, bytes)):
        for part in result:
            yield from _walk(part, keys)
    elif result is not None:
        yield keys, result


def difference(ours: Any, theirs: Any, tolerance: float) -> str | None:
    """In what a leaf is not its oracle's, in words, or None.

    Floating-point and complex numbers may be off by `tolerance` of |oracle|; everything else must
    be equal.

    Raises:
        TypeError: For a leaf that is neither a tensor nor a number, a string or bytes.
    """
    ours, theirs = _comparable(ours), _comparable(theirs)
    if not (isinstance(ours, Tensor) and isinstance(theirs, Tensor)):
        return (
            None
            if type(ours) is type(theirs) and ours == theirs
            else f"is {ours!r}, not {theirs!r}"
        )
    if ours.shape != theirs.shape:
        return f"has shape {tuple(ours.shape)}, not {tuple(theirs.shape)}"
    if ours.is_meta or theirs.is_meta:
        return "has no numbers: it is on the meta device"
    ours, theirs = _dense(ours).to(theirs.device), _dense(theirs)
    if _exact(ours) and _exact(theirs):
        wrong = int((ours != theirs).sum())
        return f"differs in {wrong} of {ours.numel()} places" if wrong else None
    return _distance(ours, theirs, tolerance)


def _distance(ours: Tensor, theirs: Tensor, tolerance: float) -> str | None:
    wide = torch.complex128 if ours.is_complex() or theirs.is_complex() else torch.float64
    exact = theirs.to(wide)
    if not exact.isfinite().all():
        return "cannot be judged: its oracle has NaN or inf"
    error, scale = (ours.to(wide) - exact).norm().item(), exact.norm().item()
    if error <= tolerance * scale:  # False for NaN
        return None
    return f"is off by {error / scale if scale else error:.2g} where {tolerance:.2g} is allowed"


def _comparable(leaf: Any) -> Any:
    """`leaf`, a number as a tensor.

    Raises:
        TypeError: If it is nothing that can be compared.
    """
    if isinstance(leaf, (bool, int, float, complex)):
        wide = {float: torch.float64, complex: torch.complex128}.get(type(leaf))
        return torch.tensor(leaf, dtype=wide)
    if isinstance(leaf, (Tensor, str, bytes)):
        return leaf
    raise TypeError(
        f"a {type(leaf).__qualname__} cannot be compared: results are tensors, numbers, strings, "
        "None, or sequences, mappings or dataclasses of them"
    )


def _dense(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout is torch.strided else tensor.to_dense()


def _exact(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex())
