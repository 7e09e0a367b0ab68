"""EpochUnderway: an epoch that has begun, to be saved and gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from invsearch.train.losses import Losses
from invsearch.train.seeding import rng_state, set_rng_state

__all__ = ["EpochUnderway"]


@dataclass
class EpochUnderway:
    """An epoch that has begun.

    Attributes:
        losses: Of its steps so far.
        rng: Where torch's generators stood when it was saved; None where they go on as they are.
    """

    losses: Losses
    rng: Mapping[str, Tensor] | None = None

    def set_rng(self, device: torch.device) -> None:
        """Put torch's generators where they stood, once."""
        if self.rng is not None:
            set_rng_state(self.rng, device)
            self.rng = None

    def state_dict(self, device: torch.device) -> dict[str, Any]:
        """All that going on needs but the number of the step."""
        rng = rng_state(device) if self.rng is None else dict(self.rng)
        return {"losses": self.losses.state_dict(), "rng": rng}
