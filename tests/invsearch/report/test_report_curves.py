"""Curves on the page: bounded, the front first, nothing where there is nothing."""

from __future__ import annotations

import json

from synthetic_runs import Writer

from invsearch.metrics import Fidelity
from invsearch.report.plot.curves import curves_figure
from invsearch.report.sections import curves
from invsearch.report.shown import ShownRun
from invsearch.runs import RunFolder, load_run
from invsearch.runs.curves import CurvePoint


def test_thousands_of_trials_are_bounded_and_the_front_is_among_them(writer: Writer) -> None:
    path = writer(3000)
    RunFolder(path).curves.append(
        CurvePoint(trial, 0, step, {"val_loss": 1 / step, "train_loss": 2 / step}, 1.0)
        for trial in range(3000)
        for step in range(1, 7)
    )
    run = load_run(path)
    figure = curves_figure(run)
    assert figure is not None
    names = [note["text"].split(",")[0] for note in figure.layout["annotations"]]
    assert len(set(names)) == 24
    assert {f"trial {member.trial.number}" for member in run.members[:24]} <= set(names)
    assert len(json.dumps(figure.to_json())) < 60_000
    assert {entry.text for entry in figure.legend} >= {"on the training set", "median"}


def test_long_curves_keep_their_ends(writer: Writer) -> None:
    path = writer(4)
    RunFolder(path).curves.append(
        CurvePoint(0, 0, step, {"val_loss": float(step)}, 1.0, Fidelity(step, 900, 8))
        for step in range(1, 901)
    )
    figure = curves_figure(load_run(path))
    assert figure is not None
    for trace in figure.data:
        assert len(trace["x"]) <= 60
        assert (trace["x"][0], trace["x"][-1]) == (1, 900)


def test_run_without_curves_has_no_section(writer: Writer) -> None:
    assert curves.section(ShownRun(load_run(writer(5)), 0)) is None
