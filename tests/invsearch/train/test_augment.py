"""Augmentations: each is what its paper says, by oracles; together they are one after another."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from invsearch.data import IGNORED, ImageData, Scale
from invsearch.errors import InputError
from invsearch.plugins import AUGMENTATIONS
from invsearch.testing import AugmentationConformance
from invsearch.train import Recipe
from invsearch.train.augment import About, Augmentation, augmentation_of
from invsearch.train.augment.boxes import Boxes, random_boxes
from invsearch.train.augment.colour import jittered
from invsearch.train.augment.crop import enlarged
from invsearch.train.augment.mixing import beta
from invsearch.train.augment.randaugment import (
    MOST,
    OPERATIONS,
    changed_levels,
    moved,
    moved_masks,
)

STRENGTHS = {
    **{"augment": 1.0, "crop": 0.2, "colour": 0.5, "randaugment": 12.0},
    **{"cutout": 0.4, "erasing": 0.9, "mixup": 0.4, "cutmix": 1.0},
}


@pytest.mark.parametrize("name", STRENGTHS)
class TestOurs(AugmentationConformance):
    @pytest.fixture(autouse=True)
    def _name(self, name: str) -> None:
        self.augmentation, self.strength = name, STRENGTHS[name]


def test_every_row_is_tested() -> None:
    assert set(AUGMENTATIONS.ours()) == set(STRENGTHS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 8, side: int = 12, channels: int = 3) -> Tensor:
    """Whole levels, in [0, 1]."""
    return torch.randint(0, 256, (count, channels, side, side), generator=seeded(5)) / 255


def normalised(pixels: Tensor, *, dense: bool = False) -> ImageData:
    levels = (pixels * 255).round()
    scale, count = Scale.of(levels), len(pixels)
    labels = torch.arange(count) % 4
    if dense:
        labels = levels[:, 0].long().remainder(4).to(torch.uint8)
    images = scale(levels)
    return ImageData(images, labels, images, labels, 4, "noise", normalisation=scale)


def as_before(images: Tensor, generator: torch.Generator, *, mirrors: bool) -> Tensor:
    """Shift, mirror image and a cutout of a quarter, as before there was a table of them."""
    batch, _, height, width = images.shape
    reach = max(1, height // 8)
    shift = torch.randint(0, 2 * reach + 1, (2, batch, 1), generator=generator)
    mirrored = torch.rand(batch, 1, generator=generator) < (0.5 if mirrors else 0.0)
    moved = []
    padded = F.pad(images, (reach,) * 4)
    for one, down, right, turned in zip(padded, *shift.tolist(), mirrored.tolist(), strict=True):
        part = one[:, down[0] : down[0] + height, right[0] : right[0] + width]
        moved.append(part.flip(2) if turned[0] else part)
    made = torch.stack(moved)
    middles = [torch.randint(0, side, (batch, 1), generator=generator) for side in (height, width)]
    length = max(1, round(height / 4))
    for one, row, column in zip(made, *middles, strict=True):
        top, left = int(row) - length // 2, int(column) - length // 2
        one[:, max(0, top) : max(0, top + length), max(0, left) : max(0, left + length)] = 0
    return made


@pytest.mark.parametrize("mirrors", [True, False])
def test_trainings_of_versions_before_go_on_with_the_same_images(mirrors: bool) -> None:
    data = replace(normalised(noise(40)), mirrors=mirrors)
    augment = augmentation_of(Recipe(augment=True, cutout=0.25), data)
    mine, theirs = seeded(), seeded()
    for _ in range(2):
        made, _ = augment(data.train_images, data.train_labels, mine)
        assert torch.equal(made, as_before(data.train_images, theirs, mirrors=mirrors))


# crops


def a_crop_as_torchvision_draws_it(
    rng: np.random.Generator, side: int, least: float
) -> tuple[int, ...]:
    """RandomResizedCrop.get_params, written again for a square image."""
    for _ in range(10):
        area = side * side * rng.uniform(least, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= side and 0 < height <= side:
            top, left = (int(rng.integers(0, side - length + 1)) for length in (height, width))
            return top, left, height, width
    return 0, 0, side, side


@pytest.mark.parametrize("least", [0.08, 0.6])
def test_crops_are_distributed_as_torchvisions(least: float) -> None:
    """Two samples of each coordinate, by Kolmogorov and Smirnov: at a level of one in 1,000."""
    from scipy.stats import ks_2samp

    count, side = 6000, 32
    boxes = random_boxes((count, 1, side, side), seeded(), (least, 1), (3 / 4, 4 / 3))
    rng = np.random.default_rng(0)
    theirs = np.array([a_crop_as_torchvision_draws_it(rng, side, least) for _ in range(count)])
    for mine, other in zip(
        (boxes.top, boxes.left, boxes.height, boxes.width), theirs.T, strict=True
    ):
        assert ks_2samp(mine.numpy(), other).pvalue > 0.001
    assert int((boxes.top + boxes.height).max()) <= side
    assert int((boxes.left + boxes.width).max()) <= side


def test_a_crop_is_enlarged_as_torch_does_it() -> None:
    """Nothing of what lies around the box shows through."""
    images = noise(40, 11)
    boxes = random_boxes(images.shape, seeded(), (0.05, 1), (0.5, 2))
    made = enlarged(images, boxes)
    for row in range(len(images)):
        top, left, height, width = (
            int(one[row]) for one in (boxes.top, boxes.left, boxes.height, boxes.width)
        )
        part = images[row : row + 1, :, top : top + height, left : left + width]
        other = F.interpolate(part, size=(11, 11), mode="bilinear", align_corners=False)
        assert torch.allclose(made[row], other[0], atol=1e-5)


def test_a_crop_of_all_is_the_image() -> None:
    data = normalised(noise())
    made, _ = augmentation_of(Recipe(crop=1.0), data)(
        data.train_images, data.train_labels, seeded()
    )
    assert torch.allclose(made, data.train_images, atol=1e-5)


def test_with_crops_images_are_mirrored_and_not_shifted() -> None:
    data = normalised(noise(64))
    recipe = Recipe(crop=1.0, augment=True)
    made, _ = augmentation_of(recipe, data)(data.train_images, data.train_labels, seeded())
    kept = torch.isclose(made, data.train_images, atol=1e-4).flatten(1).all(1)
    turned = torch.isclose(made, data.train_images.flip(3), atol=1e-4).flatten(1).all(1)
    assert torch.equal(kept, ~turned)
    assert 16 < int(kept.sum()) < 48


@pytest.mark.parametrize("recipe", [Recipe(augment=True), Recipe(crop=0.3, augment=True)])
def test_masks_move_with_their_images(recipe: Recipe) -> None:
    """Flat squares of four pixels: the middle of each shows which class is under it."""
    classes = torch.randint(0, 4, (32, 1, 6, 6), generator=seeded(3)).float()
    pixels = F.interpolate(classes, scale_factor=8, mode="nearest") * 60 / 255
    data = normalised(pixels, dense=True)
    masks = (pixels[:, 0] * 255 / 60).round().to(torch.uint8)
    made, found = augmentation_of(recipe, data)(data.train_images, masks, seeded())
    assert data.normalisation is not None
    shown = (made * data.normalisation.deviation + data.normalisation.mean)[:, 0] / 60
    inside = (found != IGNORED) & ((shown - shown.round()).abs() < 1e-3)
    assert inside.float().mean() > 0.4
    same = shown.round()[inside] == found[inside]
    # at a border of two classes two apart, what lies between may look like the one between them
    assert same.float().mean() > 0.99


# colours


def pictures(images: Tensor) -> list[Image.Image]:
    levels = (images * 255).round().to(torch.uint8).movedim(1, -1)
    return [Image.fromarray(one.numpy()) for one in levels]


def levels_of(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture).astype(np.float32)).movedim(-1, 0) / 255


ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "colour": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}
ROUNDING = 2.01 / 255  # Pillow rounds what it blends with, and what comes of it


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.6])
@pytest.mark.parametrize(("number", "name"), [(0, "brightness"), (1, "contrast"), (2, "colour")])
def test_colours_change_as_pillow_changes_them(number: int, name: str, factor: float) -> None:
    images = noise()
    factors = torch.ones(3, len(images))
    factors[number] = factor
    made = jittered(images, factors)
    for row, picture in enumerate(pictures(images)):
        other = levels_of(ENHANCERS[name](picture).enhance(factor))
        assert (made[row] - other).abs().max() <= ROUNDING * max(1, factor)


def test_colours_need_to_know_how_images_were_normalised() -> None:
    data = replace(normalised(noise()), normalisation=None)
    for recipe in (Recipe(colour=0.4), Recipe(randaugment=9)):
        with pytest.raises(InputError, match="'noise' does not say by what its images were norm"):
            augmentation_of(recipe, data)


# RandAugment


def alone(name: str, images: Tensor, share: float) -> Tensor:
    operation = torch.full((len(images),), OPERATIONS.index(name))
    amount = torch.full((len(images),), share)
    made = moved(images, operation, amount)
    return changed_levels(made, operation, amount)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_magnitude_of_nothing_changes_nothing(name: str, channels: int) -> None:
    images = noise(channels=channels)
    assert torch.allclose(alone(name, images, 0.0), images, atol=1e-5)
    if name != "identity" and (name, channels) != ("colour", 1):
        assert not torch.allclose(alone(name, images, 1.0)[..., 3:, 3:], images[..., 3:, 3:])


@pytest.mark.parametrize("share", [-1.0, 0.4, 1.0])
@pytest.mark.parametrize("name", ENHANCERS)
def test_its_enhancements_are_pillows(name: str, share: float) -> None:
    images, factor = noise(), 1 + 0.9 * share
    for made, picture in zip(alone(name, images, share), pictures(images), strict=True):
        other = levels_of(ENHANCERS[name](picture).enhance(factor))
        assert (made - other).abs().max() <= ROUNDING * max(1, factor)


@pytest.mark.parametrize(("share", "bits"), [(0.0, 8), (0.5, 6), (1.0, 4)])
def test_posterize_and_solarize_are_pillows(share: float, bits: int) -> None:
    images = noise()
    threshold = int(255 * (1 - share)) + 1  # what is lighter; Pillow: from here on
    posterized, solarized = (alone(name, images, share) for name in ("posterize", "solarize"))
    for row, picture in enumerate(pictures(images)):
        assert torch.allclose(posterized[row], levels_of(ImageOps.posterize(picture, bits)))
        other = levels_of(ImageOps.solarize(picture, threshold))
        assert (solarized[row] - other).abs().max() < 1e-6


@pytest.mark.parametrize("name", ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"])
@pytest.mark.parametrize("share", [-1.0, 0.5])
def test_its_moves_are_pillows_about_the_middle(name: str, share: float) -> None:
    """A smooth picture, as Pillow samples it at the same places."""
    side = 24
    x = torch.linspace(0, 3, side)
    images = (torch.sin(x)[:, None] * torch.cos(x)[None]).abs().expand(1, 1, side, side)
    turn = math.radians(30) * share if name == "rotate" else 0.0
    a, b, c, d = math.cos(turn), -math.sin(turn), math.sin(turn), math.cos(turn)
    b += 0.3 * share * (name == "shear_x")
    c += 0.3 * share * (name == "shear_y")
    way = [150 / 331 * share * side * (name == one) for one in ("translate_x", "translate_y")]
    middle = side / 2
    data = (
        *(a, b, middle - a * middle - b * middle + way[0]),
        *(c, d, middle - c * middle - d * middle + way[1]),
    )
    picture = Image.fromarray(images[0, 0].numpy())
    other = np.asarray(picture.transform((side, side), Image.Transform.AFFINE, data, 2))
    made = alone(name, images, share)[0, 0].numpy()
    inside = (other > 0) & (made > 0)
    inside[[0, -1]] = inside[:, [0, -1]] = False
    edge = np.abs(made - other) > 0.02  # what is uncovered fades in here, and begins there
    assert (edge & inside).sum() < 0.06 * side * side
    assert inside.sum() > 0.3 * side * side


def test_masks_are_moved_to_the_nearest_pixel_and_uncover_no_class() -> None:
    masks = torch.randint(0, 4, (5, 9, 9), generator=seeded()).to(torch.uint8)
    operation = torch.full((5,), OPERATIONS.index("translate_x"))
    made = moved_masks(masks, operation, torch.full((5,), 3 / 9 / (150 / 331)))
    assert torch.equal(made[:, :, :6], masks[:, :, 3:])
    assert (made[:, :, 6:] == IGNORED).all()
    still = torch.full((5,), OPERATIONS.index("sharpness"))
    assert torch.equal(moved_masks(masks, still, torch.ones(5)), masks)


def test_each_image_has_a_draw_of_its_own() -> None:
    one = noise(1).expand(400, -1, -1, -1)
    data = normalised(one)
    recipe = Recipe(randaugment=MOST / 2, randaugment_operations=1)
    made, _ = augmentation_of(recipe, data)(data.train_images, data.train_labels, seeded())
    kinds = made.round(decimals=3).flatten(1).unique(dim=0)
    # nine operations have two directions, the identity, posterize and solarize one
    assert len(kinds) == 2 * 9 + 3


# what hides and mixes


def test_an_erased_box_is_the_mean_and_of_a_third_at_most() -> None:
    data = normalised(noise(500, 16))
    recipe = Recipe(erasing=0.4)
    made, _ = augmentation_of(recipe, data)(data.train_images, data.train_labels, seeded())
    erased = (made == 0).all(1)
    shares = erased.float().mean((1, 2))
    assert torch.equal(made[~erased.unsqueeze(1).expand_as(made)],
                       data.train_images[~erased.unsqueeze(1).expand_as(made)])  # fmt: skip
    assert 0.3 < float((shares > 0).float().mean()) < 0.5
    assert float(shares.max()) <= 0.36
    for box in erased[shares > 0]:
        rows, columns = box.any(1), box.any(0)
        assert int(box.sum()) == int(rows.sum()) * int(columns.sum()), "one whole box"


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_are_of_a_beta_distribution(alpha: float) -> None:
    from scipy.stats import beta as oracle
    from scipy.stats import kstest

    drawn = beta(alpha, 5000, seeded())
    assert kstest(drawn.double().numpy(), oracle(alpha, alpha).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    "recipe", [Recipe(mixup=0.6), Recipe(cutmix=1.0), Recipe(mixup=0.6, cutmix=1)]
)
def test_labels_are_mixed_as_the_pixels_are(recipe: Recipe) -> None:
    """Images that show their class everywhere: the mean of one says the share of each."""
    labels = torch.arange(64) % 4
    images = F.one_hot(labels, 4).float().view(64, 4, 1, 1).expand(64, 4, 10, 10)
    data = ImageData(images, labels, images, labels, 4, "plain")
    made, targets = augmentation_of(recipe, data)(images, labels, seeded())
    assert torch.allclose(made.mean((2, 3)), targets, atol=1e-5)
    assert len(targets.unique(dim=0)) > 20
    assert (targets.amax(1) < 1).any()


def test_one_image_is_mixed_with_itself() -> None:
    data = normalised(noise(1))
    for recipe in (Recipe(mixup=1.0), Recipe(cutmix=1.0)):
        made, targets = augmentation_of(recipe, data)(
            data.train_images, data.train_labels, seeded()
        )
        assert torch.allclose(made, data.train_images, atol=1e-6)
        assert torch.allclose(targets, torch.tensor([[1.0, 0, 0, 0]]))


def test_of_two_ways_to_mix_each_image_takes_one() -> None:
    labels = torch.arange(400) % 4
    images = F.one_hot(labels, 4).float().view(400, 4, 1, 1).expand(400, 4, 6, 6)
    data = ImageData(images, labels, images, labels, 4, "plain")
    made, _ = augmentation_of(Recipe(mixup=1.0, cutmix=1.0), data)(images, labels, seeded())
    pasted = ((made == 0) | (made == 1)).flatten(1).all(1)
    assert 150 < int(pasted.sum()) < 250


# all of them


def test_nothing_named_is_nothing_done() -> None:
    data = normalised(noise())
    made, targets = augmentation_of(Recipe(), data)(data.train_images, data.train_labels, seeded())
    assert made is data.train_images
    assert targets is data.train_labels


def test_what_moves_comes_before_colours_and_mixing_is_last() -> None:
    """Whatever the order in which they are named."""
    places = {name: AUGMENTATIONS.get(name, Augmentation).place for name in STRENGTHS}
    assert sorted(places, key=places.__getitem__) == [
        *("crop", "augment", "colour", "randaugment", "erasing", "cutout", "mixup", "cutmix"),
    ]


def test_a_third_partys_goes_by_its_name() -> None:
    def make(strength: float, about: About):  # type: ignore[no-untyped-def]
        return lambda images, targets, generator: (images + strength, targets)

    data = normalised(noise())
    AUGMENTATIONS.add("lighter", Augmentation(make, most=3.0))
    try:
        recipe = Recipe(augmentations={"lighter": 2.0})
        made, _ = augmentation_of(recipe, data)(data.train_images, data.train_labels, seeded())
        assert torch.equal(made, data.train_images + 2)
        with pytest.raises(InputError, match=r"lighter 4 is not in \[0, 3\]"):
            augmentation_of(Recipe(augmentations={"lighter": 4.0}), data)
    finally:
        AUGMENTATIONS.remove("lighter")
    with pytest.raises(InputError, match="no augmentation is called 'lighter'"):
        augmentation_of(recipe, data)


def test_the_whole_image_where_no_box_fits() -> None:
    boxes = random_boxes((50, 1, 8, 8), seeded(), (1.0, 1.0), (3.0, 4.0))
    assert isinstance(boxes, Boxes)
    assert not boxes.found.any()
    assert boxes.inside(8, 8).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("name", STRENGTHS)
@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_on_a_gpu(name: str, where: str) -> None:
    """Drawn there or here; drawn here, they are the images that the CPU makes."""
    data = normalised(noise())
    augment = augmentation_of(
        Recipe(**{name: type(getattr(Recipe(), name))(STRENGTHS[name])}), data
    )
    images, labels = data.train_images.cuda(), data.train_labels.cuda()
    generator = torch.Generator(where).manual_seed(0)
    blank = torch.Generator(where).manual_seed(0)
    made, targets = augment(images, labels, generator)
    assert made.device == targets.device == images.device
    augment(images.to("meta"), labels.to("meta"), blank)
    assert torch.equal(generator.get_state(), blank.get_state())
    if where == "cpu":
        here, truth = augment(data.train_images, data.train_labels, seeded())
        assert torch.allclose(made.cpu(), here, atol=1e-3)
        assert torch.allclose(targets.cpu(), truth, atol=1e-6)
