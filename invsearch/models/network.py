"""NetworkSpec: a network as plain data, from which it is built and counted, and its one walk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from invsearch.errors import InputError
from invsearch.models.arguments import checked
from invsearch.models.form import block_form, form

if TYPE_CHECKING:
    from invsearch.models.form import Form
    from invsearch.space.architecture import Value

__all__ = ["BlockSpec", "Entrance", "NetworkSpec", "Part", "Place", "StageSpec", "StemSpec"]
__all__ += ["stage_places"]


@dataclass(frozen=True)
class BlockSpec:
    """What is spatial in a block: the operator that stands in the middle of it.

    Attributes:
        operator: Name of a registered operator.
        hyperparameters: Its hyperparameters as sorted ``(name, value)`` pairs, complete.
    """

    operator: str
    hyperparameters: tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class StageSpec:
    """Blocks of one resolution and one form.

    Attributes:
        width: The width that the form reckons with: channels inside a bottleneck, channels that
            come out of an inverted residual.
        stride: Stride of the first block.
        blocks: The blocks in order; never empty.
        form: Name of the blocks' form.
        expansion: How many times wider the wide end of a block is: of a bottleneck its output (4,
            He et al. 2016), of an inverted residual its inside.
    """

    width: int
    stride: int
    blocks: tuple[BlockSpec, ...]
    form: str = "bottleneck"
    expansion: int = 4

    @cached_property
    def out_channels(self) -> int:
        """Channels of the stage's output."""
        return block_form(self.form).out_channels(self)


@dataclass(frozen=True)
class StemSpec:
    """The layers before the first stage.

    Attributes:
        kind: ``rednet`` (3x3, involution, 3x3), ``resnet`` (one 7x7), ``deep`` (three 3x3) or
            ``mobilenet`` (one 3x3, with ReLU6).
        channels: Output channels.
        kernel_size: Kernel size of the stem's involution (``rednet`` only; 7 otherwise).
        stride: Stride of the first convolution (2; 1 for proxies on small images).
        pool: Whether the stem ends in a 3x3 max pool of stride 2.
    """

    kind: Literal["rednet", "resnet", "deep", "mobilenet"]
    channels: int = 64
    kernel_size: int = 7
    stride: int = 2
    pool: bool = True


