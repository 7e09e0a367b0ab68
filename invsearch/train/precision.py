"""What a network computes in while it is trained; its weights stay in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

__all__ = ["PRECISIONS", "Precision", "computing_in", "grad_scaler"]

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """A context for forward passes: torch's autocast to that type; ``fp32`` changes nothing."""
    dtype = _DTYPES.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def grad_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler | None:
    """What keeps small gradients from becoming 0 in fp16; None where nothing has to."""
    return torch.amp.GradScaler(device.type) if precision == "fp16" else None
