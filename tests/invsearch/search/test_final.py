"""The test set: a search never sees it, and the networks of the final front are judged on it."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from toy import invsearch, one_line, passed, trial_lines, without_times

from invsearch import load_run
from invsearch.data import load_dataset
from invsearch.problem.network import NetworkProblem
from invsearch.runs import RunFolder
from invsearch.runs.trial import Trial
from invsearch.space import load_space_file
from invsearch.train import accuracy_metrics, trainer_of

SPACE = """
name: small
objectives: {val_loss: minimize, macs: minimize}
model: {family: rednet, resolution: 32}
space:
  width: 0.5
  stage: {blocks: 1, operator: convolution, kernel_size: {choice: [1, 3]}}
accuracy: {dataset: data, epochs: 1, batch_size: 8, baselines: false}
search: {strategy: random, trials: 4, replicates: 1}
"""


def write(path: Path, count: int, seed: int) -> None:
    """Images of two classes, light and dark."""
    rng, rows = np.random.default_rng(seed), []
    for row in range(count):
        buffer = io.BytesIO()
        pixels = rng.integers(0, 128, (8, 8), dtype=np.uint8) + 100 * (row % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
        rows.append(buffer.getvalue())
    labels = [row % 2 for row in range(count)]
    pq.write_table(pa.table({"image": rows, "label": labels}), path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run; read it alone."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "data").mkdir()
    write(folder / "data" / "train.parquet", 40, 0)
    write(folder / "data" / "test.parquet", 20, 1)
    (folder / "s.yaml").write_text(SPACE)
    done = passed(invsearch(folder, "run", "s.yaml", "--executor", "serial"))
    (folder / "said").write_text(done.stdout)
    return folder


def test_the_front_is_judged_once_and_shown_beside_the_validation_figure(made: Path) -> None:
    path = made / "results" / "small"
    run, folder = load_run(path), RunFolder(path)
    members = {member.trial.number for member in run.members}
    judged = [(one.number, one.seed) for one in folder.tests()]
    assert {number for number, _ in judged} == members
    assert len(set(judged)) == len(judged) == len(members) + len(folder.replicates())
    for trial in run.trials:
        assert ("test_loss" in trial.metrics) == (trial.number in members)
    rows = list(csv.DictReader(folder.front_path.read_text().splitlines()))
    for row, member in zip(rows, run.members, strict=True):
        assert float(row["test_loss"]) == member.trial.metrics["test_loss"].value
    assert "test_loss" in (made / "said").read_text()
    assert not list((path / "checkpoints").glob("*/*")), "weights are left over"


def test_no_line_that_a_search_reads_has_a_test_figure(made: Path) -> None:
    path = made / "results" / "small"
    for file in ("trials.jsonl", "replicates.jsonl", "study.journal"):
        assert "test_" not in (path / file).read_text()


def test_a_broken_test_set_changes_nothing_that_was_found(made: Path, tmp_path: Path) -> None:
    """The same search with a test set of other images: equal trials, other test figures."""
    shutil.copytree(made / "data", tmp_path / "data")
    write(tmp_path / "data" / "test.parquet", 20, 7)
    shutil.copy(made / "s.yaml", tmp_path)
    passed(invsearch(tmp_path, "run", "s.yaml", "--executor", "serial"))
    one, other = made / "results" / "small", tmp_path / "results" / "small"
    trials = [without_times(trial_lines(path)) for path in (one, other)]
    for line in (*trials[0], *trials[1]):
        for metric in line["metrics"].values():
            if metric["fidelity"]:
                metric["fidelity"].pop("dataset")  # the folder's own name
    assert trials[0] == trials[1]
    figures, others = (
        [test.metrics["test_loss"].value for test in RunFolder(path).tests()]
        for path in (one, other)
    )
    assert figures != others


def test_the_figure_is_what_the_network_does_on_the_test_images(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained again from its seed, it judges the test images alike."""
    monkeypatch.chdir(made)
    problem = NetworkProblem(load_space_file("s.yaml", []))
    accuracy = problem.file.accuracy
    assert accuracy is not None
    folder = RunFolder(made / "results" / "small")
    test = folder.tests()[0]
    trial: Trial = next(t for t in folder.trials() if t.number == test.number)
    data = load_dataset(accuracy.dataset)
    trainer = trainer_of(problem.spec(trial.architecture), accuracy, data, test.seed)
    trainer.train_epoch()
    trainer.model.load_state_dict(trainer.weights())
    expected = accuracy_metrics(trainer.model.eval(), data.test_images, data.test_labels)
    assert test.metrics["test_loss"].value == pytest.approx(expected["val_loss"].value, rel=1e-6)
    assert test.metrics["test_error"].value == expected["error"].value


def test_the_page_says_it(made: Path) -> None:
    passed(invsearch(made, "report", "small", "-o", "page.html"))
    assert "On the test set, which the search never saw" in (made / "page.html").read_text()


@pytest.mark.parametrize("name", ["test_loss", "test_error", "test_top1"])
def test_nothing_can_be_searched_by_it(made: Path, tmp_path: Path, name: str) -> None:
    text = SPACE.replace("val_loss", name).replace("dataset: data", "dataset: digits")
    (tmp_path / "s.yaml").write_text(text)
    line = one_line(invsearch(tmp_path, "run", "s.yaml"))
    assert "the test set is kept for the final front" in line


@pytest.mark.sampled(2)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["run folder", "storage"])
def test_trained_on_ray_it_is_judged_too(made: Path, tmp_path: Path, elsewhere: bool) -> None:
    """Weights outlive the checkpoints of their trial, wherever workers keep those."""
    (tmp_path / "data").symlink_to(made / "data")
    (tmp_path / "s.yaml").write_text(SPACE)
    shared = ("--set", f"cluster.storage_path={tmp_path / 'shared'}") if elsewhere else ()
    passed(invsearch(tmp_path, "run", "s.yaml", "--executor", "ray", *shared, PYTHONHASHSEED="0"))
    path = tmp_path / "results" / "small"
    members = {member.trial.number for member in load_run(path).members}
    assert {one.number for one in RunFolder(path).tests()} == members
    assert not list(path.glob("checkpoints/*/*")), "weights are left over"
    assert not list(tmp_path.glob("shared/*/*/*")), "weights are left over"
