"""Jacobian covariance: how differently an untrained network answers to a change of each image.

Mellor et al., "Neural Architecture Search without Training" (arXiv:2006.04647v1): the gradients of
the summed outputs with respect to each image of a batch are correlated; the score is high where
they are not. Every batch norm's weight is 1, see :meth:`Subject.network`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invsearch.accuracy.proxies.proxy import CANNOT_TELL, Proxy, Subject

__all__ = ["JACOBIAN_COVARIANCE", "jacobian_score"]

_K = 1e-5  # the paper's, which keeps the logarithm of an eigenvalue of 0 finite


def jacobian_score(gradients: Tensor) -> float:
    """The score of the gradients of a batch, (B, anything); NaN where one of them is constant.

    It is ``-sum(log(v + k) + 1 / (v + k))`` over the eigenvalues v of their correlations.
    """
    rows = gradients.flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    if not bool(torch.isfinite(norms).all()) or bool((norms == 0).any()):
        return CANNOT_TELL
    rows = rows / norms
    values = torch.linalg.eigvalsh(rows @ rows.T)
    return -float((torch.log(values + _K) + 1 / (values + _K)).sum())


def _score(subject: Subject) -> dict[str, float]:
    images = subject.images().requires_grad_()
    (gradients,) = torch.autograd.grad(subject.network()(images).sum(), images)
    return {"jacobian_covariance": jacobian_score(gradients)}


JACOBIAN_COVARIANCE = Proxy(_score)
