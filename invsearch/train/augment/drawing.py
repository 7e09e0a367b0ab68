"""What augmentations draw."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["drawn"]


def drawn(generator: torch.Generator, *shape: int) -> Tensor:
    """Uniform numbers in [0, 1), float32, on the generator's device."""
    return torch.rand(*shape, generator=generator, device=generator.device)
