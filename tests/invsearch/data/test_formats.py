"""What is broken, empty, out of range, missing or pickled is one line that names it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets_on_disk import write_arrays, write_cifar, write_idx, write_images, write_table
from PIL import Image
from toy import invsearch, one_line

from invsearch.data import load_dataset, resolve_dataset
from invsearch.data.check import check_dataset
from invsearch.data.fashion_mnist import FILE, convert
from invsearch.data.formats.arrays import read
from invsearch.data.formats.files import image_files
from invsearch.errors import InputError


def refusal(name: object, **wanted: object) -> str:
    with pytest.raises(InputError) as caught:
        _ = load_dataset(str(name), **wanted).test_images  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_images(tmp_path / "photos")


def test_classes_are_sorted_folders_and_parts_are_as_given(photos: Path) -> None:
    data = load_dataset(str(photos))
    assert data.classes == tuple(sorted(f"class{number}" for number in range(10)))
    assert len(data.train_labels) == len(data.val_labels) == len(data.test_labels) == 80
    (photos / "train" / "class3" / "notes.txt").write_text("no image")
    (photos / "train" / "class3" / ".hidden.png").write_text("no image")
    (photos / "train" / ".cache").mkdir()
    assert len(load_dataset(str(photos), seed=1).train_labels) == 80


def test_images_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    """What is split off follows from the order: it must be that of every version before."""
    names = [
        "a-b.png",
        "a/b.png",
        "a/B.PNG",
        "a/b-c.png",
        "a b/c.png",
        "a.png",
        "é/x.jpg",
        "Z.jpeg",
    ]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / ".png").write_bytes(b"")
    (tmp_path / "png").write_bytes(b"")
    assert image_files(tmp_path) == [str(one) for one in sorted(tmp_path / name for name in names)]


def test_without_test_half_of_val_is_kept_aside_and_without_val_a_tenth(tmp_path: Path) -> None:
    """Always the same images, and every class in its share."""
    two = write_images(tmp_path / "two", ("train", "val"))
    data = load_dataset(str(two))
    assert len(data.train_labels) == 80
    assert data.val_labels.bincount().tolist() == data.test_labels.bincount().tolist() == [4] * 10
    one = write_images(tmp_path / "one", ("train",))
    data = load_dataset(str(one))
    assert data.val_labels.bincount().tolist() == data.test_labels.bincount().tolist() == [1] * 10
    assert len(data.train_labels) == 60
    bare = load_dataset(str(one / "train"))
    assert torch.equal(bare.train_images, data.train_images)


def test_images_that_are_not_square_are_cropped_to_the_middle(photos: Path) -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = 200
    Image.fromarray(wide).save(photos / "train" / "class0" / "0.png")
    data = load_dataset(str(photos), resolution=8, pixels=True)
    assert (data.train_images[0] == 200).all()


def test_a_photo_is_turned_as_its_camera_says(photos: Path) -> None:
    """Orientation 6: its left is up."""
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:, :4] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(photos / "train" / "class0" / "0.png", exif=exif)
    data = load_dataset(str(photos), pixels=True)
    assert (data.train_images[0, :, :4] == 200).all()
    assert (data.train_images[0, :, 4:] == 0).all()


def break_image(photos: Path) -> str:
    (photos / "train" / "class3" / "3.png").write_bytes(b"junk")
    return r"train/class3/3\.png: not a JPEG or PNG"


def cut_image(photos: Path) -> str:
    path = photos / "val" / "class4" / "4.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:120])
    return r"val/class4/4\.png: damaged image"


def empty_class(photos: Path) -> str:
    (photos / "train" / "zebra").mkdir()
    return r"train/zebra: the class 'zebra' holds no image"


def class_missing_in_val(photos: Path) -> str:
    (photos / "val" / "class7").rename(photos / "elsewhere")
    return r"class 'class7' has no image in val"


def class_missing_in_train(photos: Path) -> str:
    (photos / "test" / "class7").rename(photos / "test" / "klass7")
    return r"test/klass7: the class 'klass7' is not in train.*'class7'"


def no_classes(photos: Path) -> str:
    for path in list((photos / "val").iterdir()):
        path.rename(photos / path.name)
    return r"val: holds no folder of a class"


@pytest.mark.parametrize(
    "spoil",
    [
        *(break_image, cut_image, empty_class),
        *(class_missing_in_val, class_missing_in_train, no_classes),
    ],
)
def test_a_spoilt_folder_of_images(photos: Path, spoil: object) -> None:
    import re

    pattern = spoil(photos)  # type: ignore[operator]
    line = refusal(photos, resolution=8)
    assert re.search(pattern, line), line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.png,0\n", "no column 'path'; it has file, label"),
        ("path,label\nnone.png,cat\n", ":2: there is no file 'none.png'"),
        ("path,label\na.png,\n", ":2: has no label"),
        ("path,label\na.png,-1\na.png,0\n", ":2: label -1 is negative"),
        ("path,label\na.png,0\na.png,900\n", "label 900 is out of range"),
        ("path,label,split\na.png,cat,trian\n", ":2: the split 'trian' is none of"),
        ("path,label,split\na.png,cat,train\na.png,cow,val\n", ":3: the label 'cow' is not in tr"),
        ("path,label,split\na.png,cat,val\n", "no line is of the split train"),
        ("path,label\na.png,cat\n", "class 'cat' has too few images"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text(text)
    line = refusal(tmp_path / "t.csv")
    assert message in line
    assert "t.csv" in line


def test_labels_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    """10 comes after 9, and 07 is 7."""
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    lines = [f"a.png,{label:02}" for label in range(11) for _ in range(4)]
    (tmp_path / "t.csv").write_text("path,label\n" + "\n".join(lines))
    data = load_dataset(str(tmp_path / "t.csv"))
    assert data.classes == tuple(str(label) for label in range(11))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train_images": np.zeros((4, 8, 8), np.uint8)}, "no array 'train_labels'"),
        ({"train_images": np.zeros((4, 8, 8)), "train_labels": np.arange(4)}, "float64"),
        (
            {"train_images": np.zeros((4, 8, 8), np.uint8), "train_labels": np.arange(3)},
            r"not integers of shape (4,)",
        ),
        (
            {
                "train_images": np.zeros((4, 8, 8), np.uint8),
                "train_labels": np.array([0, 1, 2, -1]),
            },
            "label -1 is out of range",
        ),
        (
            {"train_images": np.zeros((2, 8, 8), np.uint8), "train_labels": np.array([0, 10**9])},
            "label 1000000000 is out of range",
        ),
    ],
)
def test_arrays_that_cannot_be_used(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in refusal(tmp_path / "a.npz")


class Trap:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """CIFAR's Python version, a pickle by its name, and objects in a file of arrays."""
    trap = tmp_path / "sprung"
    data = pickle.dumps(Trap(trap))
    cifar = tmp_path / "cifar-10-batches-py"
    cifar.mkdir()
    (cifar / "data_batch_1").write_bytes(data)
    (tmp_path / "data.pkl").write_bytes(data)
    np.savez(
        tmp_path / "a.npz",
        train_images=np.array([Trap(trap)], dtype=object),
        train_labels=np.array([0]),
    )
    for path in (cifar, tmp_path, tmp_path / "data.pkl"):
        for find in (resolve_dataset, load_dataset):
            with pytest.raises(InputError, match=r"pickles, which run any code.*binary version"):
                find(str(path))
    assert "without pickles" in refusal(tmp_path / "a.npz")
    assert not trap.exists()


