"""Numbers and sentences as a person reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from invsearch.metrics import Fidelity, Metric
from invsearch.report.failures import failures
from invsearch.report.picks import KNEE, picks
from invsearch.report.repeat import environment_rows, repeat_command, resume_command
from invsearch.report.sections.summary import sentences
from invsearch.report.text import (
    axis_title,
    bounds_text,
    display,
    duration,
    fidelity,
    interval,
    joined,
    plot_text,
)  # fmt: skip
from invsearch.runs import RunData, RunFolder, Trial, load_run
from invsearch.space.architecture import Architecture


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("macs", 1733438112, "1.733 G"),
        ("params", 25557032.0, "25.56 M"),
        ("macs", 12.0, "12"),
        ("peak_memory_bytes", 3 * 2**20, "3 MiB"),
        ("peak_memory_bytes", 1500, "1.465 KiB"),
        ("latency_ms", 3.36, "3.360 ms"),
        ("latency_ms", 4.11619, "4.116 ms"),
        ("error", 21.6, "21.60 %"),
        ("val_loss", 0.06574, "0.06574 nats"),
    ],
)
def test_values_carry_their_units(metric: str, value: float, text: str) -> None:
    """A number without its unit is a guess."""
    assert display(metric, value, known=True) == text


def test_an_evaluators_metrics_are_its_own() -> None:
    """With an evaluator ``macs`` may mean anything: no unit, no scale, no label of ours."""
    assert display("macs", 1733.0, known=False) == "1733"
    assert display("macs", 9949410.0, known=False) == "9.949e6"
    assert display("macs", 7.854e-8, known=False) == "7.854e-8"
    assert axis_title("macs", "minimize", known=False) == "macs, \u2193 better"


def test_intervals_and_fidelities_are_spelled_out() -> None:
    """What was spent on a number stands beside it."""
    metric = Metric("top1", 90.0, "trained", 88.5, 91.25)
    assert interval(metric, known=True) == "88.50 to 91.25 %"
    assert interval(Metric("macs", 1.0, "counted"), known=True) == ""
    loss = Metric("val_loss", 0.1125, "trained", 0.08586, 0.139)
    assert interval(loss, known=True) == "0.0859 to 0.1390 nats"
    spent = Fidelity(2, 6, 8, width=0.25, data_fraction=0.5, dataset="digits")
    assert fidelity(spent) == "2/6 epochs, 8 px, width 0.25, 50% of the data, digits"
    assert fidelity(None) == ""


def test_words() -> None:
    """Lists, times and bounds read as English."""
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert [duration(s) for s in (0.2, 59, 61, 3700)] == [
        "under a second", "59 s", "1 min 1 s", "1 h 1 min",
    ]  # fmt: skip
    assert bounds_text({"macs": {"max": 3e9}, "top1": {"min": 75}}, known=True) == [
        "MACs at most 3 G",
        "top-1 accuracy at least 75.00 %",
    ]


def test_plotly_sees_no_markup_of_a_name() -> None:
    """Plotly reads a few tags in every label, links among them."""
    assert plot_text("<b>a</b>&\n$x$") == "&lt;b&gt;a&lt;/b&gt;&amp; &#36;x&#36;"


def _trial(number: int, loss: float, macs: float, half: float = 0.0) -> Trial:
    low, high = (loss - half, loss + half) if half else (None, None)
    spent = Fidelity(6, 6, 8, dataset="digits")
    metrics = {
        "val_loss": Metric("val_loss", loss, "trained", low, high, spent),
        "macs": Metric("macs", macs, "counted"),
    }
    architecture = Architecture((("depth", 26), ("stage1.operator", "involution")))
    return Trial(number, "complete", architecture, metrics)


SPACE = (
    "name: demo\nobjectives: {val_loss: minimize, macs: minimize}\n"
    "model: {family: rednet}\nconstraints: {macs: {max: 3G}}\n"
    "search: {strategy: tpe, trials: 12, seed: 4}\n"
)


def _run(*trials: Trial, space: str = SPACE) -> RunData:
    return RunData(Path("results/demo"), trials, {}, space)


def test_the_summary_says_what_was_searched_and_found() -> None:
    """Aims, bounds, strategy, data, states and the front's span, all from the data."""
    failed = Trial(3, "failed", Architecture(()), error="out of memory")
    run = _run(_trial(0, 0.5, 1e9), _trial(1, 0.2, 2e9), failed)
    run = replace(run, environment={"machine": {"cpu_model": "Example CPU", "gpu": None}})
    text = " ".join(sentences(run))
    assert text == (
        "This run searched 2 parameters by tpe to minimize validation loss and MACs with MACs at"
        " most 3 G, training on digits (Example CPU). Of 3 trials, 2 completed and 1 failed; the"
        " run was to have 12 trials. The front holds 2 architectures: validation loss 0.2000 to"
        " 0.5000 nats and MACs 1.000 to 2.000 G."
    )


