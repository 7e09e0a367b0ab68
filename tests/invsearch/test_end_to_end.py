"""From a space file to a page: real training, real counting, as a user would run it."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

from toy import command, invsearch, one_line, passed, trial_lines, without_times

import invsearch as suite
from invsearch.problem.network import NetworkProblem
from invsearch.space import load_space_file

SMALL = (
    *("--executor", "serial", "--deterministic", "--trials", 3),
    *("--set", "accuracy.epochs=2", "--set", "accuracy.data_fraction=0.3"),
)
DOCS = Path(__file__).parents[2] / "docs"


def test_quick_space_on_ray_ends_in_a_front_and_a_page(tmp_path: Path) -> None:
    """The promise of spaces/quick.yaml: no flags, at least 4 complete trials, 2 on the front."""
    passed(invsearch(tmp_path, "run", "quick", OMP_NUM_THREADS="1"))
    run = suite.load_run(tmp_path / "results" / "quick")
    frame = run.frame()
    assert (frame["state"] == "complete").sum() >= 4
    assert len(run.front()) >= 2
    assert set(frame["macs_source"]) == {"counted"}
    assert set(frame["val_loss_source"]) == {"trained"}
    passed(invsearch(tmp_path, "report"))
    page = (tmp_path / "reports" / "quick.html").read_text()
    assert "quick" in page


def test_the_shipped_segmenters_end_in_a_front_and_a_page(tmp_path: Path) -> None:
    """spaces/segmentation.yaml, smaller in every way but the space."""
    smaller = ["accuracy.epochs=2", "accuracy.data_fraction=0.06", "accuracy.proxy.resolution=12"]
    settings = [word for one in (*smaller, "search.rungs=[1]") for word in ("--set", one)]
    passed(
        invsearch(tmp_path, "run", "segmentation", "--executor", "serial", "--trials", 3, *settings)
    )
    run = suite.load_run(tmp_path / "results" / "segmentation")
    assert {trial.state for trial in run.trials} <= {"complete", "stopped"}
    front = run.front()
    assert len(front) >= 1
    assert set(front["miou_source"]) == {"trained"}
    assert set(front["macs_source"]) == {"counted"}
    assert front["test_miou"].between(0, 100).all()
    passed(invsearch(tmp_path, "report", "segmentation"))
    page = (tmp_path / "reports" / "segmentation.html").read_text()
    assert "mean IoU" in page
    assert "test mean IoU" in page


def test_two_deterministic_trained_runs_are_equal(tmp_path: Path) -> None:
    for name in ("one", "two"):
        passed(invsearch(tmp_path, "run", "quick", *SMALL, "--out", name))
    one, two = (without_times(trial_lines(tmp_path / name)) for name in ("one", "two"))
    assert one == two
    assert {trial["state"] for trial in one} == {"complete"}


def test_kill_in_the_middle_of_training_changes_nothing(tmp_path: Path) -> None:
    """The trial in flight goes on from its last epoch and ends bit for bit as it would have."""
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        command("run", "quick", *SMALL, "--out", killed), cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(killed.glob("checkpoints/*/checkpoint.pt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    passed(invsearch(tmp_path, "run", "quick", *SMALL, "--out", killed, "--resume"))
    passed(invsearch(tmp_path, "run", "quick", *SMALL, "--out", "whole"))
    resumed, whole = trial_lines(killed), trial_lines(tmp_path / "whole")
    for trial in resumed:
        trial["origin"] = "sampler"
    assert without_times(resumed) == without_times(whole)


def test_training_that_diverges_fails_its_trial_with_the_reason(tmp_path: Path) -> None:
    result = invsearch(tmp_path, "run", "quick", *SMALL, "--set", "accuracy.lr=1e30")
    assert result.returncode == 1  # nothing completed
    assert "no trial completed: 3 failed" in result.stderr
    trials = trial_lines(tmp_path / "results" / "quick")
    assert len(trials) == 3
    for trial in trials:
        assert trial["state"] == "failed"
        assert re.search(r"(training|validation) loss is", trial["error"])


def test_weak_trials_stop_at_a_rung_and_keep_their_fidelity(tmp_path: Path) -> None:
    rungs = ("--set", "search.rungs=[1]", "--set", "search.reduction_factor=4", "--trials", 8)
    passed(invsearch(tmp_path, "run", "quick", *SMALL, *rungs))
    trials = trial_lines(tmp_path / "results" / "quick")
    stopped = [trial for trial in trials if trial["state"] == "stopped"]
    assert len(trials) == 8
    assert stopped, "nothing was stopped"
    for trial in stopped:
        assert trial["metrics"]["val_loss"]["fidelity"]["epochs"] == 1
        assert trial["metrics"]["val_loss"]["fidelity"]["max_epochs"] == 2
    front = set(suite.load_run(tmp_path / "results" / "quick").front()["number"])
    assert not front & {trial["number"] for trial in stopped}


BOTH = """
name: both
objectives: {val_loss: minimize, macs: minimize}
model: {resolution: 224}
space:
  family: {choice: [rednet, resnet]}
  depth: {choice: [26, 38, 50]}
  width: {choice: [0.5, 1.0]}
  stage:
    operator: {choice: [involution, convolution]}
    kernel_size: {choice: [3, 7]}