def test_a_cut_off_binary_file_is_named(tmp_path: Path) -> None:
    folder = write_cifar(tmp_path / "cifar")
    file = folder / "cifar-10-batches-bin" / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-5])
    assert "data_batch_3.bin: 61,455 bytes are no whole number" in refusal(folder)
    file.unlink()
    assert "has no file data_batch_3.bin" in refusal(folder)


def test_a_cut_off_idx_file_is_named(tmp_path: Path) -> None:
    folder = write_idx(tmp_path / "mnist")
    file = folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-50])
    assert "train-images-idx3-ubyte.gz: cannot be read as idx" in refusal(folder)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_decoded(photos: Path) -> None:
    assert "give a smaller resolution or a data_fraction" in refusal(photos, resolution=300_000)


def test_a_wrong_path_and_a_folder_of_nothing(tmp_path: Path) -> None:
    assert "no/where is not a folder or file" in refusal("no/where")
    (tmp_path / "empty").mkdir()
    assert "nor other labelled images" in refusal(tmp_path / "empty")


def test_a_named_set_in_a_folder(tmp_path: Path) -> None:
    folder = write_cifar(tmp_path / "here")
    assert load_dataset("cifar10", folder=folder).name == "cifar10"
    assert resolve_dataset("cifar10", folder) == "cifar10"
    many = {
        "train_images": np.zeros((300, 8, 8), np.uint8),
        "train_labels": np.arange(300) % 20,
    }
    np.savez(tmp_path / "a.npz", **many)
    with pytest.raises(InputError, match="20 classes, and cifar10 has 10: it is another data set"):
        load_dataset("cifar10", folder=tmp_path / "a.npz")
    with pytest.raises(InputError, match="a folder goes with a named data set"):
        resolve_dataset(str(folder), folder)
    with pytest.raises(InputError, match="there is no folder or file"):
        resolve_dataset("imagenet", tmp_path / "none")


