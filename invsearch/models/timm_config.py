"""What timm reads beside a network: in ``config.json`` of a kept folder, and of a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invsearch.models.module import ModuleSpec
from invsearch.models.network import NetworkSpec
from invsearch.models.searched import SearchedSpec

__all__ = ["ENTRY", "pretrained_cfg", "timm_entries"]

ENTRY = "invsearch_network"
"""The name under which timm builds a network that a search found."""

_HEAD, _FIRST = "head", "stem.0"
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def pretrained_cfg(
    spec: SearchedSpec | None = None,
    shape: Sequence[int] = (1, 3, 224, 224),
    normalisation: Mapping[str, Sequence[float]] | None = None,
    white: float = 255.0,
) -> dict[str, Any]:
    """How timm feeds a network and adapts its ends.

    Args:
        spec: The network; None for one of ours with its usual ends.
        shape: Of its images (B, C, H, W).
        normalisation: Mean and deviation of the training images' channels, in pixels' units; None
            for ImageNet's.
        white: The largest value of a pixel in those units.
    """
    scale: Mapping[str, Sequence[float]] = _IMAGENET
    if normalisation is not None:
        scale = {
            "mean": [value / white for value in normalisation["mean"]],
            "std": [value / white for value in normalisation["deviation"]],
        }
    ends = {} if isinstance(spec, ModuleSpec) else {"first_conv": _FIRST, "classifier": _HEAD}
    return {
        "input_size": tuple(shape[1:]),
        "num_classes": 1000 if spec is None else spec.num_classes,
        "interpolation": "bilinear",
        "crop_pct": 1.0,  # images are resized whole
        **{name: tuple(values) for name, values in scale.items()},
        **ends,
    }


def timm_entries(
    spec: SearchedSpec,
    shape: Sequence[int],
    normalisation: Mapping[str, Sequence[float]] | None,
    classes: Sequence[str],
    white: float,
) -> dict[str, Any]:
    """What makes a kept folder one of timm's: keys of its ``config.json``.

    Args:
        spec: The network.
        shape: Of its images.
        normalisation: See :func:`pretrained_cfg`.
        classes: Names, where there are some.
        white: See :func:`pretrained_cfg`.

    Returns:
        ``architecture`` (the name of the entry point), ``model_args``, ``pretrained_cfg`` and
        others; ``architecture`` alone, and null, for a segmenter, which timm has none of.
    """
    if not isinstance(spec, NetworkSpec | ModuleSpec):
        return {"architecture": None}
    entries: dict[str, Any] = {
        "architecture": ENTRY,
        "num_classes": spec.num_classes,
        "model_args": {"network": spec.to_json()},
        "pretrained_cfg": pretrained_cfg(spec, shape, normalisation, white),
    }
    if isinstance(spec, NetworkSpec):
        entries["num_features"] = spec.num_features
        entries["global_pool"] = spec.global_pool
    if classes:
        entries["label_names"] = list(classes)
    return entries
