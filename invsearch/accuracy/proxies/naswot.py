"""NASWOT: in how many ways an untrained network's ReLUs answer to different images.

Mellor et al., "Neural Architecture Search without Training" (ICML 2021): each ReLU's output of an
image is 0 or not; the score is the logarithm of the determinant of the matrix that counts, for each
two images, the units that agree. Of ReLUs that are modules: those inside operators are not seen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from invsearch.accuracy.proxies.proxy import CANNOT_TELL, Proxy, Subject

__all__ = ["NASWOT", "agreements", "naswot_score"]


def agreements(active: Tensor) -> Tensor:
    """(B, B): the units that agree, of what is active, bool (B, anything)."""
    code = active.flatten(1).double()
    return code @ code.T + (1 - code) @ (1 - code).T


def naswot_score(kernel: Tensor) -> float:
    """The logarithm of the determinant; NaN where two images are answered alike."""
    sign, log = torch.linalg.slogdet(kernel)
    return float(log) if float(sign) > 0 else CANNOT_TELL


@torch.no_grad()
def _score(subject: Subject) -> dict[str, float]:
    network, found = subject.network(), list[Tensor]()

    def see(module: nn.Module, inputs: object, output: Tensor) -> None:
        found.append(agreements(output > 0))

    for module in network.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.register_forward_hook(see)
    network(subject.images())
    return {"naswot": naswot_score(torch.stack(found).sum(0)) if found else CANNOT_TELL}


NASWOT = Proxy(_score)
