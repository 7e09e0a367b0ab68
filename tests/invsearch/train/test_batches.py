"""Batches: an epoch follows from its seed, wherever in it one begins; shares make up the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from invsearch.data import ImageData, Scale, load_dataset
from invsearch.train import Recipe
from invsearch.train.batches import ResidentBatches, Share

CPU = torch.device("cpu")
PLAIN = Recipe(batch_size=32)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_dataset("digits", data_fraction=0.2)


def equal(a: list[tuple[Tensor, Tensor]], b: list[tuple[Tensor, Tensor]]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x, y)
        for one, other in zip(a, b, strict=True)
        for x, y in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("recipe", [PLAIN, replace(PLAIN, augment=True, cutout=0.3)])
@pytest.mark.parametrize("skip", [0, 1, 5, 8])
def test_whoever_skips_gets_the_rest_as_it_was(data: ImageData, recipe: Recipe, skip: int) -> None:
    batches = ResidentBatches(data, recipe, CPU)
    assert equal(list(batches.epoch(7))[skip:], list(batches.epoch(7, skip)))
    assert not equal(list(batches.epoch(7)), list(batches.epoch(8)))


@pytest.mark.parametrize("world", [2, 3])
def test_shares_make_up_the_whole(data: ImageData, world: int) -> None:
    whole = list(ResidentBatches(data, PLAIN, CPU).epoch(3))
    parts = [
        list(ResidentBatches(data, PLAIN, CPU, Share(rank, world)).epoch(3))
        for rank in range(world)
    ]
    joined = [tuple(map(torch.cat, zip(*step, strict=True))) for step in zip(*parts, strict=True)]
    assert equal(whole, [(images, labels) for images, labels in joined])


def test_a_share_takes_every_row_once_and_none_takes_two_more_than_another() -> None:
    for size in range(12):
        for world in range(1, 5):
            rows = [list(range(size))[Share(rank, world).of(size)] for rank in range(world)]
            assert [row for some in rows for row in some] == list(range(size))
            assert max(map(len, rows)) - min(map(len, rows)) <= 1


def test_every_image_is_judged_once_normalised_and_in_order(data: ImageData) -> None:
    pixels = (data.val_images * 20 + 128).clamp(0, 255).to(torch.uint8)
    scale = Scale.of(pixels)
    batches = ResidentBatches(replace(data, val_images=pixels, scale=scale), PLAIN, CPU)
    images, labels = map(torch.cat, zip(*batches.judged("val"), strict=True))
    assert torch.equal(images, scale(pixels))
    assert torch.equal(labels, data.val_labels)
    assert sum(len(truth) for _, truth in batches.judged("test")) == len(data.test_labels)


def test_plain_images_are_of_the_training_set_and_no_more_than_asked_for(data: ImageData) -> None:
    batches = ResidentBatches(data, replace(PLAIN, augment=True), CPU)
    known = {image.numpy().tobytes() for image in data.train_images}
    found = [image.contiguous() for some in batches.plain(0, 50, 120) for image in some]
    assert len(found) == 100
    assert len({image.numpy().tobytes() for image in found} & known) == 100
