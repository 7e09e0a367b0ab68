"""A network where and as a target wants it: on its device, of its type, in its memory format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from invsearch.latency.target import Target

__all__ = ["DTYPES", "Form", "placed"]

ModuleT = TypeVar("ModuleT", bound=nn.Module)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


@dataclass(frozen=True)
class Form:
    """What a network's input is like."""

    dtype: torch.dtype
    memory_format: torch.memory_format


def placed(network: ModuleT, target: Target) -> tuple[ModuleT, Form]:
    """The network in eval mode where and as the target wants it, and what its input is like."""
    form = Form(DTYPES[target.dtype], _FORMATS[target.memory_format])
    network = network.eval().to(target.device, form.dtype)
    if form.memory_format is torch.channels_last:
        convert_conv2d_weight_memory_format(network, torch.channels_last)
    return network, form
