"""Streamed: batches of images that are decoded when they are wanted are those kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from datasets_on_disk import WRITERS
from PIL import Image
from torch import Tensor, nn
from toy import invsearch, trial_lines

from invsearch.data import ImageData, Labelled, load_dataset
from invsearch.data import decode as decoding
from invsearch.data.decode import Decoder
from invsearch.data.stream import Encoded
from invsearch.errors import InputError
from invsearch.train import Recipe, Trainer, seeded_build
from invsearch.train.batches import Batches, Share, batches_of

CPU = torch.device("cpu")
ALONE = Share()
PLAIN = Recipe(batch_size=8)
RECIPES = {
    "plain": PLAIN,
    "moved": replace(PLAIN, augment=True, cutout=0.3),
    "mixed": replace(PLAIN, colour=0.4, randaugment=9, mixup=0.4, cutmix=1.0),
}


def write_photos(folder: Path, kind: str = "jpg") -> Path:
    """JPEGs of several sizes and proportions: 40 to train on, 12 and 12."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("val", 12), ("test", 12)):
        for number in range(count):
            place = folder / part / ("cat", "dog")[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            size = (*rng.integers(10, 30, 2), 3)
            pixels = rng.integers(0, 256, size, dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number:02}.{kind}")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def resident(photos: Path) -> ImageData:
    return load_dataset(str(photos), resolution=12)


@pytest.fixture(scope="module")
def streamed(photos: Path) -> ImageData:
    return load_dataset(str(photos), resolution=12, stream=True)


def same(
    one: Iterator[Tensor | tuple[Tensor, ...]], other: Iterator[Tensor | tuple[Tensor, ...]]
) -> bool:
    pairs = list(zip(one, other, strict=True))
    assert pairs
    return all(
        torch.equal(a, b)
        for mine, theirs in pairs
        for a, b in zip(
            *((x,) if isinstance(x, Tensor) else x for x in (mine, theirs)), strict=True
        )
    )


def both(
    resident: ImageData, streamed: ImageData, recipe: Recipe = PLAIN, share: Share = ALONE
) -> tuple[Batches, Batches]:
    return batches_of(resident, recipe, CPU, share), batches_of(streamed, recipe, CPU, share)


def test_what_is_known_of_the_set_is_the_same(resident: ImageData, streamed: ImageData) -> None:
    """And not one pixel is in memory."""
    assert resident.encoded is None
    assert streamed.encoded is not None
    for name in ("channels", "resolution", "num_classes", "classes", "mirrors", "dense", "name"):
        assert getattr(streamed, name) == getattr(resident, name)
    for name in ("train", "val", "test"):
        images = getattr(streamed, f"{name}_images")
        assert images.device.type == "meta"
        assert images.shape == getattr(resident, f"{name}_images").shape
        labels = getattr(streamed, f"{name}_labels")
        assert torch.equal(labels, getattr(resident, f"{name}_labels"))
    assert resident.normalisation is not None
    assert streamed.scale is not None
    assert streamed.scale.to_json() == resident.normalisation.to_json()


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("skip", [0, 3])
def test_batches_are_the_resident_ones_bit_for_bit(
    photos: Path, streamed: ImageData, recipe: Recipe, skip: int, pixels: bool
) -> None:
    resident = load_dataset(str(photos), resolution=12, pixels=pixels)
    mine, theirs = both(resident, streamed, recipe)
    assert mine.steps_per_epoch == theirs.steps_per_epoch == 5
    assert same(theirs.epoch(3, skip), mine.epoch(3, skip))
    assert same(theirs.plain(1, 6, 20), mine.plain(1, 6, 20))
    for part in ("val", "test"):
        assert same(theirs.judged(part), mine.judged(part))


def test_shares_are_the_resident_ones(resident: ImageData, streamed: ImageData) -> None:
    for rank in range(3):
        mine, theirs = both(resident, streamed, RECIPES["moved"], Share(rank, 3))
        assert same(theirs.epoch(2), mine.epoch(2))


@pytest.mark.parametrize("form", ["tables", "parquet", "tiny_imagenet", "image_masks"])
def test_every_format_of_encoded_images_streams(tmp_path: Path, form: str) -> None:
    path = str(WRITERS[form](tmp_path / "data"))
    recipe = replace(RECIPES["moved"], crop=0.3, batch_size=4)  # of images that are not resized
    mine, theirs = both(load_dataset(path), load_dataset(path, stream=True), recipe)
    assert same(theirs.epoch(0, 1), mine.epoch(0, 1))
    assert same(theirs.judged("val"), mine.judged("val"))


def trainer_of(data: ImageData) -> Trainer:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(4, 2),
        )  # fmt: skip

    return Trainer(seeded_build(build, 0), data, replace(RECIPES["moved"], epochs=2))


