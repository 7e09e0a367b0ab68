"""Data sets: fixed splits, the images' own channels, and one clear line for what is missing."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from invsearch.data import ImageData, load_dataset, resolve_dataset
from invsearch.data.images import stratified_subset
from invsearch.errors import InputError


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, images: Sequence[object], labels: Sequence[object]) -> None:
    pq.write_table(pa.table({"image": list(images), "label": list(labels)}), path)


def picture(value: int, *, size: tuple[int, ...] = (4, 4, 3)) -> bytes:
    return encoded(np.full(size, value, dtype=np.uint8))


CUT_OFF = encoded(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))[:1000]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of each two training images of a class one is validated on."""
    write(tmp_path / "train.parquet", [picture(v) for v in (0, 10, 20, 30)], [0, 1, 0, 1])
    write(tmp_path / "test.parquet", [picture(v) for v in (15, 45)], [0, 1])
    return tmp_path


def test_digits_have_the_documented_split() -> None:
    data = load_dataset("digits")
    assert data.train_images.shape == (1297, 1, 8, 8)
    assert data.val_images.shape == (300, 1, 8, 8)
    assert data.test_images.shape == (200, 1, 8, 8)
    assert data.train_images.dtype == torch.float32
    assert data.train_labels.dtype == torch.int64
    assert (data.channels, data.resolution, data.num_classes) == (1, 8, 10)
    assert not data.mirrors
    val, train = data.val_labels.bincount(), data.train_labels.bincount()
    assert (val - (train + val) * 300 / 1597).abs().max() < 1


def test_digits_split_is_disjoint_and_independent_of_the_seed() -> None:
    data, other = load_dataset("digits"), load_dataset("digits", seed=5)
    assert torch.equal(data.val_images, other.val_images)
    assert torch.equal(data.train_images, other.train_images)
    everything = torch.cat([data.train_images, data.val_images, data.test_images]).flatten(1)
    assert len(everything.unique(dim=0)) == 1797


def test_the_test_set_is_another_file_and_decoded_when_asked_for(folder: Path) -> None:
    """A search, which never asks, does not even notice that it is broken."""
    data = load_dataset(str(folder), pixels=True)
    assert data.test_images[:, 0, 0, 0].tolist() == [15, 45]
    write(folder / "test.parquet", [b"junk", b"junk"], [0, 1])
    data = load_dataset(str(folder))
    with pytest.raises(InputError, match=r"test\.parquet: row 0: not a JPEG"):
        _ = data.test_images


def test_images_are_normalised_by_the_training_set() -> None:
    data = load_dataset("digits")
    assert data.train_images.mean().abs() < 1e-4
    assert (data.train_images.std() - 1).abs() < 1e-3
    assert data.val_images.mean().abs() > 1e-4


def test_resolution_resizes_both_sets() -> None:
    data = load_dataset("digits", resolution=12)
    assert data.train_images.shape[1:] == data.val_images.shape[1:] == (1, 12, 12)
    assert data.resolution == 12


def test_data_fraction_is_stratified_seeded_and_leaves_validation_alone() -> None:
    quarter = load_dataset("digits", data_fraction=0.25, seed=1)
    assert 320 <= len(quarter.train_labels) <= 329
    assert int(quarter.train_labels.bincount().min()) >= 30
    assert len(quarter.val_labels) == 300
    assert quarter.data_fraction == 0.25
    other = load_dataset("digits", data_fraction=0.25, seed=2)
    again = load_dataset("digits", data_fraction=0.25, seed=1)
    assert torch.equal(quarter.train_images, again.train_images)
    assert not torch.equal(quarter.train_labels, other.train_labels)


def test_a_subset_keeps_a_rare_class() -> None:
    labels = torch.tensor([0] * 99 + [1])
    assert 99 in stratified_subset(labels, 0.05, seed=0)


def test_parquet_folder_is_rgb_normalised_per_channel(folder: Path) -> None:
    data = load_dataset(str(folder))
    assert data.train_images.shape == data.val_images.shape == (2, 3, 4, 4)
    assert data.num_classes == 2
    assert data.mirrors
    assert data.val_labels.tolist() == data.test_labels.tolist() == [0, 1]
    assert torch.allclose(data.train_images.mean((0, 2, 3)), torch.zeros(3), atol=1e-6)


