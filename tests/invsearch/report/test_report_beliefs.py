"""What is believed on the page: a mark of its own, the border, the table's data, the sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_runs import make_trials, write_run

from invsearch.report.columns import trial_columns
from invsearch.report.picks import picks
from invsearch.report.plot.front import front_figures
from invsearch.report.sections import versus
from invsearch.report.shown import ShownRun
from invsearch.runs import RunData, load_run
from invsearch.runs.front import non_dominated, oriented

OBJECTIVES = "val_loss: minimize, macs: minimize"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    path = tmp_path_factory.mktemp("run") / "rednet"
    return load_run(write_run(path, make_trials(28), OBJECTIVES))


def test_a_figure_marks_what_is_believed_and_draws_the_border_through_it(run: RunData) -> None:
    figure = front_figures(run, 0, [])[0]
    entry = next(entry for entry in figure.legend if entry.text == "what is believed")
    trace = figure.data[entry.traces[0]]
    assert run.beliefs is not None
    believed = [run.beliefs.of(member.trial.number)["val_loss"] for member in run.members]
    np.testing.assert_allclose(trace["y"], [one.value for one in believed], rtol=1e-5)
    arms = [one.high - one.value for one in believed]
    np.testing.assert_allclose(trace["error_y"]["array"], arms, rtol=1e-2)
    assert "error_x" not in trace  # what is counted has no doubt to draw
    line = next(one for one in figure.data if one.get("mode") == "lines")
    steps = np.stack([line["x"], line["y"]], axis=1)
    assert non_dominated(steps).all()
    assert {*line["y"]} <= {*trace["y"]}
    assert "A tick with a broad bar is what is believed" in figure.caption


def test_the_table_and_the_cards_have_both_figures(run: RunData) -> None:
    metrics = {metric["name"]: metric for metric in trial_columns(run)["metrics"]}
    loss, macs = metrics["val_loss"], metrics["macs"]
    assert macs["belief"] == []
    for place, trial in enumerate(run.trials):
        believed = run.believed(trial.number)
        assert (loss["belief"][place] is None) == (not believed)
        if believed:
            value, low, high = loss["belief"][place]
            assert low < value < high
    for pick in picks(run):
        names = [name for name, _ in pick.values]
        assert names == ["validation loss", "validation loss, believed", "MACs"]
        assert pick.p_front >= 0.5


def test_the_recommended_network_is_the_best_that_is_believed(run: RunData) -> None:
    """Of the members that are not in doubt; not the best that was observed."""
    sure = [run.as_believed(m.trial) for m in run.members if not m.doubtful]
    least = sure[int(oriented(sure, run.objectives)[:, 0].argmin())]
    (pick,) = (pick for pick in picks(run) if "validation loss" in pick.why)
    assert pick.number == least.number


def test_a_run_of_counted_objectives_shows_no_beliefs(tmp_path: Path) -> None:
    """Nothing there is in doubt, and nothing on the page changes."""
    path = write_run(tmp_path / "counted", make_trials(28), "params: minimize, macs: minimize")
    run = load_run(path)
    assert run.beliefs is None
    (figure,) = front_figures(run, 0, [])
    assert all(entry.text != "what is believed" for entry in figure.legend)
    assert "believed" not in figure.caption
    assert versus.section(ShownRun(run, 0)) is None


def test_operators_are_compared_at_equal_cost(run: RunData) -> None:
    found = versus.section(ShownRun(run, 0))
    assert found is not None
    text = str(found.blocks)
    assert "Validation loss at equal MACs" in text
    assert "networks, MACs regressed out" in text
