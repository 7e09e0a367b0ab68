"""`invsearch train` and `evaluate`: replicates, kept networks, resuming."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import invsearch, one_line, passed, trial_lines

import invsearch as suite
from invsearch import cost
from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.runs import RunFolder, Trial
from invsearch.takeaway import Follow, TrainOptions, evaluate, load_network, pick, train
from invsearch.takeaway.saved import SavedNetwork

ACCURACY = ("val_loss", "error", "top1")


def metric(trial: Trial) -> Metric:
    return trial.metrics["val_loss"]


QUIET = Follow(lambda line: None)


def test_further_seeds_become_replicates_and_the_front_follows(small: Path) -> None:
    """Mean, interval and n change; no line of trials.jsonl does; asking again does nothing."""
    folder = small / "results" / "small"
    before = (folder / "trials.jsonl").read_bytes()
    first = metric(suite.load_run(folder).trials[1])
    result = passed(invsearch(small, "train", "small", 1))
    assert "2 replicates" in result.stdout
    trial = suite.load_run(folder).trials[1]
    assert metric(trial).n == 3
    assert metric(trial).value != first.value
    assert (folder / "trials.jsonl").read_bytes() == before
    lines = [json.loads(line) for line in (folder / "replicates.jsonl").read_text().splitlines()]
    values = [line["metrics"]["val_loss"]["value"] for line in lines]
    assert metric(trial).value == pytest.approx((first.value + sum(values)) / 3)
    assert len({first.value, *values}) == 3, "two seeds trained the same network"
    rows = list(csv.DictReader((folder / "front.csv").read_text().splitlines()))
    for row in rows:
        shown = suite.load_run(folder).trials[int(row["trial"])]
        assert float(row["val_loss"]) == metric(shown).value
    assert "already" in passed(invsearch(small, "train", "small", 1)).stdout
    assert len((folder / "replicates.jsonl").read_text().splitlines()) == 2
    assert not list(folder.glob("checkpoints/*")), "a checkpoint was left"


def test_kept_network_is_the_one_the_trial_was_judged_by(small: Path) -> None:
    """The trial's own seed at the run's recipe gives the trial's metrics; so do the weights."""
    passed(invsearch(small, "train", "small", 0, "-o", "kept"))
    trial = trial_lines(small / "results" / "small")[0]
    saved = SavedNetwork.open(small / "kept")
    evaluated = evaluate(small / "kept").metrics
    for name in ACCURACY:
        assert saved.metrics[name].to_json() == trial["metrics"][name]
        assert evaluated[name].value == pytest.approx(saved.metrics[name].value, rel=1e-6)
        assert (evaluated[name].low, evaluated[name].source) != (None, None)
    assert saved.origin["architecture"] == trial["architecture"]
    assert saved.config["classes"] == list("0123456789")
    scale = saved.config["normalisation"]
    assert 4 < scale["mean"][0] < 6, "digits have 17 levels, and are mostly dark"
    assert 5 < scale["deviation"][0] < 7
    assert saved.training["recipe"]["epochs"] == 2
    assert not (small / "results" / "small" / "replicates.jsonl").exists()
    assert load_network(small / "kept")(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    printed = passed(invsearch(small, "evaluate", "kept")).stdout
    assert "300 validation images of digits" in printed
    assert "trained" in printed
    assert "already" in passed(invsearch(small, "train", "small", 0, "-o", "kept")).stderr


def test_interrupted_training_goes_on_to_the_same_result(small: Path) -> None:
    run = small / "results" / "small"

    def interrupt(line: str) -> None:
        if "epoch 1" in line:
            raise KeyboardInterrupt

    told: list[str] = []
    whole = train(run, 0, TrainOptions(output=small / "whole"), QUIET)
    with pytest.raises(KeyboardInterrupt):
        train(run, 0, TrainOptions(output=small / "cut"), Follow(interrupt))
    with pytest.raises(InputError, match="not finished"):
        SavedNetwork.open(small / "cut")
    cut = train(run, 0, TrainOptions(output=small / "cut"), Follow(told.append))
    assert not any("epoch 1 of" in line for line in told), "the first epoch was trained again"
    assert list(cut.kept.values()) == list(whole.kept.values())
    same = [(small / name / "model.safetensors").read_bytes() for name in ("cut", "whole")]
    assert same[0] == same[1]
    assert sorted(path.name for path in (small / "cut").iterdir()) == [
        "README.md", "config.json", "curves.csv", "model.safetensors",
    ]  # fmt: skip


def test_full_size_network_is_the_searched_one_and_no_replicate(small: Path) -> None:
    arguments = ("--full", "--resolution", 16, "--epochs", 1, "-o", "full")
    passed(invsearch(small, "train", "small", 0, *arguments))
    saved = SavedNetwork.open(small / "full")
    picked = pick(small / "results" / "small", 0)
    searched = replace(picked.spec, num_classes=10, in_channels=1)
    assert saved.spec == searched, "only the data's classes and channels may differ"
    assert saved.metrics["params"].value == cost.count(searched, resolution=16).params
    assert saved.metrics["error"].fidelity is not None
    assert saved.metrics["error"].fidelity.resolution == 16
    assert metric(picked.trial).n == 1


def test_recipe_that_is_not_the_runs_needs_a_folder(small: Path) -> None:
    one_line(invsearch(small, "train", "small", 0, "--epochs", 1), "-o FOLDER")
    one_line(
        invsearch(small, "train", "small", 0, "-o", "a", "--set", "accuracy.epoch=1"), "epochs"
    )
    one_line(invsearch(small, "train", "small", 0, "-o", "a", "--set", "search.seed=1"), "accuracy")
    one_line(invsearch(small, "train", "small", 0, "-o", "a", "--dataset", "digit"), "digits")
    one_line(invsearch(small, "train", "small", 0, "--device", "gpu"), "cuda:N")
    assert not (small / "a").exists()


def test_training_that_diverges_says_so_in_one_line(small: Path) -> None:
    diverging = invsearch(small, "train", "small", 0, "-o", "a", "--set", "accuracy.lr=1e30")
    assert diverging.returncode == 1
    assert "loss is" in diverging.stderr.splitlines()[-1]
    assert not (small / "a" / "config.json").exists()


def test_folder_of_something_else_is_never_overwritten(small: Path) -> None:
    (small / "full").mkdir()
    (small / "full" / "photo.jpg").touch()
    one_line(invsearch(small, "train", "small", 0, "-o", "full"), "holds other files", "-o")
    (small / "full" / "photo.jpg").rename(small / "full" / "model.safetensors")
    one_line(invsearch(small, "train", "small", 0, "-o", "full"), "holds other files", "-o")
    own = ("-o", "results/small/sources")
    one_line(invsearch(small, "train", "small", 0, *own, "--epochs", 1), "part of the run")
    one_line(invsearch(small, "export", "small", 0, "-o", "results/small/front.csv",
                       "--format", "spec"), "part of the run")  # fmt: skip
    one_line(invsearch(small, "train", "small", 0, "-o", "small.yaml"), "is a file")
    passed(invsearch(small, "train", "small", 0, "-o", "kept", "--epochs", 1))
    one_line(invsearch(small, "train", "small", 0, "-o", "kept"), "differs in recipe")


def test_evaluation_of_what_is_no_network_is_refused(small: Path) -> None:
    one_line(
        invsearch(small, "evaluate", "nothing"),
        "no network 'nothing'",
        "invsearch train -o",
        "rednet50",
    )
    one_line(invsearch(small, "evaluate", "results"), "holds no network")
    (small / "odd").mkdir()
    (small / "odd" / "config.json").write_text("{}")
    one_line(invsearch(small, "evaluate", "odd"), "was not written by")


def test_run_in_use_is_refused_before_anything_is_trained(small: Path) -> None:
    with RunFolder(small / "results" / "small").lock():
        line = one_line(invsearch(small, "train", "small", 0), "in use by process")
    assert "--out" not in line


def test_trials_without_a_result_have_nothing_to_repeat(small: Path) -> None:
    path = small / "results" / "small" / "trials.jsonl"
    path.write_text(path.read_text().replace('"complete"', '"stopped"', 1))
    one_line(invsearch(small, "train", "small", 0), "stopped", "-o FOLDER")
