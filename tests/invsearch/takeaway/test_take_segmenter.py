"""A segmenter from the space file to a file to take along: searched, judged, kept, exported."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from datasets_on_disk import write_masks
from toy import invsearch, one_line, passed

from invsearch import load_run
from invsearch.data import load_dataset
from invsearch.models import TaskSpec, spec_from_json
from invsearch.runs import RunFolder
from invsearch.takeaway import evaluate, load_network
from invsearch.train.tasks.segmentation import judge_pixels

SPACE = """
name: street
objectives: {miou: maximize, macs: minimize}
constraints: {pixel_accuracy: {min: 1}}
model: {family: rednet, num_classes: 19}
space:
  task: semantic_fpn
  head: {choice: [convolution, involution]}
  stage: {blocks: 1, operator: convolution, kernel_size: 3}
accuracy:
  dataset: street
  epochs: 2
  batch_size: 4
  augment: true
  baselines: false
  proxy: {width: 0.125, resolution: 8}
search: {strategy: random, trials: 2}
"""
DETECTORS = """
name: boxes
objectives: {macs: minimize, params: minimize}
model: {family: rednet, depth: 26}
space: {task: {choice: [retinanet, faster_rcnn]}}
search: {strategy: exhaustive, trials: 2}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``results/street``, finished, and ``kept``, one network of it."""
    folder = tmp_path_factory.mktemp("made")
    write_masks(folder / "street")
    (folder / "street" / "classes.txt").write_text("road\ncar\ntree\nsky\nboat\n")
    (folder / "s.yaml").write_text(SPACE)
    passed(invsearch(folder, "run", "s.yaml", "--executor", "serial"))
    passed(invsearch(folder, "train", "street", 0, "-o", "kept"))
    return folder


def test_trials_have_the_metrics_of_pixels_and_the_front_is_judged(made: Path) -> None:
    run, folder = load_run(made / "results" / "street"), RunFolder(made / "results" / "street")
    assert {trial.state for trial in run.trials} == {"complete"}
    for trial in run.trials:
        assert {"miou", "pixel_accuracy", "val_loss", "macs"} <= set(trial.metrics)
        assert trial.metrics["macs"].image == (1024, 2048)
        assert len(trial.metrics["miou"].detail["iou"]) == 5
    rows = list(csv.DictReader(folder.front_path.read_text().splitlines()))
    assert rows
    for row, member in zip(rows, run.members, strict=True):
        assert row["miou_source"] == "trained"
        assert float(row["test_miou"]) == member.trial.metrics["test_miou"].value


def test_the_kept_network_is_that_of_the_trial(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is evaluated to the trial's own figures, with the IoU of each class by its name."""
    monkeypatch.chdir(made)
    found = evaluate("kept")
    trial = load_run("results/street").trials[0]
    for name in ("miou", "pixel_accuracy", "val_loss"):
        assert found.metrics[name].value == pytest.approx(trial.metrics[name].value, rel=1e-4)
    assert list(found.iou) == ["road", "car", "tree", "sky", "boat"]
    assert found.metrics["macs"].image == (8, 8)
    data = load_dataset("street", resolution=8)
    again = judge_pixels(load_network("kept"), [(data.val_images, data.val_labels)])
    assert again["miou"].value == pytest.approx(found.metrics["miou"].value, rel=1e-4)
    config = json.loads((made / "kept" / "config.json").read_text())
    assert config["classes"][0] == "road"
    spec = spec_from_json(config["network"])
    assert isinstance(spec, TaskSpec)
    assert (spec.num_classes, spec.in_channels, spec.channels) == (5, 3, 32)


def test_evaluate_prints_every_class(made: Path) -> None:
    text = passed(invsearch(made, "evaluate", "kept")).stdout
    assert "miou" in text
    assert all(name in text for name in ("IoU of each class", "road", "tree"))
    line = one_line(invsearch(made, "evaluate", "kept", "--dataset", "digits"))
    assert "the data set 'digits' has one of every image" in line


def test_further_seeds_are_replicates(made: Path) -> None:
    passed(invsearch(made, "train", "street", 1, "--seeds", 2))
    trial = load_run(made / "results" / "street").trials[1]
    assert trial.metrics["miou"].n == 2


def test_it_is_exported_with_its_weights(made: Path) -> None:
    passed(invsearch(made, "export", "street", 0, "--weights", "kept", "-o", "kept.pt2"))
    program = torch.export.load(made / "kept.pt2").module()
    images = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        expected, found = load_network(made / "kept")(images), program(images)
    assert found.shape == (3, 5, 8, 8)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_what_makes_no_sense_is_one_line(made: Path) -> None:
    """The untrained one is huge; segmenters are not timed."""
    line = one_line(invsearch(made, "export", "street", 0, "-o", "whole.pt2"))
    assert "give --weights FOLDER" in line
    assert "segmenters are not" in one_line(invsearch(made, "measure", "street", 0))
    passed(invsearch(made, "export", "street", 0, "-o", "whole.json"))
    spec = json.loads((made / "whole.json").read_text())
    assert spec["input_shape"] == [1, 3, 1024, 2048]
    assert spec["network"]["task"] == "semantic_fpn"


def test_detectors_are_counted_and_say_so(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(DETECTORS)
    passed(invsearch(tmp_path, "run", "b.yaml", "--executor", "serial"))
    line = one_line(invsearch(tmp_path, "train", "boxes", 0, "-o", "kept"))
    assert "a detector, which is counted and not trained" in line
    line = one_line(invsearch(tmp_path, "export", "boxes", 0, "-o", "whole.pt2"))
    assert "detectors are counted" in line
