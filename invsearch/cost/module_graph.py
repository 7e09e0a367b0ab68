"""What a module computes, as a digest: equal for two that compute the same.

A module runs on the meta device, once as it is trained and once as it is used. Its operations in
order, each with its constants, with the shapes of the weights that it takes and with which earlier
results, are what it computes. Neither the parts' names and classes nor the weights' values are
looked at, so an initialisation that differs is not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from invsearch.cost.observe import Call, Observer, evaluating, image_for, meta_state, run_on_meta

__all__ = ["module_digest"]


def module_digest(module: nn.Module, shape: Sequence[int]) -> str:
    """Say in 64 hexadecimal digits what a module computes of images.

    Args:
        module: Any module that takes one image tensor; left as it is.
        shape: (B, C, H, W); B of at least 2, as batch norm trains on no less.
    """
    digest = hashlib.sha256()
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.train()
        _see(module, shape, digest)
    finally:
        for part, training in modes:
            part.training = training
    with evaluating(module):
        _see(module, shape, digest)
    return digest.hexdigest()


def _see(module: nn.Module, shape: Sequence[int], digest: Any) -> None:
    state, image = meta_state(module), image_for(module, shape, "meta")
    trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
    kinds = {id(value): "trained" if name in trained else "fixed" for name, value in state.items()}
    names: dict[int, str] = {id(image): "image"}
    kept: list[Any] = [image, state]  # an id is a tensor's for as long as it lives

    def named(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) not in names:
            kept.append(value)
            kind = kinds.get(id(value), "constant")
            names[id(value)] = f"{kind} {len(names)} {tuple(value.shape)} {value.dtype}"
        return names[id(value)]

    def see(call: Call) -> None:
        given = tree_map(named, (call.arguments, call.keywords))
        digest.update(repr((str(call.operation), given)).encode())
        for leaf in tree_leaves(call.output):
            named(leaf)

    with torch.no_grad(), Observer.of(see):
        run_on_meta(module, state, image)
