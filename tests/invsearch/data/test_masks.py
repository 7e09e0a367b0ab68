"""Images and masks: read together, resized together, and every mistake named in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets_on_disk import MASK_CLASSES, write_masks
from PIL import Image, ImageOps
from PIL.Image import Resampling

from invsearch.data import DATASETS, IGNORED, Dataset, ImageData, load_dataset
from invsearch.data.check import check_dataset
from invsearch.errors import InputError


@pytest.fixture
def street(tmp_path: Path) -> Path:
    return write_masks(tmp_path / "street")


def test_every_pixel_keeps_its_class(tmp_path: Path) -> None:
    data = load_dataset(str(write_masks(tmp_path / "street", size=(8, 8))), pixels=True)
    assert data.dense
    assert (data.num_classes, data.classes) == (MASK_CLASSES, ("0", "1", "2", "3"))
    for images, masks in (
        (data.train_images, data.train_labels),
        (data.val_images, data.val_labels),
        (data.test_images, data.test_labels),
    ):
        assert masks.dtype == torch.uint8
        assert masks.shape == (10, 8, 8)
        assert images.shape == (10, 3, 8, 8)
        red = torch.where(masks == IGNORED, 200, masks.long() * 60)
        assert torch.equal(images[:, 0].long(), red)
    assert data.scale is not None
    plain = load_dataset(str(tmp_path / "street"))
    assert torch.equal(plain.train_images, data.scale(data.train_images))
    assert torch.equal(plain.train_labels, data.train_labels)


def test_image_and_mask_are_cut_to_one_square_and_a_mask_takes_the_nearest(street: Path) -> None:
    """Pillow's own of both, in one box; no class is ever made up between two."""
    data = load_dataset(str(street), resolution=5, pixels=True)
    for number in range(10):
        for part, images, how in (
            ("images", data.train_images, Resampling.BILINEAR),
            ("masks", data.train_labels, Resampling.NEAREST),
        ):
            whole = Image.open(street / part / "train" / f"{number}.png")
            cut = np.asarray(ImageOps.fit(whole, (5, 5), method=how))
            mine = images[number].movedim(0, -1) if images.ndim == 4 else images[number]
            assert np.array_equal(mine.numpy(), cut)
    assert set(data.train_labels.unique().tolist()) <= {*range(MASK_CLASSES), IGNORED}


def test_what_is_missing_is_split_off(tmp_path: Path) -> None:
    data = load_dataset(str(write_masks(tmp_path / "one", ("train",))), resolution=8)
    assert [len(one) for one in (data.train_labels, data.val_labels, data.test_labels)] == [8, 1, 1]
    assert data.val_labels.shape == (1, 8, 8)
    data = load_dataset(str(write_masks(tmp_path / "two", ("train", "val"))), resolution=8)
    assert [len(one) for one in (data.train_labels, data.val_labels, data.test_labels)] == [
        *(10, 5, 5)
    ]
    half = load_dataset(str(tmp_path / "two"), resolution=8, data_fraction=0.5)
    assert len(half.train_labels) == 5
    assert torch.equal(half.val_labels, data.val_labels)


def test_classes_have_names(street: Path) -> None:
    """A class may be there by name and be in no picture."""
    (street / "classes.txt").write_text("road\ncar\n\ntree\nsky\nboat\n", encoding="utf-8")
    assert load_dataset(str(street), resolution=8).classes == ("road", "car", "tree", "sky", "boat")
    found = check_dataset(str(street))
    assert found.sound
    assert found.parts["train"].per_class == (10, 10, 10, 10, 0)


def test_a_palette_s_numbers_are_the_classes(street: Path) -> None:
    """As PASCAL VOC has them."""
    before = load_dataset(str(street), resolution=8).train_labels
    for path in (street / "masks" / "train").iterdir():
        mask = Image.open(path).copy()
        mask.putpalette([value for number in range(256) for value in (number, 7, 255 - number)])
        assert mask.mode == "P"
        mask.save(path)
    after = load_dataset(str(street), resolution=8, seed=1).train_labels
    assert torch.equal(before, after)


