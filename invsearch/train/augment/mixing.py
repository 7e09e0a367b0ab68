"""What mixup and cutmix have in common: a partner for each image, and targets in shares."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["beta", "mixed_targets", "partners"]


def partners(values: Tensor) -> Tensor:
    """Of each row another one, the row before: batches come in a random order anyway."""
    return values.roll(1, 0)


def beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """Numbers from the distribution Beta(alpha, alpha), float32 (count,), in [0, 1].

    By two gamma variables, as torch.distributions draws them, which takes no generator.
    """
    shape = torch.full((2, count), alpha, dtype=torch.float64, device=generator.device)
    gammas: Tensor = torch._standard_gamma(shape, generator=generator)
    gammas = gammas.clamp_min(1e-300)  # both may be 0 where alpha is small
    return (gammas[0] / gammas.sum(0)).float()


def mixed_targets(targets: Tensor, share: Tensor, classes: int) -> Tensor:
    """Probabilities of the classes, float32 (B, classes): ``share`` (B,) of an image's own target.

    Args:
        targets: int64 (B,), or probabilities (B, classes).
        share: Of the image itself; the rest is its partner's.
        classes: How many there are.
    """
    own = targets if targets.is_floating_point() else F.one_hot(targets, classes).float()
    share = share.unsqueeze(1)
    return share * own + (1 - share) * partners(own)
