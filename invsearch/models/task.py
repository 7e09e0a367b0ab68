"""TaskSpec: a detector or segmenter as plain data, from which it is built and counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from invsearch.errors import InputError, nearest
from invsearch.models.arguments import checked, shown
from invsearch.models.network import BlockSpec, NetworkSpec
from invsearch.models.problem import problem
from invsearch.models.resolve import network_spec
from invsearch.models.spatial import block_spec
from ops.hyperparameter import Hyperparameter, positive_int

if TYPE_CHECKING:
    from invsearch.space.architecture import Value

__all__ = [
    "DETECTORS",
    "SEGMENTERS",
    "TASKS",
    "TASK_KEYS",
    "TaskSpec",
    "detector_spec",
    "searched_spec",
    "segmenter_spec",
    "task_problem",
]

DETECTORS: tuple[str, ...] = ("retinanet", "faster_rcnn", "mask_rcnn")
SEGMENTERS: tuple[str, ...] = ("semantic_fpn", "upernet")
TASKS: tuple[str, ...] = (*DETECTORS, *SEGMENTERS)
TASK_KEYS: tuple[str, ...] = ("task", "neck", "head")
"""Settings of a space that make its networks backbones of detectors or segmenters."""

_LEVELS = 4  # of the pyramid: strides 4, 8, 16 and 32
_WIDTHS = (128, 256, 512)  # of the necks and heads that the specs below make
_ARGUMENTS: Mapping[str, Hyperparameter] = {
    "num_classes": Hyperparameter(80, check=positive_int),
    "channels": Hyperparameter(256, check=positive_int),
    "head_channels": Hyperparameter(128, check=positive_int),
    "frozen_stages": Hyperparameter(0, allowed=tuple(range(_LEVELS + 1))),
}


@dataclass(frozen=True)
class TaskSpec:
    """A backbone with a neck and a head.

    Attributes:
        task: One of :data:`TASKS`.
        backbone: The backbone; its linear head is not built.
        neck: The operator of the pyramid's output layers.
        head: The operator of the head: RetinaNet's towers; the proposal head's and the mask head's
            layers; the scale heads of Semantic FPN; UPerNet's two fusing layers.
        num_classes: Classes (detectors: without the background).
        channels: Channels of the pyramid's levels.
        head_channels: Channels inside the head of a segmenter.
        frozen_stages: Stages of the backbone (with the stem) that are not trained.

    Raises:
        InputError: If a number is impossible.
    """

    task: str
    backbone: NetworkSpec
    neck: BlockSpec
    head: BlockSpec
    num_classes: int
    channels: int = 256
    head_channels: int = 128
    frozen_stages: int = 0

    def __post_init__(self) -> None:
        for name, known in _ARGUMENTS.items():
            object.__setattr__(self, name, checked(name, getattr(self, name), known))

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return self.backbone.in_channels

    @property
    def head_width(self) -> int:
        """Channels that the head's operator sees: UPerNet's fuses what has the pyramid's."""
        return self.head_channels if self.task == "semantic_fpn" else self.channels

    def operators(self) -> Iterator[tuple[BlockSpec, int]]:
        """Every operator with the channels that it sees: the backbone's, the neck's, the head's."""
        for place, block in self.backbone.blocks():
            yield block, place.part.inner_channels
        yield self.neck, self.channels
        yield self.head, self.head_width

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON-able data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskSpec:
        """The inverse of :meth:`to_json`, also after a trip through JSON text."""
        blocks = {name: _block_from_json(data[name]) for name in ("neck", "head")}
        backbone = NetworkSpec.from_json(data["backbone"])
        return cls(**{**data, "backbone": backbone, **blocks})