FUNCTIONS = """
import numpy as np

def good():
    labels = np.arange(80) % 4
    images = (labels[:, None, None] * 60 + np.arange(64).reshape(8, 8)).astype(np.uint8)
    images = images + np.arange(80, dtype=np.uint8)[:, None, None] % 7
    return {"train_images": images, "train_labels": labels}

def raises():
    raise RuntimeError("no disk")

def returns():
    return [1, 2]

value = 3
"""


def test_a_function_is_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_for_test.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    data = load_dataset("mine_for_test:good")
    assert (data.num_classes, data.channels, data.resolution) == (4, 1, 8)
    assert len(data.test_labels) == 8
    for name, message in (
        ("raises", "raised RuntimeError: no disk"),
        ("returns", "returned list, not a dict of arrays"),
        ("value", "is no function but int"),
        ("absent", "cannot be imported: AttributeError"),
    ):
        assert message in refusal(f"mine_for_test:{name}")
    assert "cannot be imported: ModuleNotFoundError" in refusal("no_such_module:load")


def test_a_search_and_its_workers_import_a_function_beside_the_space(tmp_path: Path) -> None:
    (tmp_path / "at").mkdir()
    (tmp_path / "at" / "mine_for_search.py").write_text(FUNCTIONS)
    (tmp_path / "at" / "s.yaml").write_text(
        "name: small\nobjectives: {val_loss: minimize, macs: minimize}\n"
        "model: {family: rednet, resolution: 32}\n"
        "space: {width: 0.5, stage: {blocks: 1, operator: convolution, kernel_size: {choice: "
        "[1, 3]}}}\n"
        "accuracy: {dataset: 'mine_for_search:good', epochs: 1, batch_size: 8, baselines: false}\n"
        "search: {strategy: random, trials: 1}\n"
    )
    done = invsearch(tmp_path, "run", "at/s.yaml", "--executor", "serial")
    assert done.returncode == 0, done.stderr


def test_check_finds_every_broken_image_and_says_sizes_and_classes(photos: Path) -> None:
    (photos / "train" / "class3" / "3.png").write_bytes(b"junk")
    (photos / "test" / "class5" / "5.png").write_bytes(b"junk")
    Image.new("RGB", (30, 20)).save(photos / "val" / "class0" / "0.png")
    found = check_dataset(str(photos))
    assert not found.sound
    assert [len(part.broken) for part in found.parts.values()] == [1, 0, 1]
    assert found.parts["val"].sizes == {(8, 8): 79, (30, 20): 1}
    assert found.parts["train"].per_class == (8,) * 10
    done = invsearch(photos.parent, "data", "check", "photos")
    assert done.returncode == 1
    assert "train/class3/3.png: not a JPEG or PNG" in done.stdout
    assert "val: 80 images, 8 of a class, 8 x 8 to 30 x 20 px, RGB" in done.stdout


def test_check_says_that_a_sound_set_is_and_refuses_what_is_none(tmp_path: Path) -> None:
    assert check_dataset(str(write_arrays(tmp_path / "arrays"))).lines()[-1] == "sound"
    assert check_dataset(str(write_table(tmp_path / "table"))).sound
    line = one_line(invsearch(tmp_path, "data", "check", "nowhere"))
    assert "nowhere is not a folder or file" in line


def test_the_embedded_file_is_what_the_tool_makes(tmp_path: Path) -> None:
    """On files of the published shape: a thousand of each class, halved by the mean of four."""
    import struct
    from gzip import compress

    rng = np.random.default_rng(0)
    for part, count in (("train", 10_100), ("t10k", 50)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(
            compress(header + images.tobytes(), 1)
        )
        header = bytes([0, 0, 8, 1]) + struct.pack(">I", count)
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(compress(header + labels.tobytes()))
    for name in ("a.npz", "b.npz"):
        convert(tmp_path, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    made, shipped = read(tmp_path / "a.npz"), read(FILE)
    assert made.keys() == shipped.keys()
    assert np.bincount(made["train_labels"]).tolist() == [1000] * 10
    assert np.bincount(shipped["train_labels"]).tolist() == [1000] * 10
    assert shipped["test_images"].shape == (10_000, 14, 14)
    exact = images[0, :2, :2].astype(float).mean()
    assert abs(float(made["test_images"][0, 0, 0]) - exact) <= 0.5