def weights_after(trainer: Trainer) -> tuple[dict[str, Tensor], float, float]:
    while not trainer.done:
        trainer.train_epoch()
    loss = trainer.evaluate()["val_loss"].value
    weights = trainer.weights()
    return weights, loss, trainer.test(weights)["test_loss"].value


def assert_same_network(one: Trainer, other: Trainer) -> None:
    mine, theirs = weights_after(one), weights_after(other)
    assert all(torch.equal(mine[0][name], theirs[0][name]) for name in mine[0])
    assert mine[1:] == theirs[1:]


def test_a_network_learns_the_same(resident: ImageData, streamed: ImageData) -> None:
    assert_same_network(trainer_of(resident), trainer_of(streamed))


def test_a_training_goes_on_within_an_epoch(
    resident: ImageData, streamed: ImageData, tmp_path: Path
) -> None:
    """Stopped after the third step of five, while the next batches were being decoded."""
    cut, path, steps = trainer_of(streamed), tmp_path / "checkpoint.pt", []

    def after_step() -> None:
        steps.append(len(steps))
        if len(steps) == 3:
            cut.save(path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.train_epoch(after_step)
    again = trainer_of(streamed)
    again.load(path)
    assert_same_network(trainer_of(resident), again)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_batches_are_the_resident_ones_on_a_gpu(
    photos: Path, streamed: ImageData, recipe: Recipe
) -> None:
    """Through pinned memory, while the batch before is still on its way."""
    resident = load_dataset(str(photos), resolution=12, pixels=True)
    mine, theirs = (batches_of(one, recipe, torch.device("cuda")) for one in (resident, streamed))
    assert same(theirs.epoch(3, 1), mine.epoch(3, 1))
    assert same(theirs.judged("val"), mine.judged("val"))


# what is decoded, and when


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images, as they are decoded."""
    names: list[str] = []
    into = Decoder.into

    def noted(self: Decoder, images: Labelled, row: int, *where: object) -> None:
        names.append(images.name(row))
        into(self, images, row, *where)  # type: ignore[arg-type]

    monkeypatch.setattr(Decoder, "into", noted)
    return names


def test_nothing_is_decoded_before_it_is_wanted_but_a_sample(
    photos: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "SAMPLE", 7)
    data = load_dataset(str(photos), resolution=12, stream=True, seed=1)
    assert len(decoded) == 7
    assert data.scale is not None
    whole = load_dataset(str(photos), resolution=12, pixels=True).scale
    assert whole is not None
    assert (data.scale.mean - whole.mean).abs().max() < 0.5 * float(whole.deviation.min())


def test_what_is_skipped_is_not_decoded(streamed: ImageData, decoded: list[str]) -> None:
    batches = batches_of(streamed, RECIPES["moved"], CPU)
    whole = list(batches.epoch(0))
    assert len(decoded) == 40
    decoded.clear()
    rest = list(batches.epoch(0, 4))
    assert len(decoded) == 8
    assert same(iter(whole[4:]), iter(rest))


def decoders() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("invsearch-decoder")]


def test_whoever_stops_early_leaves_nothing_running(
    streamed: ImageData, decoded: list[str]
) -> None:
    before = psutil.Process().children()
    epoch = batches_of(streamed, PLAIN, CPU).epoch(0)
    next(epoch)
    assert decoders()
    started = set(psutil.Process().children()) - set(before)
    assert not started, "threads alone: nothing outlives a killed process"
    epoch.close()  # type: ignore[attr-defined]
    assert not decoders()
    assert len(decoded) <= 3 * 8


def test_a_broken_image_is_named_when_it_is_met(tmp_path: Path) -> None:
    """The first of its batch, whichever thread was first."""
    folder = write_photos(tmp_path / "photos")
    data = load_dataset(str(folder), resolution=12, stream=True)
    assert data.encoded is not None
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist()
    names = [data.encoded.parts["train"].name(row) for row in order]
    for name in names[17:20]:
        Path(name).write_bytes(Path(name).read_bytes()[:200])
    found = []
    with pytest.raises(InputError) as caught:
        found.extend(batches_of(data, PLAIN, CPU).epoch(0))
    assert str(caught.value).startswith(f"{names[17]}: damaged image: ")
    assert "\n" not in str(caught.value)
    assert not decoders()


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError(), RuntimeError("decoder gone")])
def test_a_thread_that_dies_is_an_error_and_no_hang(
    streamed: ImageData, error: BaseException
) -> None:
    assert streamed.encoded is not None
    train = streamed.encoded.parts["train"]

    def picture(row: int) -> Image.Image:
        if row == 9:
            raise error
        return train.picture(row)

    encoded = Encoded(streamed.encoded.decoder, {"train": Labelled(train.labels, picture, str)})
    with pytest.raises(type(error)):
        list(encoded.decoded("train", [range(8), range(8, 16)]))
    assert not decoders()


# when images are streamed


@pytest.mark.parametrize(
    ("memory", "kept"), [(40_000, "encoded"), (50_000, "pixels"), (300_000, "normalised")]
)
def test_images_are_kept_as_memory_allows(
    photos: Path, monkeypatch: pytest.MonkeyPatch, memory: int, kept: str
) -> None:
    """52 images of 432 bytes are 22 kB, normalised five times that; half is theirs."""
    monkeypatch.setattr(decoding, "SAMPLE", 8)
    monkeypatch.setattr(decoding, "machine_memory", lambda: memory)
    data = load_dataset(str(photos), resolution=12, seed=memory)
    assert (data.encoded is not None) == (kept == "encoded")
    assert (data.train_images.dtype == torch.float32) == (kept == "normalised")
    assert (data.scale is None) == (kept == "normalised")


def test_what_is_in_memory_anyway_stays() -> None:
    assert load_dataset("digits", stream=True).encoded is None


def test_a_search_streams_and_finds_the_same(tmp_path: Path) -> None:
    """The same trial, to the last digit; a broken image is told by its name."""
    write_photos(tmp_path / "photos")

    def run(name: str, stream: str, code: int = 0) -> dict[str, Any]:
        (tmp_path / f"{name}.yaml").write_text(
            f"name: {name}\nobjectives: {{val_loss: minimize, macs: minimize}}\n"
            "model: {family: rednet, resolution: 32}\n"
            "space: {depth: 26, width: {choice: [0.5, 1.0]}}\n"
            f"accuracy: {{dataset: photos, stream: {stream}, epochs: 1, batch_size: 8,"
            " baselines: false, augment: true, proxy: {resolution: 8}}\n"
            "search: {strategy: random, trials: 1}\n"
        )
        result = invsearch(tmp_path, "run", f"{name}.yaml", "--executor", "serial")
        assert result.returncode == code, result.stderr
        return trial_lines(tmp_path / "results" / name)[0]

    mine, theirs = run("resident", "false"), run("streamed", "true")
    assert mine["metrics"] == theirs["metrics"]
    (tmp_path / "photos" / "train" / "cat" / "08.jpg").write_bytes(b"junk")
    broken = run("broken", "true", 1)
    assert broken["state"] == "failed"
    assert "cat/08.jpg: not a JPEG" in broken["error"]
