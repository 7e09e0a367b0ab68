"""Boxes of images that are decoded for a batch are cut from the originals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from invsearch.data import ImageData, load_dataset
from invsearch.data.cut import Cut
from invsearch.errors import InputError
from invsearch.train import Recipe, Trainer, seeded_build
from invsearch.train.batches import Share, batches_of

SIDE, SIZES = 24, ((96, 96), (120, 96), (96, 200))
CROPPED = Recipe(batch_size=4, epochs=2, crop=0.1)
MOVED = replace(CROPPED, augment=True, colour=0.2, randaugment=3, mixup=0.3)
ALONE = Share()
Painter = Callable[[int, int], NDArray[np.uint8]]


def places(width: int, height: int) -> NDArray[np.uint8]:
    """Red is how far right a pixel of the middle square lies, green how far down."""
    square = min(width, height)
    x = (np.arange(width) + 0.5 - (width - square) / 2) / square
    y = (np.arange(height) + 0.5 - (height - square) / 2) / square
    red, green = np.broadcast_arrays(x[None], y[:, None])
    return (np.stack([red, green, 0 * red], 2).clip(0, 1) * 255).round().astype(np.uint8)


def write(folder: Path, paint: Painter, kind: str = "png", sizes: object = SIZES) -> Path:
    for part in ("train", "val", "test"):
        for number, size in enumerate(4 * list(sizes)):  # type: ignore[call-overload]
            place = folder / part / "ab"[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(paint(*size)).save(place / f"{number:02}.{kind}", quality=95)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("places"), places)


@pytest.fixture(scope="module")
def streamed(photos: Path) -> ImageData:
    return load_dataset(str(photos), resolution=SIDE, stream=True)


def batches(
    data: ImageData, recipe: Recipe, skip: int = 0, share: Share = ALONE, device: str = "cpu"
) -> list[Tensor]:
    """Of an epoch the images, as pixels."""
    assert data.scale is not None
    made = batches_of(data, recipe, torch.device(device), share).epoch(3, skip)
    return [images.cpu() * data.scale.deviation + data.scale.mean for images, _ in made]


DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("share", [Share(), Share(1, 3)])
@pytest.mark.parametrize("recipe", [CROPPED, MOVED])
def test_boxes_are_those_of_images_in_memory(
    photos: Path, streamed: ImageData, recipe: Recipe, share: Share, device: str
) -> None:
    """Each pixel says where it is from; a held one stands for 11 of 255 steps, a box for 80."""
    resident = load_dataset(str(photos), resolution=SIDE, pixels=True)
    mine, theirs = (batches(one, recipe, 0, share, device) for one in (streamed, resident))
    assert len(mine) == 3
    for one, other in zip(mine, theirs, strict=True):
        assert (one - other).abs().median() < 3
        assert (one - other).abs().mean() < 6


def test_what_is_skipped_changes_nothing(streamed: ImageData) -> None:
    whole = batches(streamed, MOVED)
    for skip in (1, 2):
        rest = batches(streamed, MOVED, skip)
        assert len(rest) == 3 - skip
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[skip:], strict=True))


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_fine_stripes_keep_their_frequency(tmp_path: Path, kind: str) -> None:
    """Stripes of 8 pixels are one of those held: grey there; a box as wide as N has N of them."""

    def stripes(width: int, height: int) -> NDArray[np.uint8]:
        wave = 127 + 100 * np.cos(np.arange(width) * 2 * np.pi / 8)
        return np.tile(wave[None, :, None], (height, 1, 3)).astype(np.uint8)

    folder = write(tmp_path / "stripes", stripes, kind, ((192, 192),))
    recipe = replace(CROPPED, crop=0.02)
    data = load_dataset(str(folder), resolution=SIDE, stream=True)
    made = batches_of(data, recipe, torch.device("cpu"))
    seed = torch.Generator().manual_seed(3)
    torch.randperm(4, generator=seed)
    assert made._augmented.boxing is not None  # type: ignore[attr-defined]
    boxes = made._augmented.boxing((4, 3, SIDE, SIDE), seed)  # type: ignore[attr-defined]
    held = load_dataset(str(folder), resolution=SIDE, pixels=True)
    seen = 0
    for image, width, blurred in zip(
        batches(data, recipe)[0], boxes.width.tolist(), batches(held, recipe)[0], strict=True
    ):
        if width > 9:
            continue  # more than its pixels can show
        seen += 1
        row = image[0].mean(0)
        spectrum = torch.fft.rfft((row - row.mean()) * torch.hann_window(SIDE)).abs()
        assert abs(int(spectrum.argmax()) - width) <= 1
        assert row.std() > 25
        assert blurred[0].mean(0).std() < 10
    assert seen


def test_a_box_that_is_large_is_decoded_small(tmp_path: Path) -> None:
    """And looks as it does when it is not."""
    folder = write(tmp_path / "large", places, "jpg", ((900, 700),))
    large = load_dataset(str(folder), resolution=SIDE, stream=True)
    folder = write(tmp_path / "same", places, "png", ((900, 700),))
    whole = load_dataset(str(folder), resolution=SIDE, stream=True)
    for one, other in zip(batches(large, CROPPED), batches(whole, CROPPED), strict=True):
        assert (one - other).abs().max() < 6
    assert large.encoded is not None
    image = large.encoded.parts["train"].decoded(0, "RGB", None, Cut(0, 0, 12, 12, 24).shrink)
    assert image.size == (
        113,
        88,
    )  # of the box 44 are left
    image = large.encoded.parts["train"].decoded(0, "RGB", None, Cut(0, 0, 1, 12, 24).shrink)
    assert image.size == (900, 700)


@pytest.mark.parametrize("size", [(24, 24), (7, 5), (1, 1), (480, 333), (25, 60)])
def test_a_cut_lies_in_the_image_and_has_a_pixel(size: tuple[int, int]) -> None:
    for top, left, height, width in [(0, 0, 24, 24), (23, 23, 1, 1), (5, 0, 3, 24), (1, 22, 9, 2)]:
        cut = Cut(top, left, height, width, 24)
        x0, y0, x1, y1 = cut.within(*size)
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]
        by = cut.shrink(*size)
        assert by == 1 or min(x1 - x0, y1 - y0) // by >= 23


def test_a_photo_that_lies_on_its_side_is_cut_upright(tmp_path: Path) -> None:
    folder = write(tmp_path / "upright", places, "jpg", ((300, 200),))
    turned = tmp_path / "turned"
    for path in sorted(folder.rglob("*.jpg")):
        place = turned / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned right
        lying = Image.open(path).transpose(Image.Transpose.ROTATE_90)
        lying.save(place, exif=exif, quality=95)
    one, other = (load_dataset(str(p), resolution=SIDE, stream=True) for p in (folder, turned))
    for mine, theirs in zip(batches(one, CROPPED), batches(other, CROPPED), strict=True):
        assert (mine - theirs).abs().max() < 6


def test_masks_are_cut_as_their_images(tmp_path: Path) -> None:
    """A pixel's grey is its class: they agree but at the edges."""
    rng = np.random.default_rng(0)
    for part in ("train", "val", "test"):
        for number in range(4):
            classes = np.kron(rng.integers(0, 5, (6, 8)), np.ones((24, 24))).astype(np.uint8)
            for kind, values in (("images", classes * 60), ("masks", classes)):
                place = tmp_path / "street" / kind / part
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(place / f"{number}.png")
    data = load_dataset(str(tmp_path / "street"), resolution=SIDE, stream=True)
    assert data.scale is not None
    recipe = replace(CROPPED, crop=0.2)
    ((images, masks),) = batches_of(data, recipe, torch.device("cpu")).epoch(0)
    found = ((images * data.scale.deviation + data.scale.mean) / 60).round()[:, 0]
    assert (found == masks).float().mean() > 0.85