def wrong_size(street: Path) -> str:
    Image.new("L", (8, 12)).save(street / "masks" / "val" / "3.png")
    return r"masks/val/3\.png: the mask is 8 x 12, its image 12 x 8$"


def no_mask(street: Path) -> str:
    (street / "masks" / "train" / "4.png").unlink()
    return r"images/train/4\.png: the image has no mask .*masks/train/4\.png$"


def out_of_range(street: Path) -> str:
    (street / "classes.txt").write_text("a\nb\nc\nd\n")
    mask = np.zeros((8, 12), np.uint8)
    mask[2, 5] = 9
    Image.fromarray(mask).save(street / "masks" / "train" / "0.png")
    return r"masks/train/0\.png: the pixel at x 5, y 2 has the value 9, .*0 to 3, and 255"


def deep(street: Path) -> str:
    Image.fromarray(np.full((8, 12), 300, np.uint16)).save(street / "masks" / "train" / "0.png")
    return r"masks/train/0\.png: the pixel at x 0, y 0 has the value 300"


def coloured(street: Path) -> str:
    Image.new("RGB", (12, 8)).save(street / "masks" / "train" / "2.png")
    return r"masks/train/2\.png: the mask is of mode RGB, colours"


def broken(street: Path) -> str:
    (street / "masks" / "train" / "5.png").write_bytes(b"junk")
    return r"masks/train/5\.png: not a JPEG or PNG"


def broken_image(street: Path) -> str:
    path = street / "images" / "train" / "5.png"
    path.write_bytes(path.read_bytes()[:60])
    return r"images/train/5\.png: damaged image"


def no_images(street: Path) -> str:
    for path in (street / "images" / "val").iterdir():
        path.unlink()
    return r"images/val: holds no image$"


def no_class(street: Path) -> str:
    for path in (street / "masks" / "train").iterdir():
        Image.new("L", (12, 8), IGNORED).save(path)
    return r"masks/train: no pixel has a class"


def misnamed(street: Path) -> str:
    (street / "images" / "train").rename(street / "images" / "training")
    return r"street has no folder images/train$"


def twice(street: Path) -> str:
    (street / "classes.txt").write_text("road\nroad\n")
    return r"classes\.txt: the class 'road' stands there twice"


SPOILT = [
    *(wrong_size, no_mask, out_of_range, deep, coloured, broken, broken_image, no_images),
    *(no_class, misnamed, twice),
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_folder_is_one_line(street: Path, spoil: Callable[[Path], str]) -> None:
    pattern = spoil(street)
    with pytest.raises(InputError) as caught:
        load_dataset(str(street), resolution=8)
    assert re.search(pattern, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spoil", [wrong_size, deep, coloured, broken, broken_image])
def test_check_names_every_broken_file(street: Path, spoil: Callable[[Path], str]) -> None:
    pattern = spoil(street)
    assert not check_dataset(str(street)).sound
    lines = [one for part in check_dataset(str(street)).parts.values() for one in part.broken]
    assert len(lines) == 1
    assert re.search(pattern, lines[0])


def test_a_package_s_set_with_masks_gets_a_test_set() -> None:
    """Half of its validation images, whatever classes they show."""
    images, masks = torch.randn(12, 1, 4, 4), torch.randint(0, 3, (12, 4, 4)).to(torch.uint8)
    one = ImageData(images, masks, images[:7], masks[:7], num_classes=3, name="own")
    DATASETS.add("own_masks", Dataset(lambda wanted: one))
    try:
        data = load_dataset("own_masks")
    finally:
        DATASETS.remove("own_masks")
    assert (len(data.val_images), len(data.test_images)) == (3, 4)
    assert data.val_labels.shape[1:] == data.test_labels.shape[1:] == (4, 4)
    together = torch.cat([data.val_images, data.test_images]).flatten(1).sum(1).sort().values
    assert torch.equal(together, images[:7].flatten(1).sum(1).sort().values)