def test_the_summary_of_little_is_short_and_true() -> None:
    """Empty, failed and unreadable runs are summed up too."""
    assert "No trial has been logged yet." in sentences(_run())
    failed = Trial(0, "failed", Architecture(()), error="x")
    assert sentences(_run(failed))[-1] == (
        "No complete trial has every objective, so there is no front; most often the reason was: x."
    )
    assert "All 2 trials failed" in sentences(_run(failed, replace(failed, number=1)))[1]
    assert "cannot be ranked" in sentences(_run(space=""))[0]


def test_picks_are_the_ends_and_the_balance_and_never_doubtful() -> None:
    """A member more likely dominated than not is not recommended."""
    trials = [_trial(0, 0.9, 1e9), _trial(1, 0.3, 1.5e9), _trial(2, 0.2, 3e9)]
    chosen = {pick.why: pick.number for pick in picks(_run(*trials))}
    assert chosen == {
        "lowest validation loss": 2,
        "lowest MACs within the bounds": 0,
        KNEE: 1,
    }
    noisy = [_trial(number, 0.5 - number * 1e-3, 1e9 + number, 0.4) for number in range(20)]
    run = _run(*noisy)
    assert any(member.doubtful for member in run.members)
    sure = {member.trial.number for member in run.members if not member.doubtful}
    assert {pick.number for pick in picks(run)} <= sure
    assert any("lowest validation loss that is not in doubt" in pick.why for pick in picks(run))


def test_picks_say_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact commands, for this run's folder and this trial; none where nothing can be built."""
    monkeypatch.chdir(tmp_path)
    (pick,) = picks(_run(_trial(7, 0.5, 1e9)))
    assert [command for _, command in pick.commands] == [
        "invsearch train results/demo 7",
        "invsearch measure results/demo 7",
        "invsearch train results/demo 7 --full -o demo-7",
        "invsearch export results/demo 7 --weights demo-7 -o demo-7.pt2",
    ]
    counted = replace(_trial(7, 0.5, 1e9), metrics={"val_loss": Metric("val_loss", 1, "published")})
    (pick,) = picks(_run(counted, space="objectives: {val_loss: minimize}\nmodel: {}\n"))
    assert [command for _, command in pick.commands] == [
        "invsearch measure results/demo 7",
        "invsearch export results/demo 7 -o demo-7.pt2",
    ]
    space = "name: x\nobjectives: {val_loss: minimize}\nevaluator: a:b\n"
    (pick,) = picks(_run(_trial(7, 0.5, 1e9), space=space))
    assert pick.commands == []


def test_failures_are_grouped_by_reason() -> None:
    """Forty equal failures are one line with a count."""
    trials = [Trial(n, "failed", Architecture(()), error="nan\nmore") for n in range(9)]
    trials.append(Trial(9, "infeasible", Architecture(()), error="even kernel"))
    found = [(one.state, one.reason, one.count, one.numbers) for one in failures(trials)]
    assert found == [
        ("failed", "nan", 9, list(range(8))),
        ("infeasible", "even kernel", 1, [9]),
    ]


def test_the_repeat_command_repeats_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the folder's own space file into a new folder, with the options that were given."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder("results/my run")
    given = ["run", "rednet", "--trials=28", "--seed", "7", "--deterministic", "--resume"]
    folder.create(SPACE, None, {"id": "a"}, command=given)
    assert repeat_command(load_run("my run")) == (
        "invsearch run 'results/my run/space.yaml' --out 'results/my run-again' --trials 28"
        " --seed 7 --deterministic"
    )
    folder.environment_path.unlink()
    assert repeat_command(load_run("my run")).endswith("--trials 12 --seed 4")


def test_a_run_that_is_not_complete_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same folder, the same settings, with --resume; nothing once all trials have ended."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder("results/demo")
    folder.create(SPACE, None, {"id": "a"}, command=["run", "rednet", "--trials", "2"])
    assert resume_command(load_run("demo")) == (
        "invsearch run results/demo/space.yaml --out results/demo --trials 2 --seed 4 --resume"
    )
    for number in range(2):
        assert resume_command(load_run("demo"))
        folder.append_trials([_trial(number, 0.5, 1e9)])
    assert resume_command(load_run("demo")) == ""


def test_environment_is_flattened() -> None:
    """Nested facts become rows; the recorded command is one line."""
    facts = {"cpu": "x", "gpu": None, "load_average": [0.123456789], "cuda": False}
    rows = environment_rows({"machine": facts, "command": ["run", "a b"]})
    assert rows == [
        ("machine / cpu", "x"),
        ("machine / load average", "0.123457"),
        ("machine / cuda", "no"),
        ("started by", "invsearch run 'a b'"),
    ]
    assert environment_rows({"command": ["/bin/invsearch", "run"]})[0][1] == "/bin/invsearch run"