accuracy: {dataset: digits, proxy: {width: 0.25, resolution: 8}}
"""


def test_the_main_job_compares_with_the_papers_smallest_networks() -> None:
    problem = NetworkProblem(load_space_file("rednet"))
    baselines = problem.baselines()
    assert list(baselines) == ["RedNet-26", "ResNet-26"]
    assert [one["stem"] for one in baselines.values()] == ["involution", "convolution"]


def test_baselines_are_the_papers_networks_and_count(tmp_path: Path) -> None:
    """In a space of both families, as files had it before the stem had a name of its own."""
    (tmp_path / "both.yaml").write_text(BOTH)
    arguments = ("run", "both.yaml", *SMALL, "--set", "search.rungs=[]", "--trials", 5)
    passed(invsearch(tmp_path, *arguments, "--set", "accuracy.epochs=1"))
    trials = trial_lines(tmp_path / "results" / "both")
    assert [trial["origin"] for trial in trials] == ["baseline"] * 5
    networks = {(t["architecture"]["family"], t["architecture"]["depth"]) for t in trials}
    rednets = {("rednet", depth) for depth in (26, 38, 50)}
    assert networks == rednets | {("resnet", 26), ("resnet", 50)}
    params = {t["metrics"]["params"]["value"] for t in trials}
    assert 15541526 in params, "RedNet-50 has 15.54 M parameters"


def _write_docs_example(folder: Path) -> None:
    """The operator and the space of docs/operators.md, word for word."""
    text = (DOCS / "operators.md").read_text()
    blocks = re.findall(r"`([\w.]+)`[^`]*:\n\n```\w+\n(.*?)```", text, flags=re.DOTALL)
    assert [name for name, _ in blocks] == ["shift.py", "mine.yaml"]
    for name, content in blocks:
        (folder / name).write_text(content)


def test_operator_of_the_docs_is_counted_trained_and_on_the_front(tmp_path: Path) -> None:
    """Run in a process of its own: a registered operator stays for the life of a process."""
    _write_docs_example(tmp_path)
    arguments = ("run", "mine.yaml", *SMALL, "--set", "space.stage.operator={choice: [shift]}")
    passed(invsearch(tmp_path, *arguments, OMP_NUM_THREADS="1"))
    run = suite.load_run(tmp_path / "results" / "mine")
    assert (run.frame()["state"] == "complete").all()
    assert len(run.front()) >= 1
    shifted = [t for t in run.trials if "shift" in str(t.architecture.to_json())]
    assert shifted
    assert all(t.metrics["macs"].source == "counted" for t in shifted)


def test_wrong_closed_form_of_an_operator_is_refused(tmp_path: Path) -> None:
    _write_docs_example(tmp_path)
    source = (tmp_path / "shift.py").read_text()
    (tmp_path / "shift.py").write_text(source.replace("channels**2,", "channels**2 + 1,"))
    result = invsearch(tmp_path, "run", "mine.yaml", *SMALL, OMP_NUM_THREADS="1")
    one_line(result, "shift", "params")


def test_latency_is_measured_with_the_networks_own_channels(tmp_path: Path) -> None:
    """Grey images, too: the measured network takes as many channels as the space file says."""
    objectives = ("--set", "objectives={macs: minimize, latency_ms: minimize}")
    model = ("--set", "model.in_channels=1", "--set", "model.resolution=32")
    arguments = ("run", "quick", "--executor", "serial", "--trials", 1, *objectives, *model)
    passed(invsearch(tmp_path, *arguments))
    (trial,) = trial_lines(tmp_path / "results" / "quick")
    assert trial["state"] == "complete", trial["error"]
    assert trial["metrics"]["latency_ms"]["detail"]["shape"] == [1, 1, 32, 32]
