"""Decoders: what stands in ``accuracy.decoder`` decodes JPEG, and everything else is Pillow's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from invsearch.data import load_dataset
from invsearch.data.decoders import Jpeg, decoder_at_hand, jpeg_decoder
from invsearch.errors import InputError, NotHereError
from invsearch.plugins import DECODERS
from invsearch.train import Recipe, Trainer

OTHERS = [name for name in DECODERS if DECODERS.get(name, Jpeg).decode is not None]
ROUNDING = 3  # of 255 levels: of the transform and of the colours' conversion


@pytest.fixture(params=OTHERS)
def here(request: pytest.FixtureRequest) -> str:
    """A decoder that is not Pillow."""
    reason = DECODERS.get(request.param, Jpeg).missing()
    if reason is not None:
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd sizes; one grey JPEG, one of four inks, one PNG, one that lies on its side."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("photos")
    for part in ("train", "val", "test"):
        for number in range(8):
            small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize((61 + number, 47), Image.Resampling.BILINEAR)
            exif, kind = Image.Exif(), "png" if number == 4 else "jpg"
            if number == 5:
                exif[0x0112] = 6
            place = folder / part / "ab"[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            mode = {2: "L", 3: "CMYK"}.get(number, "RGB")
            image.convert(mode).save(place / f"{number}.{kind}", exif=exif)
    return folder


@pytest.mark.parametrize("stream", [False, True])
def test_all_decode_alike_but_for_rounding(here: str, photos: Path, stream: bool) -> None:
    wanted = {"resolution": 16, "pixels": True, "stream": stream}
    mine = load_dataset(str(photos), decoder=here, **wanted)  # type: ignore[arg-type]
    theirs = load_dataset(str(photos), decoder="pillow", **wanted)  # type: ignore[arg-type]
    assert mine.decoder == here
    for (one, _), (other, _) in zip(mine.batches("val", 8), theirs.batches("val", 8), strict=True):
        assert (one.int() - other.int()).abs().max() <= ROUNDING


def test_it_shrinks_no_more_than_is_asked_for(here: str, photos: Path) -> None:
    decode = DECODERS.get(here, Jpeg).decode
    assert decode is not None
    data = (photos / "train" / "a" / "0.jpg").read_bytes()
    for by in (1, 2, 4, 8):
        height, width = decode(data, "RGB", by).shape[:2]
        assert height >= 47 / by
        assert width >= 61 / by


def test_a_damaged_photo_is_named(here: str, photos: Path, tmp_path: Path) -> None:
    for path in sorted(photos.rglob("*.*")):
        place = tmp_path / path.relative_to(photos)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    broken = tmp_path / "train" / "a" / "6.jpg"
    broken.write_bytes(broken.read_bytes()[:-200])
    with pytest.raises(InputError) as caught:
        load_dataset(str(tmp_path), resolution=16, decoder=here)
    assert str(caught.value).startswith(f"{broken}: damaged image: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OTHERS)
def test_one_that_is_not_installed_is_one_line(name: str, photos: Path) -> None:
    if DECODERS.get(name, Jpeg).missing() is None:
        pytest.skip("it is installed")
    with pytest.raises(NotHereError, match=rf"^accuracy\.decoder {name}: .*pillow is") as caught:
        load_dataset(str(photos), resolution=16, decoder=name)
    assert "\n" not in str(caught.value)
    with pytest.raises(NotHereError):  # of no JPEG at all: a setting is never passed over
        load_dataset("digits", decoder=name)


def test_there_is_no_other() -> None:
    with pytest.raises(InputError, match="'pilow'.*pillow"):
        jpeg_decoder("pilow")
    assert decoder_at_hand("pilow") == "pillow"
    assert decoder_at_hand("auto") == "auto"


@pytest.fixture
def white() -> Iterator[list[str]]:
    """A row of one's own: every JPEG is white."""
    modes: list[str] = []

    def decode(data: bytes, mode: str, shrink: int) -> NDArray[np.uint8]:
        modes.append(mode)
        return np.full((47, 60) if mode == "L" else (47, 60, 3), 255, np.uint8)

    DECODERS.add("white", Jpeg("white", decode))
    yield modes
    DECODERS.remove("white")


def test_a_row_decodes_jpeg_and_nothing_else(white: list[str], photos: Path) -> None:
    data = load_dataset(str(photos), resolution=16, pixels=True, decoder="white")
    found = (data.val_images == 255).flatten(1).all(1)
    kept = load_dataset(str(photos), resolution=16, pixels=True)
    assert found.sum() < len(found), "the PNG, and four inks, are Pillow's"
    assert torch.equal(data.val_images[~found], kept.val_images[~found])
    assert set(white) == {"L", "RGB"}


def test_a_training_does_not_go_on_with_another() -> None:
    data = load_dataset("digits", data_fraction=0.1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    state = Trainer(model, data, Recipe()).state_dict()
    other = Trainer(model, replace(data, decoder="turbojpeg"), Recipe())
    with pytest.raises(InputError, match="decoder 'pillow', this training of 'turbojpeg'"):
        other.load_state_dict(state)
    del state["images"]  # a version before knew Pillow alone
    with pytest.raises(InputError, match=r"accuracy\.decoder"):
        other.load_state_dict(state)