def trainer_of(data: ImageData, recipe: Recipe = MOVED) -> Trainer:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(4, 2),
        )  # fmt: skip

    return Trainer(seeded_build(build, 0), data, recipe)


@pytest.fixture
def stopped(streamed: ImageData, tmp_path: Path) -> Path:
    """A training that was stopped after the second step of three."""
    cut, path = trainer_of(streamed), tmp_path / "checkpoint.pt"

    def after_step() -> None:
        if cut.step == 2:
            cut.save(path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.train_epoch(after_step)
    return path


def test_a_training_goes_on_within_an_epoch(streamed: ImageData, stopped: Path) -> None:
    again, whole = trainer_of(streamed), trainer_of(streamed)
    again.load(stopped)
    for trainer in (again, whole):
        while not trainer.done:
            trainer.train_epoch()
    mine, theirs = again.weights(), whole.weights()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_it_does_not_go_on_with_other_images(
    photos: Path, streamed: ImageData, stopped: Path
) -> None:
    resident = load_dataset(str(photos), resolution=SIDE)
    with pytest.raises(InputError, match="crop 'original', this training of 'held': accuracy.s"):
        trainer_of(resident).load(stopped)
    plain = trainer_of(streamed, replace(MOVED, crop=0.0)).state_dict()
    trainer_of(resident, replace(MOVED, crop=0.0)).load_state_dict(plain)  # the same images
    before = {name: value for name, value in plain.items() if name != "images"}
    trainer_of(resident, replace(MOVED, crop=0.0)).load_state_dict(before)  # of a version before
