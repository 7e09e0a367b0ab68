"""Peak memory of an inference, from tensor lifetimes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from invsearch.cost import peak_memory
from invsearch.models import rednet_spec


class Chain(nn.Module):
    """Image (3 ch.) -> 8 ch. -> 8 ch. in place -> 2 ch., each while its input is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 8, 1)
        self.narrow = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrow(torch.relu_(self.wide(x)))


def test_peak_is_what_is_alive_at_once() -> None:
    """Image + wide + narrow; the in-place ReLU adds nothing and weights are not included."""
    assert peak_memory(Chain(), (2, 3, 5, 5)) == 2 * 25 * 4 * (3 + 8 + 2)


def test_what_is_dropped_does_not_count() -> None:
    """A long chain of equal layers needs two of its outputs at a time, besides the image."""
    chain = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(10)))
    assert peak_memory(chain, (1, 3, 4, 4)) == 3 * (3 * 16 * 4)


def test_peak_of_a_network_is_proportional_to_its_batch() -> None:
    """Weights and statistics are no activations; half the width needs less."""
    spec = rednet_spec(26)
    one, two = (peak_memory(spec, (batch, 3, 64, 64)) for batch in (1, 2))
    assert two == 2 * one
    assert peak_memory(rednet_spec(26, width=0.5), (1, 3, 64, 64)) < one