@dataclass(frozen=True)
class Part:
    """A piece of a network that costs the same wherever it stands: a stem, a block or a head.

    Attributes:
        kind: ``stem``, ``head``, or the name of a block's form.
        in_channels: Channels of the input.
        inner_channels: Channels that a block's operator sees; of a head's 1x1 convolution, 0 where
            it has none.
        out_channels: Channels of the output; a head's classes.
        stride: From input to output.
        size: (height, width) of the input.
        block: A block's operator.
        stem: A stem's settings.
        pool: A head's global pooling, as :class:`NetworkSpec` has it.
    """

    kind: str
    in_channels: int
    inner_channels: int
    out_channels: int
    stride: int
    size: tuple[int, int]
    block: BlockSpec | None = None
    stem: StemSpec | None = None
    pool: str = "avg"

    @property
    def form(self) -> Form:
        """What knows its layers and builds it."""
        return form(self.kind)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image's input."""
        return (self.in_channels, *self.size)

    @cached_property
    def name(self) -> str:
        """Everything above in words: two parts of one name are equal. Latency tables keep it."""
        size = "x".join(map(str, self.shape))
        if self.block is not None:
            settings = ", ".join(f"{name}={value}" for name, value in self.block.hyperparameters)
            usual = self.kind == "bottleneck" and self.out_channels == 4 * self.inner_channels
            what, to = ("block", "") if usual else (self.kind, f"to {self.out_channels}, ")
            where = f"width {self.inner_channels}, {to}stride {self.stride}, on {size}"
            return f"{what} {self.block.operator}({settings}), {where}"
        if self.stem is not None:
            settings = ", ".join(f"{name}={value}" for name, value in vars(self.stem).items())
            return f"stem({settings}), on {size}"
        through = f"through {self.inner_channels}, " if self.inner_channels else ""
        pool = "" if self.pool == "avg" else f"{self.pool or 'no'} pool, "
        return f"head, {self.out_channels} classes, {through}{pool}on {size}"

    def to_json(self) -> dict[str, Any]:
        """The part as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Part:
        """The inverse of :meth:`to_json`, also after a trip through JSON text."""
        block, stem, (height, width) = data["block"], data["stem"], data["size"]
        own = {
            "size": (height, width),
            "block": _block_from_json(block) if block is not None else None,
            "stem": StemSpec(**stem) if stem is not None else None,
        }
        return cls(**{**data, **own})

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the output; a head's is (1, 1)."""
        height, width = self.size
        if self.kind == "head":
            return 1, 1
        return -(-height // self.stride), -(-width // self.stride)


@dataclass(frozen=True)
class Place:
    """Where a part stands in a network.

    Attributes:
        name: ``stem``, ``head``, or such as ``stage1.block2``.
        stage: From 1; 0 for stem and head.
        block: From 1 within its stage; 0 for stem and head.
        part: What stands there.
    """

    name: str
    stage: int
    block: int
    part: Part

    def layer_name(self, name: str) -> str:
        """A layer of the part by its name within the network: those of the head stand alone."""
        return name if self.part.kind == "head" else f"{self.name}.{name}"


class Entrance(NamedTuple):
    """A stage and what comes into it.

    Attributes:
        number: Of the stage, from 1.
        stage: The stage.
        in_channels: Channels of its input.
        size: (height, width) of its input.
    """

    number: int
    stage: StageSpec
    in_channels: int
    size: tuple[int, int]

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the stage's output."""
        height, width = self.size
        return -(-height // self.stage.stride), -(-width // self.stage.stride)


@dataclass(frozen=True)
class NetworkSpec:
    """A whole network: stem, stages, global pool, linear head.

    Attributes:
        stem: What comes before the first stage.
        stages: In order.
        num_classes: Width of the linear head; 0: no head, the output is what the pool leaves.
        in_channels: Channels of the images.
        final_channels: Channels of a 1x1 convolution between the last stage and the pool; 0: none.
        global_pool: ``avg``, ``max``, or empty for none, which goes with no head alone.

    Raises:
        InputError: If one of these that a user gives cannot be.
    """

    stem: StemSpec
    stages: tuple[StageSpec, ...]
    num_classes: int = 1000
    in_channels: int = 3
    final_channels: int = 0
    global_pool: str = "avg"

    def __post_init__(self) -> None:
        for name in ("num_classes", "in_channels", "global_pool"):
            given = getattr(self, name)
            value = checked(name, given)
            if value is not given:  # numpy's numbers become Python's
                object.__setattr__(self, name, value)
        if self.num_classes and not self.global_pool:
            raise InputError(
                f"num_classes is {self.num_classes} and global_pool is '': a linear head takes no "
                "feature map; give num_classes=0, or global_pool='avg'"
            )

    @property
    def num_features(self) -> int:
        """Channels of the last feature map, and of what the global pool makes of it."""
        return self.final_channels or self.stages[-1].out_channels

    def walk(self, height: int, width: int) -> Iterator[Place]:
        """Go through the network in the order of the forward pass: the one walk there is.

        Counting, building, timing by parts, fitting a proxy and checking operators all take it.
        A latency table takes ``place.part`` (equal for equal work, wherever it stands); a breakdown
        by layer takes ``place.part.form.layers(place.part)``, each under ``place.layer_name``.

        Args:
            height: Of the images, in pixels.
            width: Of the images.

        Yields:
            The stem, every block, the head.
        """
        stem = self.stem_place(height, width)
        yield stem
        size = stem.part.output_size
        for entrance in self.entrances(height, width):
            yield from stage_places(entrance)
            size = entrance.output_size
        yield self.head_place(size)

    def blocks(self) -> Iterator[tuple[Place, BlockSpec]]:
        """Every block with its operator, where the size of the images does not matter."""
        for entrance in self.entrances(1, 1):
            for place in stage_places(entrance):
                assert place.part.block is not None
                yield place, place.part.block

    def stem_place(self, height: int, width: int) -> Place:
        """The stem on images of this size."""
        return _stem_place(self.stem, self.in_channels, (height, width))

    def entrances(self, height: int, width: int) -> Iterator[Entrance]:
        """The stages in order, each with what comes into it."""
        size, channels = self.stem_place(height, width).part.output_size, self.stem.channels
        for number, stage in enumerate(self.stages, start=1):
            entrance = Entrance(number, stage, channels, size)
            yield entrance
            channels, size = stage.out_channels, entrance.output_size

    def head_place(self, size: tuple[int, int]) -> Place:
        """The head behind a last stage whose output has this (height, width)."""
        channels = self.stages[-1].out_channels
        ends = self.final_channels, self.num_classes, self.global_pool
        return _head_place(channels, ends, size)

    def to_json(self) -> dict[str, Any]:
        """The network as plain JSON-able data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NetworkSpec:
        """The inverse of :meth:`to_json`, also after a trip through JSON text.

        What versions before the forms of blocks wrote are networks of bottlenecks.
        """
        stages = tuple(_stage_from_json(stage) for stage in data["stages"])
        rest = {key: value for key, value in data.items() if key not in ("stem", "stages")}
        return cls(StemSpec(**data["stem"]), stages, **rest)


@lru_cache(maxsize=1024)  # one for each stem and size of image that is asked about
def _stem_place(stem: StemSpec, in_channels: int, size: tuple[int, int]) -> Place:
    stride = stem.stride * (2 if stem.pool else 1)
    out = stem.channels
    return Place("stem", 0, 0, Part("stem", in_channels, out, out, stride, size, None, stem))


@lru_cache(maxsize=1024)  # one for each width of a last stage and size of image
def _head_place(channels: int, ends: tuple[int, int, str], size: tuple[int, int]) -> Place:
    final, classes, pool = ends
    return Place("head", 0, 0, Part("head", channels, final, classes, 1, size, pool=pool))


@lru_cache(maxsize=65536)  # distinct stages of a large search: some kilobytes each
def stage_places(entrance: Entrance) -> tuple[Place, ...]:
    """The blocks of a stage."""
    number, stage, channels, size = entrance
    shape, places, stride = block_form(stage.form), [], stage.stride
    for index, block in enumerate(stage.blocks, start=1):
        inner, out = shape.inner_channels(stage, channels), stage.out_channels
        part = Part(stage.form, channels, inner, out, stride, size, block)
        places.append(Place(f"stage{number}.block{index}", number, index, part))
        channels, size, stride = out, part.output_size, 1
    return tuple(places)


def _stage_from_json(data: Mapping[str, Any]) -> StageSpec:
    return StageSpec(**{**data, "blocks": tuple(_block_from_json(b) for b in data["blocks"])})


def _block_from_json(data: Mapping[str, Any]) -> BlockSpec:
    return BlockSpec(data["operator"], tuple((k, v) for k, v in data["hyperparameters"]))
