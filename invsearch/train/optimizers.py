"""The optimisers, one row each, and which weights decay by how much."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from invsearch.errors import InputError

if TYPE_CHECKING:
    from invsearch.train.recipe import Recipe

__all__ = ["OPTIMIZERS", "Optimizer", "parameter_groups", "require_optimizer"]

Group = dict[str, Any]

_EXTRA = "pytorch_optimizer"
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Optimizer:
    """A row of the table.

    Attributes:
        make: From groups of parameters, each with its ``weight_decay``, and the rate.
        needs: The package that has it, which an extra installs; empty for torch's own.
        freezes: Whether it leaves the weights as they are where its ``found_inf`` is 1, as torch's
            fused ones do.
    """

    make: Callable[[list[Group], float], torch.optim.Optimizer]
    needs: str = ""
    freezes: bool = False


def _adamw(groups: list[Group], lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=lr, fused=True)


def _sgd(groups: list[Group], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=True)


def _lion(groups: list[Group], lr: float) -> torch.optim.Optimizer:
    from pytorch_optimizer import Lion

    made: torch.optim.Optimizer = Lion(groups, lr=lr)
    return made


def _muon(groups: list[Group], lr: float) -> torch.optim.Optimizer:
    """Orthogonal steps for kernels and matrices, AdamW's for all else.

    ``torch.optim.Muon`` takes matrices alone and no kernels of convolutions. Its steps are scaled
    to the size of AdamW's (Liu et al., 2025), so that one rate does for both.
    """
    from pytorch_optimizer import Muon

    for group in groups:
        group["use_muon"] = all(p.ndim > 1 for p in group["params"])
        group["lr"] = lr
    made: torch.optim.Optimizer = Muon(groups, use_adjusted_lr=True)
    return made


OPTIMIZERS: Mapping[str, Optimizer] = {
    "adamw": Optimizer(_adamw, freezes=True),
    "sgd": Optimizer(_sgd, freezes=True),
    "lion": Optimizer(_lion, needs=_EXTRA),
    "muon": Optimizer(_muon, needs=_EXTRA),
}


def require_optimizer(name: str) -> Optimizer:
    """The row of this name, whose package is here.

    Raises:
        InputError: If the package is missing; it says what to install.
    """
    row = OPTIMIZERS[name]
    if row.needs and importlib.util.find_spec(row.needs) is None:
        raise InputError(
            f"optimizer {name!r} needs the package {row.needs}: pip install 'invsearch[optimizers]'"
        )
    return row


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[Group]:
    """The parameters that are trained, in groups of one weight decay.

    The first pattern of ``recipe.decay`` that a parameter's name matches decides. Otherwise it is
    ``weight_decay`` for kernels and matrices, ``norm_decay`` for scales and shifts of norms and
    ``bias_decay`` for all other vectors.
    """
    norms = {p for m in model.modules() if isinstance(m, _NORMS) for p in m.parameters()}
    groups: dict[tuple[str, bool, float], list[Tensor]] = {
        ("", True, recipe.weight_decay): [],  # the order of checkpoints of every version
        ("", False, recipe.bias_decay): [],
    }
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        pattern = next((p for p in recipe.decay if fnmatchcase(name, p)), "")
        kernel = parameter.ndim > 1
        decay = recipe.weight_decay if kernel else recipe.bias_decay
        if parameter in norms:
            decay = recipe.norm_decay
        decay = recipe.decay.get(pattern, decay)
        groups.setdefault((pattern, kernel, decay), []).append(parameter)
    return [
        {"params": some, "weight_decay": decay} for (_, _, decay), some in groups.items() if some
    ]