def test_grey_images_keep_their_one_channel(tmp_path: Path) -> None:
    images = [picture(v, size=(4, 4)) for v in (0, 200, 9, 99)]
    for file in ("train.parquet", "test.parquet"):
        write(tmp_path / file, images, [0, 1, 0, 1])
    assert load_dataset(str(tmp_path)).channels == 1


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_of_sixteen_bits_the_upper_eight_are_read(tmp_path: Path, ending: str) -> None:
    """As medical and microscopic images have them; Pillow alone would make nearly all white."""
    for number, value in enumerate((0, 5, 100, 255)):
        place = tmp_path / "train" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        deep = np.full((4, 4), 256 * value + 17, np.uint16)
        for copy in range(3):
            Image.fromarray(deep).save(place / f"{number}-{copy}.{ending}")
    data = load_dataset(str(tmp_path), pixels=True)
    assert data.channels == 1
    assert set(data.train_images.unique().tolist()) <= {0, 5, 100, 255}
    assert len(data.train_images.unique()) > 2


def test_pixels_that_are_no_levels_are_refused(tmp_path: Path) -> None:
    for name in ("a/1", "a/2", "b/1", "b/2"):
        path = tmp_path / "train" / f"{name}.tiff"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    with pytest.raises(InputError, match=r"1\.tiff: damaged image: pixels are floating-point"):
        load_dataset(str(tmp_path))
    Image.fromarray(np.full((4, 4), 1 << 20, np.int32)).save(tmp_path / "train/a/1.tiff")
    with pytest.raises(InputError, match=r"1\.tiff: damaged image: pixels are from 1048576 to"):
        load_dataset(str(tmp_path))


def test_a_palette_with_transparency_is_read_without_a_word(tmp_path: Path) -> None:
    """Warnings are errors here."""
    for name in ("a/1", "a/2", "a/3", "b/1", "b/2", "b/3"):
        path = tmp_path / "train" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colours = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8))
        colours.quantize(8).save(path, transparency=bytes([0, 90, 255]))
    assert load_dataset(str(tmp_path)).channels == 3


def test_images_in_structs_are_read_as_hugging_face_writes_them(folder: Path) -> None:
    images = [{"bytes": picture(v), "path": "a.png"} for v in (0, 9, 5, 7)]
    write(folder / "train.parquet", images, [0, 1, 0, 1])
    assert load_dataset(str(folder)).train_images.shape == (2, 3, 4, 4)


def test_images_of_several_sizes_need_a_resolution(folder: Path) -> None:
    images = [picture(0), picture(9, size=(6, 5, 3)), picture(5), picture(7, size=(6, 5, 3))]
    write(folder / "train.parquet", images, [0, 1, 0, 1])
    with pytest.raises(InputError, match=r"row [13]: the image is 5 x 6, not 4 x 4; give a res"):
        load_dataset(str(folder))
    assert load_dataset(str(folder), resolution=8).train_images.shape == (2, 3, 8, 8)


def test_a_loaded_set_is_kept(folder: Path) -> None:
    first: ImageData = load_dataset(str(folder))
    assert load_dataset(str(folder)) is first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digts", "data set 'digts' not found.*did you mean 'digits'"),
        ("no/such/folder", "data set 'no/such/folder' not found.*known data sets are digits"),
    ],
)
def test_unknown_data_set_is_one_line(name: str, message: str) -> None:
    for find in (load_dataset, resolve_dataset):
        with pytest.raises(InputError, match=message) as caught:
            find(name)
        assert "\n" not in str(caught.value)


def test_a_folder_without_both_files_is_refused(folder: Path) -> None:
    (folder / "test.parquet").unlink()
    with pytest.raises(InputError, match=r"has no file test\.parquet"):
        resolve_dataset(str(folder))


