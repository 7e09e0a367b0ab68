"""Networks by name, kept folders and checkpoints: trained, evaluated, exported, measured."""

from __future__ import annotations

import csv
import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from tensorboardX.proto.event_pb2 import Event
from torch import Tensor
from toy import invsearch, one_line, passed

from invsearch.metrics import Metric
from invsearch.models import NetworkSpec, rednet, resnet
from invsearch.takeaway import Follow, TrainOptions, evaluate, load_network, train_named
from invsearch.takeaway.saved import SavedNetwork
from invsearch.takeaway.start import Start
from invsearch.takeaway.subject import subject_of
from invsearch.train.callbacks import Callback, EpochRecord, Plan
from invsearch.train.presets import PRESETS

QUICK = ("--resolution", 8, "--preset", "proxy", "--set", "accuracy.data_fraction=0.05")


class Watching(Callback):
    """A callback of one's own."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.records: list[EpochRecord] = []

    def on_start(self, plan: Plan) -> None:
        self.heard.append(f"start {plan.name} {plan.epochs}x{plan.steps_per_epoch}")

    def on_step(self, epoch: int, step: int) -> None:
        self.heard.append(f"step {epoch}.{step}")

    def on_epoch(self, record: EpochRecord) -> None:
        self.heard.append(f"epoch {record.epoch}")
        self.records.append(record)

    def on_saved(self, record: EpochRecord) -> None:
        self.heard.append("saved")

    def on_end(self, metrics: Mapping[str, Metric]) -> None:
        self.heard.append(f"end {sorted(metrics)}")

    def close(self) -> None:
        self.heard.append("close")


@pytest.fixture(scope="module")
def watching() -> Watching:
    return Watching()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, watching: Watching) -> Path:
    """A folder with ``kept``, a ResNet-26 of two epochs with all that follows it."""
    folder = tmp_path_factory.mktemp("named")
    options = TrainOptions(
        dataset="digits", resolution=8, epochs=2, preset="proxy",
        settings=("accuracy.data_fraction=0.1", "accuracy.ema=0.5"), output=folder / "kept",
    )  # fmt: skip
    train_named(
        "ResNet-26", options, Follow(lambda line: None, None, ("tensorboard",), (watching,))
    )
    return folder


@pytest.fixture
def kept(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_the_kept_network_is_whole(kept: Path) -> None:
    saved = SavedNetwork.open(kept / "kept")
    assert saved.spec == resnet(26, num_classes=10, in_channels=1).spec
    assert saved.origin["architecture"] == {"family": "resnet", "depth": 26}
    assert saved.training["recipe"]["ema"] == 0.5
    assert not (kept / "kept" / "checkpoint.pt").exists()
    found = evaluate(kept / "kept").metrics
    for name in ("val_loss", "error", "top1"):
        assert found[name].value == pytest.approx(saved.metrics[name].value, rel=1e-6)
    again = invsearch(kept, "train", "resnet26", "--dataset", "digits", "-o", "kept")
    one_line(again, "holds another training", "differs in")


def test_curves_have_a_row_an_epoch(kept: Path) -> None:
    with (kept / "kept" / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "2"), ("2", "4")]
    assert list(rows[0]) == [
        "epoch", "step", "lr", "train_loss", "error", "top1", "val_loss", "seconds",
        "images_per_second",
    ]  # fmt: skip
    last = SavedNetwork.open(kept / "kept").metrics["val_loss"].value
    assert float(rows[-1]["val_loss"]) == pytest.approx(last, rel=1e-5)


def test_callbacks_hear_of_everything_in_order(trained: Path, watching: Watching) -> None:
    assert watching.heard == [
        "start resnet26 2x2", "step 1.1", "step 1.2", "epoch 1", "saved",
        "step 2.1", "step 2.2", "epoch 2", "saved", "end ['error', 'top1', 'val_loss']", "close",
    ]  # fmt: skip
    assert watching.records[0].images_per_second > 0


def test_tensorboard_reads_the_same_numbers(trained: Path, watching: Watching) -> None:
    (path,) = (trained / "kept" / "tensorboard").glob("events.out.tfevents.*")
    found: dict[str, list[float]] = {}
    data = path.read_bytes()
    while data:  # length, its checksum, the event, its checksum
        (length,) = struct.unpack("<Q", data[:8])
        for value in Event.FromString(data[12 : 12 + length]).summary.value:
            found.setdefault(value.tag, []).append(value.simple_value)
        data = data[16 + length :]
    for name, values in found.items():
        told = [record.numbers()[name] for record in watching.records]
        assert values == pytest.approx(told, rel=1e-6)
    assert {"train_loss", "val_loss", "top1", "lr"} <= set(found)


def test_evaluate_says_all_as_json(kept: Path) -> None:
    asked = ("evaluate", "kept", "--json", "--split", "test")
    found = json.loads(passed(invsearch(kept, *asked, COLUMNS="80")).stdout)
    assert found["split"] == "test"
    assert sum(map(sum, found["confusion"])) == found["images"] > 0
    assert found["top1"]["value"] <= found["top5"]["value"] <= 100
    assert 0 <= found["calibration"]["ece"] <= 1
    assert len(found["classes"]) == len(found["confusion"]) == 10
    shown = passed(invsearch(kept, "evaluate", "kept")).stdout
    assert "top-5 accuracy" in shown
    assert "calibration error" in shown
    by_name = evaluate("resnet26", "digits", weights=kept / "kept", resolution=8)
    of_kept = evaluate(kept / "kept", "digits")
    assert by_name.report.confusion.tolist() == of_kept.report.confusion.tolist()


def test_export_and_measure_take_a_kept_folder_and_a_name(kept: Path) -> None:
    passed(invsearch(kept, "export", "kept", "-o", "kept.pt2"))
    extra = {"config.json": ""}
    program = torch.export.load(kept / "kept.pt2", extra_files=extra).module()
    assert json.loads(extra["config.json"])["training"]["recipe"]["epochs"] == 2
    images = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(program(images), load_network(kept / "kept")(images))
    passed(invsearch(kept, "export", "rednet50", "-o", "rednet50.json"))
    spec = json.loads((kept / "rednet50.json").read_text())
    assert NetworkSpec.from_json(spec["network"]) == rednet(50).spec
    assert subject_of(str(kept / "rednet50.json")).spec == rednet(50).spec
    one_line(invsearch(kept, "measure", "kept", "--device", "cuda:77"), "cuda:77")


def test_another_number_of_classes_gets_a_new_head_and_says_so(kept: Path) -> None:
    told: list[str] = []
    network = resnet(26, num_classes=3, in_channels=1)
    head = network.head.weight.detach().clone()
    Start(kept / "kept", told.append).load_into(network)
    assert len(told) == 1
    assert "a head of 10 classes: that of the network, of 3, is freshly initialised" in told[0]
    source = load_network(kept / "kept").state_dict()
    assert torch.equal(network.head.weight, head)
    own = network.state_dict()
    assert all(torch.equal(own[n], v) for n, v in source.items() if not n.startswith("head."))
    same = resnet(26, num_classes=10, in_channels=1)
    Start(kept / "kept" / "model.safetensors", told.append).load_into(same)
    assert len(told) == 1
    assert all(torch.equal(same.state_dict()[n], v) for n, v in source.items())


def released(folder: Path) -> Path:
    """A file as the released ones are, with the stem that they have."""
    from invsearch.models.official import _RENAMES

    shapes = json.loads(
        (Path(__file__).parents[2] / "fixtures/parity/rednet26_stem3.keys.json").read_text()
    )
    network = rednet(26, stem_kernel_size=3).state_dict()

    def ours(key: str) -> str:
        for pattern, replacement in _RENAMES:
            key = pattern.sub(replacement, key, count=1)
        return key

    state: dict[str, Tensor] = {key: network[ours(key)] for key in shapes}
    torch.save({"state_dict": state, "meta": {}}, folder / "rednet26.pth")
    return folder / "rednet26.pth"


def test_a_released_checkpoint_starts_a_training_and_is_evaluated(tmp_path: Path) -> None:
    """Its stem is not the one that the name stands for."""
    path, told = released(tmp_path), []
    start = Start(path, told.append)
    spec = start.stem_of(rednet(26).spec)
    assert spec == rednet(26, stem_kernel_size=3).spec
    network = rednet(26, stem_kernel_size=3, num_classes=4)
    start.load_into(network)
    assert "a head of 1000 classes" in told[0]
    digits = ("--dataset", "digits", "--resolution", 8)
    one_line(invsearch(tmp_path, "evaluate", path, *digits), "1000 classes", "'digits' has 10")
    one_line(invsearch(tmp_path, "evaluate", path), "--dataset")


def test_weights_of_another_network_are_refused(kept: Path) -> None:
    for subject, words in (
        (("resnet38",), "is of another network"),
        (("resnet26", "--dataset", "cifar"), "data set 'cifar' not found"),
    ):
        arguments = ("--dataset", "digits", *QUICK, "--from", "kept", "-o", "x")
        one_line(invsearch(kept, "train", subject[0], *arguments, *subject[1:]), words)


def test_misuse_is_one_line(kept: Path) -> None:
    digits = ("--dataset", "digits", "-o", "x")
    one_line(invsearch(kept, "train", "rednet27", *digits), "no depth 27", "rednet26")
    one_line(invsearch(kept, "train", "rednte26", *digits), "did you mean 'rednet26'?")
    one_line(invsearch(kept, "train", "rednet26", "-o", "x"), "--dataset")
    one_line(invsearch(kept, "train", "rednet26", "--dataset", "digits"), "-o FOLDER")
    one_line(invsearch(kept, "train", "rednet26", *digits, "--preset", "papr"), "'paper'")
    one_line(
        invsearch(kept, "train", "rednet26", *digits, "--callback", "tensorbord"), "tensorboard"
    )
    one_line(invsearch(kept, "train", "rednet26", *digits, "--set", "accuracy.lrr=1"), "'lr'")
    one_line(invsearch(kept, "train", "rednet26", *digits, "--from", "gone"), "gone")
    one_line(invsearch(kept, "evaluate", "rednet26"), "without weights", "--weights")
    one_line(invsearch(kept, "evaluate", "kept", "--split", "train"), "val, test")
    assert not (kept / "x").exists()


def test_a_run_without_a_trial_says_so(small: Path) -> None:
    one_line(invsearch(small, "train", "small", "-o", "x", "--dataset", "digits"), "`small 0`")


def test_presets_are_what_they_say() -> None:
    """The paper's: a rate of 0.8 at a batch of 2048, that scales with the batch unless given."""
    options = TrainOptions(dataset="digits", preset="paper")
    paper = options.accuracy({})
    assert (paper.epochs, paper.optimizer, paper.label_smoothing) == (130, "sgd", 0.1)
    assert paper.lr / paper.batch_size == pytest.approx(0.8 / 2048)
    large = TrainOptions(
        dataset="digits", preset="paper", settings=("accuracy.batch_size=2048",)
    ).accuracy({})
    assert large.lr == pytest.approx(0.8)
    given = ("accuracy.batch_size=2048", "accuracy.lr=0.3")
    assert TrainOptions(dataset="digits", preset="paper", settings=given).accuracy({}).lr == 0.3
    for name in PRESETS:
        TrainOptions(dataset="digits", preset=name).accuracy({})