def detector_spec(
    task: str,
    backbone: NetworkSpec,
    *,
    neck: str | BlockSpec = "convolution",
    head: str | BlockSpec = "convolution",
    num_classes: int = 80,
    channels: int = 256,
    frozen_stages: int = 1,
) -> TaskSpec:
    """The spec of a detector as the paper trains it: stem and first stage are frozen.

    Args:
        task: ``retinanet``, ``faster_rcnn`` or ``mask_rcnn``.
        backbone: The backbone.
        neck: Operator of the pyramid's output layers: a registered name, or one with settings.
        head: Operator of the head.
        num_classes: Classes, without the background.
        channels: Channels of the pyramid's levels.
        frozen_stages: Stages that are not trained.

    Raises:
        InputError: If a name is unknown or a number impossible.
    """
    _check(task, DETECTORS, backbone)
    neck, head = block_spec(neck), block_spec(head)
    return TaskSpec(task, backbone, neck, head, num_classes, channels, frozen_stages=frozen_stages)


def segmenter_spec(
    task: str,
    backbone: NetworkSpec,
    *,
    neck: str | BlockSpec = "convolution",
    head: str | BlockSpec = "convolution",
    num_classes: int = 19,
    channels: int | None = None,
    head_channels: int | None = None,
) -> TaskSpec:
    """The spec of a segmenter with the paper's widths.

    Args:
        task: ``semantic_fpn`` or ``upernet``.
        backbone: The backbone.
        neck: Operator of the pyramid's output layers: a registered name, or one with settings.
        head: Operator of the head.
        num_classes: Classes.
        channels: Channels of the pyramid (default: 256; UPerNet 512).
        head_channels: Channels of Semantic FPN's scale heads (default 128) or of UPerNet's
            auxiliary head (default 256).

    Raises:
        InputError: If a name is unknown or a number impossible.
    """
    _check(task, SEGMENTERS, backbone)
    wide, inside = (256, 128) if task == "semantic_fpn" else (512, 256)
    neck, head = block_spec(neck), block_spec(head)
    channels = wide if channels is None else channels
    head_channels = inside if head_channels is None else head_channels
    return TaskSpec(task, backbone, neck, head, num_classes, channels, head_channels)


def searched_spec(
    model: Mapping[str, Any], parameters: Mapping[str, Value]
) -> NetworkSpec | TaskSpec:
    """Resolve an architecture's parameters to what it describes.

    Args:
        model: What is held constant, as for :func:`invsearch.models.network_spec`; ``num_classes``
            are the task's.
        parameters: What varies. ``task`` makes the network the backbone of a detector or segmenter
            with the operators that ``neck`` and ``head`` name (default: convolution).

    Returns:
        The network, or the detector or segmenter around it.

    Raises:
        InputError: If a name or value is unknown, or the number of blocks is not given.
    """
    backbone, values = network_spec(model, parameters), {**model, **parameters}
    if "task" not in values:
        return backbone
    task = str(values["task"])
    make = detector_spec if task in DETECTORS else segmenter_spec
    neck, head = (_named(str(values.get(key, "convolution"))) for key in ("neck", "head"))
    return make(task, backbone, neck=neck, head=head, num_classes=backbone.num_classes)


def task_problem(key: str, operator: object) -> str | None:
    """Say why a neck or a head cannot have an operator, or return None."""
    try:
        block = _named(str(operator))
    except ImportError as error:
        return f"{key}: {error}"
    reasons = (problem(width, block) for width in _WIDTHS)
    return next((f"{key}: {reason}" for reason in reasons if reason), None)


@lru_cache(maxsize=64)
def _named(operator: str) -> BlockSpec:
    return block_spec(operator)


def _check(task: str, allowed: tuple[str, ...], backbone: NetworkSpec) -> None:
    if not isinstance(task, str) or task not in allowed:
        raise InputError(
            f"task {shown(task)} is unknown: choose from {list(allowed)}{nearest(task, allowed)}"
        )
    if len(backbone.stages) != _LEVELS:
        raise InputError(
            f"a {task} needs a backbone of {_LEVELS} stages, one for each level of its pyramid; "
            f"this one has {len(backbone.stages)}"
        )


def _block_from_json(data: Mapping[str, Any]) -> BlockSpec:
    return BlockSpec(data["operator"], tuple((k, v) for k, v in data["hyperparameters"]))
