"""The suite that every augmentation passes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invsearch.data import IGNORED, ImageData, Scale
from invsearch.errors import InputError
from invsearch.plugins import AUGMENTATIONS
from invsearch.train import Recipe
from invsearch.train.augment import About, Augment, Augmentation

__all__ = ["AugmentationConformance"]

_CLASSES = 5  # fewer than images of a batch, so that some are alike


class AugmentationConformance:
    """What training asks of an augmentation.

    Inherit it, in a class whose name starts with ``Test``, and name the row::

        class TestSepia(AugmentationConformance):
            augmentation = "sepia"
            strength = 0.5
    """

    augmentation = ""
    strength = 1.0

    @pytest.fixture
    def row(self) -> Augmentation:
        """The row of the table."""
        return AUGMENTATIONS.get(self.augmentation, Augmentation)

    @pytest.fixture(params=[1, 3], ids=["grey", "colour"])
    def data(self, request: pytest.FixtureRequest) -> ImageData:
        """Images with all that they may show, normalised."""
        pixels = torch.randint(0, 256, (16, request.param, 12, 12), generator=_seeded(1))
        scale, labels = Scale.of(pixels), torch.arange(16) % _CLASSES
        images = scale(pixels)
        return ImageData(
            images, labels, images[:5], labels[:5], _CLASSES, "noise", normalisation=scale
        )

    @pytest.fixture
    def augment(self, row: Augmentation, data: ImageData) -> Augment:
        """It, made for the data."""
        return row.made(self.augmentation, self.strength, About.of(data, Recipe()))

    def test_images_keep_their_shape_and_the_given_ones_are_left_alone(
        self, augment: Augment, data: ImageData
    ) -> None:
        """Other images come out, of the same shape and type."""
        images, labels = data.train_images.clone(), data.train_labels.clone()
        made, _ = augment(data.train_images, data.train_labels, _seeded(0))
        assert torch.equal(data.train_images, images)
        assert torch.equal(data.train_labels, labels)
        assert (made.shape, made.dtype) == (images.shape, images.dtype)
        assert torch.isfinite(made).all()
        assert not torch.equal(made, images)

    def test_pixels_stay_in_their_range(self, augment: Augment, data: ImageData) -> None:
        """Between black and white, but for roundings."""
        made, _ = augment(data.train_images, data.train_labels, _seeded(0))
        assert data.normalisation is not None
        pixels = made * data.normalisation.deviation + data.normalisation.mean
        assert float(pixels.min()) > -0.01
        assert float(pixels.max()) < data.white + 0.01

    def test_equal_seeds_give_equal_images(self, augment: Augment, data: ImageData) -> None:
        """And other seeds others."""
        one, other, again = (
            augment(data.train_images, data.train_labels, _seeded(seed)) for seed in (0, 1, 0)
        )
        assert torch.equal(one[0], again[0])
        assert torch.equal(one[1], again[1])
        assert not torch.equal(one[0], other[0])

    def test_what_is_drawn_does_not_depend_on_the_images(
        self, augment: Augment, data: ImageData
    ) -> None:
        """Where a training goes on in the middle of an epoch, some without values stand in."""
        seen, blank = _seeded(0), _seeded(0)
        made, targets = augment(data.train_images, data.train_labels, seen)
        shapes = augment(data.train_images.to("meta"), data.train_labels.to("meta"), blank)
        assert [one.shape for one in shapes] == [made.shape, targets.shape]
        assert torch.equal(seen.get_state(), blank.get_state())

    def test_targets(self, row: Augmentation, augment: Augment, data: ImageData) -> None:
        """The labels; or probabilities, of no class that is not in the batch."""
        _, targets = augment(data.train_images, data.train_labels, _seeded(0))
        if not row.mixes:
            assert torch.equal(targets, data.train_labels)
            return
        assert targets.shape == (len(data.train_labels), _CLASSES)
        assert float(targets.min()) >= 0
        assert torch.allclose(targets.sum(1), torch.ones(len(targets)))

    def test_masks_stay_with_what_they_say(self, row: Augmentation, data: ImageData) -> None:
        """No class comes up that was not there; what mixes images refuses masks."""
        masks = torch.randint(0, _CLASSES, (16, 12, 12), generator=_seeded(2)).to(torch.uint8)
        about = About(Recipe(), "masks", _CLASSES, scale=data.normalisation, dense=True)
        if row.mixes:
            with pytest.raises(InputError, match="every pixel has its own"):
                row.made(self.augmentation, self.strength, about)
            return
        augment = row.made(self.augmentation, self.strength, about)
        made = _of_masks(augment, data.train_images, masks)
        assert (made.shape, made.dtype) == (masks.shape, masks.dtype)
        assert set(made.unique().tolist()) <= {*range(_CLASSES), IGNORED}


def _of_masks(augment: Augment, images: Tensor, masks: Tensor) -> Tensor:
    before = masks.clone()
    _, made = augment(images, masks, _seeded(0))
    assert torch.equal(masks, before)
    return made


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
