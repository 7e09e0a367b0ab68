"""Params and MACs of somebody else's network: built for its shapes, and run on the meta device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from torch import Tensor

from invsearch.cost.closed_form import Convention, Counts
from invsearch.cost.meta_trace import meta_macs
from invsearch.cost.modules import module_macs
from invsearch.cost.observe import on_meta
from invsearch.errors import InputError
from invsearch.models.module import ModuleSpec, build_shapes, builder_of
from invsearch.user_code.failure import describe_failure

__all__ = ["check_module", "module_count"]

Size = tuple[int, int]


def module_count(spec: ModuleSpec, size: Size, convention: Convention = "fvcore") -> Counts:
    """Count a network's trainable parameters and the multiply-adds of one image.

    Args:
        spec: The network.
        size: (height, width) of the image, in pixels.
        convention: ``fvcore`` (:func:`invsearch.cost.meta_macs`) or ``paper``
            (:func:`invsearch.cost.module_macs`).

    Returns:
        The counts; exact.

    Raises:
        InputError: If it cannot be built.
        CheckError: If it holds an operation that costs something and that nothing counts.
    """
    # by the function, too: a session may import another one of the same name
    return _counted(spec, None if spec.timm_name else builder_of(spec), size, convention)


@lru_cache(maxsize=4096)  # a tenth of a second each
def _counted(spec: ModuleSpec, builder: object, size: Size, convention: Convention) -> Counts:
    module = build_shapes(spec)
    params = sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
    count = module_macs if convention == "paper" else meta_macs
    return Counts(params, count(module, (1, spec.in_channels, *size)), convention)


def check_module(spec: ModuleSpec, size: Size) -> None:
    """Check that a network takes images and returns a number for each class.

    Raises:
        InputError: If it cannot be built or run, or returns something else.
    """
    module, found = build_shapes(spec), list[Any]()
    shape = (2, spec.in_channels, *size)
    hook = module.register_forward_hook(lambda part, inputs, output: found.append(output))
    try:
        on_meta(module, shape)
    except Exception as error:
        raise InputError(
            f"{_whose(spec)} cannot take images {shape}: {describe_failure(error)}"
        ) from error
    finally:
        hook.remove()
    _check_output(spec, found[0], shape)


def _check_output(spec: ModuleSpec, output: Any, shape: tuple[int, ...]) -> None:
    expected = (shape[0], spec.num_classes)
    there = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if there != expected:
        raise InputError(
            f"{_whose(spec)} returns {there} for images {shape}, not the logits {expected}: let "
            "the builder take num_classes, or set model.num_classes"
        )


def _whose(spec: ModuleSpec) -> str:
    return f"the network of {spec.builder!r} with {dict(spec.parameters)}"
