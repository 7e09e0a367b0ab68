"""Count by module: the convention of the paper's tables (facts about it: see module_macs)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

import ops
from invsearch.cost.counter import Counter
from invsearch.cost.elements import NORMS, norm_weight
from invsearch.cost.observe import Call, elements
from invsearch.cost.products import numel

__all__ = ["PaperCounter", "module_macs"]

_LAYERS: tuple[type[nn.Module], ...] = (
    _ConvNd,
    nn.Linear,
    _BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.Upsample,
    ops.Involution2d,  # its generator calls functions where the released code has modules
)
"""What the paper's counter knows as a layer; so are subclasses, whatever their forward does."""

_Extra = Callable[[Sequence[Any], Mapping[str, Any], Tensor], int]


def module_macs(
    module: nn.Module,
    shape: Sequence[int],
    *,
    exclude_head: bool = False,
    counts: Callable[[str, nn.Module], bool] | None = None,
) -> int:
    """Multiply-adds of one forward pass, as the paper's tables count them.

    Counted is what runs, whatever a layer's class is called. Everywhere: convolutions, linear maps,
    matrix products and registered operators' custom operations (the aggregation: K * K * C * H * W)
    by their multiply-adds, norms 2 per element. Within layers, which are modules for convolution,
    linear, norm, ReLU, pooling and upsampling, and within involutions, whose generator in the
    released code has such modules: also 1 per output for a bias, 1 per output of a ReLU, 1 per
    input element of a pooling, 1 per output of an upsampling, and norms without weights 1 per
    element. Functional ReLU, pooling and interpolation outside of layers count 0.

    Args:
        module: Any module that takes one image tensor. It runs on the meta device, in eval mode;
            neither its weights nor its modes are changed.
        shape: Input shape (B, C, H, W).
        exclude_head: Leave out the submodule named ``head`` (the paper's classification tables
            leave out the final linear layer).
        counts: Says of ``(name, submodule)`` whether it is counted; default: all are. What is
            inside an uncounted submodule is not counted either.

    Returns:
        The number of multiply-adds.

    Raises:
        CheckError: If an operation is neither counted nor on the free list of ``cost/free.py``.
    """

    def counted(name: str, part: nn.Module) -> bool:
        if exclude_head and (name == "head" or name.startswith("head.")):
            return False
        return counts is None or counts(name, part)

    return PaperCounter(module, counted).run(shape)


class PaperCounter(Counter):
    """Counts in the convention ``paper``."""

    def __init__(
        self, module: nn.Module, counted: Callable[[str, nn.Module], bool] = lambda name, part: True
    ) -> None:
        super().__init__(module)
        self._counted = {name: counted(name, part) for name, part in module.named_modules()}
        self._uncounted_depth = 0  # inside how many submodules that are left out
        self._layer_depth = 0

    def enter(self, name: str, part: nn.Module) -> None:
        self._uncounted_depth += not self._counted[name]
        self._layer_depth += isinstance(part, _LAYERS)

    def leave(self, name: str, part: nn.Module) -> None:
        self._uncounted_depth -= not self._counted[name]
        self._layer_depth -= isinstance(part, _LAYERS)

    def ignores(self) -> bool:
        return self._uncounted_depth > 0

    def element(self, call: Call, name: str) -> int | None:
        if name not in NORMS:
            return None
        inputs = call.inputs
        plain = self._layer_depth > 0 and norm_weight(name, inputs) is None
        return (1 if plain else 2) * numel(inputs[0])

    def function(
        self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], output: Any
    ) -> int:
        if not self._layer_depth or name not in _EXTRAS:
            return 0
        return _EXTRAS[name](arguments, keywords, output)


def _bias(arguments: Sequence[Any], keywords: Mapping[str, Any], output: Tensor) -> int:
    """1 per output where there is one; all these functions take (x, weight, bias)."""
    bias = arguments[2] if len(arguments) > 2 else keywords.get("bias")
    return 0 if bias is None else elements(output)


def _per_output(arguments: Sequence[Any], keywords: Mapping[str, Any], output: Tensor) -> int:
    return elements(output)


def _per_input(arguments: Sequence[Any], keywords: Mapping[str, Any], output: Any) -> int:
    image: Tensor = arguments[0] if arguments else keywords["input"]
    return elements(image)


_FUNCTIONS: tuple[tuple[str, _Extra], ...] = (
    ("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d", _bias),
    ("relu relu_ relu6 hardtanh hardtanh_ leaky_relu leaky_relu_ prelu elu elu_", _per_output),
    ("interpolate", _per_output),
    (
        " ".join(
            f"{kind}_pool{dimensions}d{suffix}"
            for kind in ("max", "avg", "adaptive_max", "adaptive_avg")
            for dimensions in (1, 2, 3)
            for suffix in ("", "_with_indices")
        ),
        _per_input,
    ),
)

_EXTRAS: Mapping[str, _Extra] = {
    name: extra for names, extra in _FUNCTIONS for name in names.split()
}
"""What is counted within layers beside products and norms, by the function that is called."""
