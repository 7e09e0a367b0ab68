"""Peak memory of one inference, from the lifetimes of the tensors it makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

from invsearch.cost.observe import (
    Call,
    Observer,
    evaluating,
    image_for,
    meta_state,
    run_on_meta,
    unwrapped,
)
from invsearch.cost.refusal import refuse_unwatchable
from invsearch.models.searched import SearchedSpec, searched_shapes

__all__ = ["peak_memory"]


def peak_memory(network: SearchedSpec | nn.Module, shape: Sequence[int]) -> int:
    """Count the bytes of activations alive at once during one inference.

    The network runs in eval mode, without gradients, on torch's meta device: nothing is computed,
    and the tensors' sizes and lifetimes are those of a real run in the type of the weights
    (float32 of a spec). Alive are the image, and every tensor from the operation that makes it
    until its last reference is gone. Neither the weights nor workspaces inside a kernel (an
    ``unfold`` back end's copies) are included, so the number depends on the network alone, not on
    the machine; its source is ``counted``.

    Args:
        network: A network's spec, or a module that takes one image tensor.
        shape: Input shape (B, C, H, W).

    Returns:
        The peak, in bytes.

    Raises:
        InputError: If an operator of the spec cannot have its width.
        CheckError: If a part of the module is scripted or lazy.
    """
    if not isinstance(network, nn.Module):
        network = searched_shapes(network)
    network = unwrapped(network)
    refuse_unwatchable(network)
    state, image = meta_state(network), image_for(network, shape, "meta")
    ledger = _Ledger(state.values())
    ledger.hold(image)
    with evaluating(network), Observer.of(ledger.see):
        run_on_meta(network, state, image)
    return ledger.peak


class _Ledger:
    """Which storages are alive, and the most bytes they ever had together."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self.peak = 0
        self._weights = {weight.untyped_storage()._cdata for weight in weights}
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def see(self, call: Call) -> None:
        """After each operation; what it returned may be what is left of what it was given."""
        # the saved statistics of a batch norm, which a real run in eval mode leaves empty
        self.hold(call.output[0] if "batch_norm" in call.name else call.output)

    def hold(self, output: Any) -> None:
        self._alive = {key: kept for key, kept in self._alive.items() if not kept[0].expired()}
        for leaf in tree_leaves(output):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        self.peak = max(self.peak, sum(nbytes for _, nbytes in self._alive.values()))

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._weights:
            self._alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