def test_shards_as_hugging_face_writes_them(tmp_path: Path) -> None:
    """In their order, in the folder ``data``; a broken row is named in its shard."""
    place = tmp_path / "data"
    place.mkdir()
    for part, values in (("train", (0, 10, 20, 30, 40, 50)), ("validation", (5, 15, 25, 35))):
        for shard, pair in enumerate(zip(values[::2], values[1::2], strict=True)):
            of = f"{shard:05}-of-{len(values) // 2:05}"
            images = [{"bytes": picture(value), "path": None} for value in pair]
            write(place / f"{part}-{of}.parquet", images, [0, 1])
    data = load_dataset(str(tmp_path), pixels=True)
    assert data.train_images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert data.train_labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert sorted([*data.val_images[:, 0, 0, 0].tolist(), *data.test_images[:, 0, 0, 0].tolist()]
                  ) == [5, 15, 25, 35]  # fmt: skip
    write(place / "train-00001-of-00003.parquet", [{"bytes": picture(1)}, {"bytes": b"x"}], [0, 1])
    with pytest.raises(InputError, match=r"train-00001-of-00003\.parquet: row 1: not a JPEG"):
        load_dataset(str(tmp_path), seed=1)


def test_resolve_gives_an_absolute_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert resolve_dataset(folder.name) == str(folder.resolve())
    assert resolve_dataset("digits") == "digits"


def test_cifar10_without_its_variable_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVSEARCH_SHARED", raising=False)
    with pytest.raises(InputError, match="INVSEARCH_SHARED is not set"):
        load_dataset("cifar10")


def test_cifar10_is_looked_for_in_the_shared_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = folder / "shared"
    (shared / "data").mkdir(parents=True)
    monkeypatch.setenv("INVSEARCH_SHARED", str(shared))
    with pytest.raises(InputError, match="cifar10 is not a folder"):
        resolve_dataset("cifar10")
    (shared / "data" / "cifar10").symlink_to(folder)
    assert resolve_dataset("cifar10") == "cifar10"
    assert load_dataset("cifar10").name == "cifar10"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ([picture(0)], ["a"], "'label' holds string"),
        ([picture(0)], [-1], "label -1 is negative"),
        ([picture(0), picture(1)], [0, None], "'label' holds int64"),
        (["text"], [0], "'image' holds string"),
        ([b"junk"], [0], "row 0: not a JPEG or PNG"),
        ([CUT_OFF], [0], "row 0: damaged image"),
        ([picture(0), None], [0, 0], "row 1: not a JPEG or PNG"),
        ([picture(0)], [0], r"test\.parquet: label 1 does not occur in train\.parquet"),
    ],
)
def test_unusable_rows_are_named(
    folder: Path, images: Sequence[object], labels: Sequence[object], message: str
) -> None:
    write(folder / "train.parquet", images, labels)
    if "test" not in message:
        write(folder / "test.parquet", [picture(0)], [0])
    with pytest.raises(InputError, match=message):
        load_dataset(str(folder))


def test_unusable_files_are_named(folder: Path) -> None:
    pq.write_table(pa.table({"img": [b""], "label": [0]}), folder / "test.parquet")
    with pytest.raises(InputError, match="no column 'image'.*it has img, label"):
        load_dataset(str(folder))
    empty = pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int8())})
    pq.write_table(empty, folder / "test.parquet")
    with pytest.raises(InputError, match="holds no images"):
        load_dataset(str(folder))
    (folder / "test.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        load_dataset(str(folder))


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="data_fraction"):
        load_dataset("digits", data_fraction=fraction)


def test_a_resolution_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="resolution 0"):
        load_dataset("digits", resolution=0)


def test_pixels_and_their_scale_are_the_normalised_images(folder: Path) -> None:
    data, pixels = load_dataset(str(folder)), load_dataset(str(folder), pixels=True)
    assert pixels.train_images.dtype == pixels.val_images.dtype == torch.uint8
    assert pixels.scale is not None
    assert data.scale is None
    assert torch.equal(pixels.scale(pixels.train_images), data.train_images)
    assert torch.equal(pixels.scale(pixels.val_images), data.val_images)
