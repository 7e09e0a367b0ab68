"""Proxy: a row of the table, and what it is told of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from invsearch.device_lock import shared
from invsearch.errors import InvsearchError
from invsearch.plugins import PROXIES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from invsearch.cost.closed_form import Counts
    from invsearch.models import NetworkSpec, TaskSpec

__all__ = ["CANNOT_TELL", "Proxy", "Subject", "proxy_values"]

CANNOT_TELL = math.nan
"""What a proxy says of a network that it can say nothing of; no number is ever made of it."""

_SEED = 0  # of the weights: one and the same for every network, so that a value can be kept


@dataclass(frozen=True)
class Subject:
    """A network that is asked about.

    Attributes:
        searched: At full size, what costs are of.
        trained: Makes what would be trained in its place.
        resolution: Side of the images that costs are for.
        images: One batch of training images, (B, C, H, W), normalised; called where it is needed.
    """

    searched: NetworkSpec | TaskSpec
    trained: Callable[[], NetworkSpec | TaskSpec]
    resolution: int
    images: Callable[[], Tensor]

    @cached_property
    def counts(self) -> Counts:
        """Parameters and multiply-adds, at full size."""
        from invsearch.cost.task_count import searched_count

        return searched_count(self.searched, resolution=self.resolution)

    @property
    def backbone(self) -> NetworkSpec:
        """The network, or the backbone of the task's."""
        from invsearch.models import NetworkSpec

        spec = self.searched
        return spec if isinstance(spec, NetworkSpec) else spec.backbone

    def network(self) -> nn.Module:
        """What would be trained, freshly built and in training mode, every block on.

        Zero-gamma initialisation makes each block its shortcut: gradients and activations would be
        those of a network without blocks. So here every batch norm begins with a weight of 1.
        """
        import torch
        from torch import nn

        from invsearch.models import build_searched
        from invsearch.train.seeding import seeded_build

        network = seeded_build(lambda: build_searched(self.trained()), _SEED)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.affine:
                nn.init.ones_(module.weight)
        return network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class Proxy:
    """A row of :data:`invsearch.plugins.PROXIES`.

    Attributes:
        values: By name, what is said of a network; NaN, or nothing, where it cannot tell. A row
            with one number calls it by its own name.
        counted: Whether it is a closed form: cheap enough for every candidate of a search.
    """

    values: Callable[[Subject], Mapping[str, float]]
    counted: bool = False


def proxy_values(name: str, subject: Subject) -> dict[str, float]:
    """What a row says of a network, by name; what is not finite is left out.

    Raises:
        InputError: If there is no such row.
    """
    row = PROXIES.get(name, Proxy)
    try:
        with nullcontext() if row.counted else shared("cpu"):  # who measures is not disturbed
            found = row.values(subject)
    except InvsearchError:
        raise
    except (RuntimeError, ValueError, ArithmeticError):  # of linear algebra: it cannot tell
        return {}
    return {key: float(value) for key, value in found.items() if math.isfinite(value)}
