"""A network as an ONNX model."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from invsearch.errors import CheckError
from invsearch.models.onnx.operators import nodes_of
from invsearch.models.onnx.standard import expand
from invsearch.models.trace import trace

__all__ = ["onnx_model"]


def onnx_model(network: nn.Module, shape: Sequence[int], *, native: bool = False) -> Any:
    """Convert a network in eval mode, for any number of images at a time.

    Args:
        network: Images (B, C, H, W) -> logits; left as it is.
        shape: (B, C, H, W); B alone may differ later.
        native: Whether involutions become nodes of the domain ``ops.involution``, which
            :mod:`ops.runtimes` runs with the kernels of `ops`; otherwise nodes of ONNX's own.

    Returns:
        An ``onnx.ModelProto`` from ``images`` to ``logits``.

    Raises:
        CheckError: If it cannot be traced or converted.
    """
    program = trace(network, shape, native=native, table=nodes_of(native=native))
    try:
        with _quiet():
            exported = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: "batch"},),
            )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckError(f"torch.onnx cannot export the network: {reason}") from error
    assert exported is not None
    proto = exported.model_proto
    if not native:
        expand(proto)
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch's exporters say to their own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
