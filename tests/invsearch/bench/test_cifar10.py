"""The CIFAR-10 study: its order, its budget, what it concludes, and a whole run on few images."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from invsearch.bench import cifar10
from invsearch.bench.cifar10 import Queue, Study, fit_epochs
from invsearch.bench.cifar10.data import Images, decode
from invsearch.bench.cifar10.plan import StudySetting, Training, ordered
from invsearch.bench.cifar10.summary import summarised


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 in small: 200 images to train, 40 to test."""
    folder, random = tmp_path_factory.mktemp("source"), np.random.default_rng(0)
    for name, number in (("train", 200), ("test", 40)):
        images = []
        for _ in range(number):
            buffer = io.BytesIO()
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(buffer, "JPEG")
            images.append(buffer.getvalue())
        labels = [row % 10 for row in range(number)]
        pq.write_table(pa.table({"image": images, "label": labels}), folder / f"{name}.parquet")
    return folder


def record(family: str, seed: int, hits: list[bool], **more: Any) -> dict[str, Any]:
    training = Training(family, 26, seed)
    error = 100 * (1 - sum(hits) / len(hits))
    judged = {"images": len(hits), "loss": 1.0, "error": error}
    return {
        **{"network": training.network, "family": family, "depth": 26, "seed": seed},
        **{"params": 10, "macs": 10, "images_per_s": 1.0, "seconds": 2.0},
        **{"peak_memory_bytes": 1, "val": judged, "test": judged},
        "test_hits": base64.b64encode(np.packbits(hits).tobytes()).decode(),
        **more,
    }


def test_a_seed_of_every_network_comes_before_the_next() -> None:
    plan = ordered(["rednet", "resnet"], [26, 50], 2)
    assert [training.name for training in plan[:4]] == [
        *("RedNet-50, seed 0", "ResNet-50, seed 0", "RedNet-26, seed 0", "ResNet-26, seed 0"),
    ]
    assert {training.seed for training in plan[4:]} == {1}


def test_stage_one_is_at_sixteen_pixels_and_the_widths_are_the_papers() -> None:
    spec = StudySetting().spec(Training("rednet", 50, 0))
    assert (spec.stem.stride, spec.stem.pool, spec.stem.channels) == (2, False, 64)
    assert [stage.width for stage in spec.stages] == [64, 128, 256, 512]


def test_the_split_is_stratified_and_disjoint(source: Path, tmp_path: Path) -> None:
    assert decode(source, tmp_path) == {"train": 180, "val": 20, "test": 40}
    images = Images.open(tmp_path)
    assert images.data.val_labels.bincount().tolist() == [2] * 10
    everything = np.concatenate([images.data.train_images, images.data.val_images])
    assert len(np.unique(everything.reshape(200, -1), axis=0)) == 200


def test_a_pair_is_compared_image_by_image_over_its_common_seeds() -> None:
    records = [
        record("rednet", 0, [True, True, True, False], macs=7),
        record("resnet", 0, [True, False, True, False]),
        record("rednet", 1, [True] * 4, macs=7),
    ]
    summary = summarised(records)
    (pair,) = summary["pairs"]
    difference = pair["error_difference"]
    assert pair["seeds"] == [0]
    assert difference["mean"] == -25
    assert difference["over_images"] == pytest.approx([-25 - 49, -25 + 49], abs=0.01)
    assert difference["over_seeds"] is None
    assert "RedNet-26 errs -25.00 points against ResNet-26" in pair["statement"]
    assert "at 70% of the MACs" in pair["statement"]
    assert summary["networks"][0]["test_error"]["n"] == 2


def study(tmp_path: Path, *, seconds: float = 100.0) -> Study:
    found = Study(
        StudySetting(epochs=10, batch_size=100, device="cuda"),
        ordered(["rednet", "resnet"], [26, 50], 1),
        2,
        seconds,
        tmp_path / "c.json",
        together=1.0,
        images={"train": 1000, "val": 10, "test": 10},
    )
    for depth, step_ms in ((26, 50), (50, 200)):
        for family in ("RedNet", "ResNet"):
            row = {"network": f"{family}-{depth}", "step_ms": step_ms, "graphs": False}
            found.timings.append({**row, "images_per_s": 1.0})
    return found


def test_a_training_whose_pair_does_not_fit_is_left_out_with_its_partner(tmp_path: Path) -> None:
    found = study(tmp_path, seconds=30)
    trainings = Queue(found)
    first = trainings.take()
    assert first == Training("rednet", 26, 0), "two of depth 50 take 50 s"
    assert trainings.take() == Training("resnet", 26, 0)
    assert trainings.take() is None
    assert set(found.unfinished) == {"RedNet-50, seed 0", "ResNet-50, seed 0"}
    assert "left out: takes about 50 s, 30 s left" in found.notes[0]


def test_a_failed_training_is_tried_once_more_and_then_named(tmp_path: Path) -> None:
    found = study(tmp_path)
    found.setting = StudySetting(graphs=True, epochs=10, batch_size=100)
    trainings = Queue(found)
    training = trainings.take()
    assert training is not None
    assert trainings.request(training, tmp_path)["setting"]["graphs"]
    trainings.failed(training, "no memory")
    assert trainings.take() == training
    assert not trainings.request(training, tmp_path)["setting"]["graphs"]
    trainings.failed(training, "no memory again")
    assert found.unfinished[training.name]["reason"] == "no memory again"
    assert trainings.take() != training


def test_epochs_are_lowered_until_all_fits(tmp_path: Path) -> None:
    found = study(tmp_path, seconds=40)
    fit_epochs(found, 2)
    assert found.setting.epochs == 4
    assert "4 epochs instead of 10" in found.notes[0]


def test_without_data_nothing_is_written(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "c.json"
    arguments = ["--data", str(tmp_path), "--device", "cpu", "--depths", "26", "-o", str(path)]
    assert cifar10.main(arguments) == 2
    assert "has no file train.parquet" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.slow
def test_a_whole_run_survives_a_process_that_dies(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    small = "--device cpu --batch-size 30 --width 0.125 --depths 26 --seeds 1 --epochs 2"
    dying = ["--workers", "2", "--graphs", "--die", "RedNet-26, seed 0"]
    module = [sys.executable, "-m", "invsearch.bench.cifar10", "--data", str(source)]
    done = subprocess.run(
        [*module, *small.split(), *dying, "-o", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(path.read_text())
    assert document["complete"]
    assert {one["network"] for one in document["trainings"]} == {"RedNet-26", "ResNet-26"}
    assert not document["setting"]["graphs"], "there is no GPU to capture them on"
    assert any("died with exit code 9" in note for note in document["notes"])
    for one in document["trainings"]:
        assert len(one["curve"]) == one["epochs"] == 2
        assert one["test"]["images"] == 40
        assert one["val"]["images"] == 20
    assert len(document["summary"]["pairs"]) == 1
    assert not list(tmp_path.glob("*.partial*"))
