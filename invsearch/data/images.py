"""ImageData: training, validation and test sets as tensors, and how they are made comparable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from invsearch.data.blocks import Blocks
    from invsearch.data.stream import Encoded

__all__ = ["ImageData", "Part", "Scale", "TestSet", "standardise", "stratified_subset"]

Part = Literal["val", "test"]

TestSet = Callable[[], tuple[Tensor, Tensor]]
"""Makes a test set's images, like the validation images, and its labels."""


@dataclass(frozen=True, eq=False)
class Scale:
    """How pixels become comparable: every channel by its own mean and deviation.

    Attributes:
        mean: float32 (1, C, 1, 1), in pixels' units.
        deviation: float32 (1, C, 1, 1), above 0.
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Scale:
        """The scale that gives these images, (N, C, H, W) of any dtype, mean 0, deviation 1."""
        deviation, mean = torch.std_mean(images.float(), dim=(0, 2, 3), correction=0, keepdim=True)
        return cls(mean, deviation.clamp_min(1e-6))

    def to_json(self) -> dict[str, list[float]]:
        """Mean and deviation of each channel, in pixels' units."""
        return {
            "mean": self.mean.flatten().tolist(),
            "deviation": self.deviation.flatten().tolist(),
        }

    def to(self, device: torch.device) -> Scale:
        """The same scale on a device."""
        return Scale(self.mean.to(device), self.deviation.to(device))

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise images (N, C, H, W) of any real dtype, to float32."""
        return (images.float() - self.mean) / self.deviation


@dataclass(frozen=True, eq=False)
class ImageData:
    """Three sets held in memory: to train on, to choose by, and to look at once, at the end.

    Loaded data may be shared within a process: never write into its tensors.

    Attributes:
        train_images: float32 (N, C, H, W); every channel has mean 0 and deviation 1 over the set.
            Or uint8 pixels, with a ``scale``: a quarter of the memory, normalised batch by batch.
        train_labels: int64 (N,), from 0; or masks, uint8 (N, H, W), the class of every pixel, where
            :data:`invsearch.data.masks.IGNORED` is none.
        val_images: float32 (M, C, H, W), normalised by the training set's mean and deviation.
        val_labels: Like ``train_labels``.
        num_classes: Number of classes.
        name: The data set's name, or the folder it was read from.
        mirrors: Whether a mirrored image keeps its class (not so for digits).
        data_fraction: Fraction of the training set that was kept.
        scale: What normalises the images of all sets; None if they are.
        normalisation: What the images were normalised by, or are to be; None where nobody said.
        encoded: What decodes the images when they are wanted, where they would not fit into memory.
            Then images, and masks, are stand-ins of torch's device ``meta``, which have a shape and
            no values, and ``scale`` is taken from a sample of them.
        white: The largest value that a pixel can have, in the units of the normalisation.
        make_test: Makes the test set; None where :func:`invsearch.data.load_dataset` is to keep a
            part of the validation set aside.
        classes: The classes' names, where they have some.
        decoder: What decoded the images, or is to: those of another differ by rounding.
        blocks: Which training images are read together, and so shuffled; None where each is alone.
    """

    train_images: Tensor
    train_labels: Tensor
    val_images: Tensor
    val_labels: Tensor
    num_classes: int
    name: str
    mirrors: bool = True
    data_fraction: float = 1.0
    scale: Scale | None = None
    make_test: TestSet | None = None
    classes: tuple[str, ...] = ()
    normalisation: Scale | None = None
    encoded: Encoded | None = None
    white: float = 255.0
    decoder: str = "pillow"
    blocks: Blocks | None = None

    @property
    def channels(self) -> int:
        """Channels of an image (1 for digits): a network's ``in_channels``."""
        return self.train_images.shape[1]

    @property
    def resolution(self) -> int:
        """Side of the square images, in pixels."""
        return self.train_images.shape[-1]

    @property
    def dense(self) -> bool:
        """Whether every pixel has a class, not every image: its labels are masks."""
        return self.train_labels.ndim == 3

    @property
    def test_images(self) -> Tensor:
        """Like ``val_images``; decoded when first asked for, which a search never does.

        Raises:
            InputError: If one of them cannot be used.
        """
        return self._test[0]

    @property
    def test_labels(self) -> Tensor:
        """Like ``val_labels``; see :attr:`test_images`."""
        return self._test[1]

    def batches(
        self, part: Part, size: int, *, pinned: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All images of the validation or the test set with their labels, once and in order.

        Args:
            part: Which.
            size: Images at a time.
            pinned: Whether those that are decoded for it are put where a GPU fetches them.

        Yields:
            Images as the set has them, (B, C, H, W), to be normalised where there is a ``scale``;
            and their labels.

        Raises:
            InputError: If an image cannot be used.
        """
        if self.encoded is not None:
            count = len(self.encoded.parts[part])
            rows = [range(start, min(start + size, count)) for start in range(0, count, size)]
            yield from self.encoded.decoded(part, rows, pinned=pinned)
            return
        images, labels = (self.val_images, self.val_labels) if part == "val" else self._test
        yield from zip(images.split(size), labels.split(size), strict=True)

    @cached_property
    def _test(self) -> tuple[Tensor, Tensor]:
        assert self.make_test is not None, "load_dataset gives every data set a test set"
        return self.make_test()


def stratified_subset(labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Return sorted indices of a seeded random subset with every class in its share.

    Args:
        labels: int64 (N,).
        fraction: In (0, 1]; at least one image of each class is kept.
        seed: Which subset.
    """
    if fraction >= 1:
        return torch.arange(len(labels))
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(members)))
        kept.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return torch.cat(kept).sort().values


def standardise(train: Tensor, val: Tensor) -> tuple[Tensor, Tensor]:
    """Return both sets in float32, normalised by the first one's mean and deviation per channel.

    Args:
        train: (N, C, H, W), any real dtype.
        val: (M, C, H, W), of the same scale.
    """
    scale = Scale.of(train)
    return scale(train), scale(val)
