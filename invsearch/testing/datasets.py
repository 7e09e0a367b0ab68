"""The suite that every data set passes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invsearch.data import IGNORED, ImageData, Part, load_dataset, resolve_dataset

__all__ = ["DatasetConformance"]

_PARTS: tuple[Part, ...] = ("val", "test")
_BATCH = 64  # images at a time; any will do
_TWINS = 0.01  # real sets have doubles: 1 % of the validation images may be training images too


class DatasetConformance:
    """What training asks of a data set.

    Inherit it, in a class whose name starts with ``Test``, and name the data set::

        class TestShapes(DatasetConformance):
            dataset = "shapes"

    A folder is named by overriding the fixture ``name``.
    """

    dataset = ""

    @pytest.fixture
    def name(self) -> str:
        """The name, or a folder."""
        return self.dataset

    def test_it_is_found_without_being_read(self, name: str) -> None:
        """What resolving returns is good in another folder, and resolves to itself."""
        resolved = resolve_dataset(name)
        assert resolve_dataset(resolved) == resolved

    def test_shapes_and_types(self, name: str) -> None:
        """Square float images of one size in all three sets, labels or masks in range."""
        data = load_dataset(name)
        for images, labels in _sets(data):
            assert images.dtype == torch.float32
            assert images.shape[1:] == (data.channels, data.resolution, data.resolution)
            assert labels.dtype == (torch.uint8 if data.dense else torch.int64)
            assert labels.shape == (len(images), *(images.shape[2:] if data.dense else ()))
            classes = labels[labels != IGNORED] if data.dense else labels
            assert 0 <= int(classes.min()) <= int(classes.max()) < data.num_classes
        for labels in () if data.dense else (data.train_labels, data.val_labels):
            assert set(labels.tolist()) == set(range(data.num_classes))
        assert data.name
        assert data.data_fraction == 1.0

    def test_it_is_normalised_by_the_training_images(self, name: str) -> None:
        """Every channel has mean 0 and deviation 1 over them."""
        images = load_dataset(name).train_images
        assert images.mean((0, 2, 3)).abs().max() < 1e-3
        assert torch.isfinite(images).all()
        deviation = images.std((0, 2, 3), correction=0)
        assert ((deviation - 1).abs() < 1e-2).all()

    def test_loading_again_gives_the_same(self, name: str) -> None:
        """Read anew: another request in between takes the place of what was kept."""
        first = load_dataset(name)
        load_dataset(name, seed=1, data_fraction=0.5)
        again = load_dataset(name)
        assert again is not first
        _assert_equal(first, again)

    def test_training_validation_and_test_images_are_others(self, name: str) -> None:
        """But for a few twins that real data sets have."""
        data = load_dataset(name)
        parts = [data.train_images, data.val_images, data.test_images]
        for number, later in enumerate(parts[1:], 1):
            known = {image.numpy().tobytes() for part in parts[:number] for image in part}
            twins = sum(image.numpy().tobytes() in known for image in later)
            assert twins <= _TWINS * len(later)

    @pytest.mark.parametrize("resolution", [7, 12])
    def test_resolution_is_of_all_sets(self, name: str, resolution: int) -> None:
        """Resized to a side that few data sets have, images keep their labels."""
        data, own = load_dataset(name, resolution=resolution), load_dataset(name)
        assert data.resolution == resolution
        for (images, labels), (_, before) in zip(_sets(data), _sets(own), strict=True):
            assert images.shape[1:] == (own.channels, resolution, resolution)
            assert len(labels) == len(before)
            assert data.dense or torch.equal(labels, before)

    def test_a_fraction_has_every_class_and_leaves_the_rest_alone(self, name: str) -> None:
        """In its share, by a seed: another seed is another fraction of the same size."""
        whole = load_dataset(name)
        half, other = (load_dataset(name, data_fraction=0.5, seed=seed) for seed in (1, 2))
        assert half.data_fraction == 0.5
        for data in (half, other):
            assert torch.equal(data.val_labels, whole.val_labels)
            assert len(data.val_images) == len(whole.val_images)
            assert torch.equal(data.test_labels, whole.test_labels)
            assert abs(len(data.train_labels) - len(whole.train_labels) / 2) <= data.num_classes
            if not data.dense:
                counts = data.train_labels.bincount(minlength=data.num_classes)
                shares = whole.train_labels.bincount() / 2
                assert ((counts - shares).abs() <= 1).all()
        _assert_equal(half, load_dataset(name, data_fraction=0.5, seed=1))
        assert len(half.train_labels) == len(other.train_labels)

    def test_pixels_are_the_same_images(self, name: str) -> None:
        """Either uint8 with a scale that normalises them, or as they are without."""
        plain, pixels = load_dataset(name), load_dataset(name, pixels=True)
        scale = pixels.scale
        if scale is None:
            _assert_equal(plain, pixels)
            return
        assert {images.dtype for images, _ in _sets(pixels)} == {torch.uint8}
        for (images, _), (floats, _) in zip(_sets(pixels), _sets(plain), strict=True):
            assert torch.equal(scale(images), floats)

    def test_streamed_images_are_the_same(self, name: str) -> None:
        """Decoded batch by batch, where they are encoded; what is in memory anyway stays so."""
        streamed = load_dataset(name, stream=True)
        if streamed.encoded is None:
            _assert_equal(load_dataset(name), streamed)
            return
        pixels = load_dataset(name, pixels=True)
        for part in _PARTS:
            for theirs, mine in zip(
                streamed.batches(part, _BATCH), pixels.batches(part, _BATCH), strict=True
            ):
                assert all(torch.equal(a, b) for a, b in zip(theirs, mine, strict=True))


def _sets(data: ImageData) -> tuple[tuple[Tensor, Tensor], ...]:
    return (
        (data.train_images, data.train_labels),
        (data.val_images, data.val_labels),
        (data.test_images, data.test_labels),
    )


def _assert_equal(one: ImageData, other: ImageData) -> None:
    for mine, theirs in zip(_sets(one), _sets(other), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
