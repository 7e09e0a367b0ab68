"""Predicted against measured latency: from the run's files alone, never flattering itself."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from invsearch.metrics import Metric
from invsearch.report.agreement import LatencyPair, agreement, predictions
from invsearch.report.page import render
from invsearch.report.plot.latency import latency_figure
from invsearch.report.sections.cost import latency_remark
from invsearch.report.shown import PageMaterial
from invsearch.runs import RunData, Trial
from invsearch.space.architecture import Architecture

SPACE = """\
name: t
objectives: {macs: minimize, latency_ms: minimize}
model: {family: rednet}
space: {depth: {choice: [26, 38, 50]}}
"""
TABLE = {
    "entries": {"block a": {}, "block b": {}},
    "networks": [{"architecture": {"depth": 26}}],
    "calibration": {"ratio": 1.25, "constant_ms": -0.5, "spread": 0.04, "networks": 8},
}


def latency(value: float, told: float | None) -> Metric:
    detail = {}
    if told is not None:
        detail = {"predicted": {"value": told, "low": 0.9 * told, "high": 1.1 * told}}
    return Metric("latency_ms", value, "measured", value - 0.1, value + 0.1, detail=detail)


def trial(number: int, depth: int, metric: Metric) -> Trial:
    metrics = {"macs": Metric("macs", 1e6 * depth, "counted"), "latency_ms": metric}
    return Trial(
        number=number,
        state="complete",
        architecture=Architecture((("depth", depth),)),
        metrics=metrics,
        constraints={},
        origin="sampler",
        seed=0,
        environment="here",
        error=None,
    )


def run_of(path: Path, trials: list[Trial], table: object = None) -> RunData:
    if table is not None:
        (path / "latency_table.json").write_text(json.dumps(table))
    return RunData(path=path, trials=tuple(trials), space_text=SPACE)


def points(predicted: list[float], measured: list[float]) -> list[LatencyPair]:
    return [
        LatencyPair(
            number, Metric("latency_ms", a, "predicted"), Metric("latency_ms", b, "measured")
        )
        for number, (a, b) in enumerate(zip(predicted, measured, strict=True))
    ]


@given(
    st.lists(
        st.tuples(st.integers(1, 9).map(float), st.integers(1, 9).map(float)),
        min_size=3,
        max_size=30,
    )
)
def test_the_rank_correlation_is_spearmans(pairs: list[tuple[float, float]]) -> None:
    """Ties included; nothing is told where one side is constant."""
    predicted, measured = map(list, zip(*pairs, strict=True))
    found = agreement(points(predicted, measured))
    assert found is not None
    if len(set(predicted)) == 1 or len(set(measured)) == 1:
        assert found.rank_correlation is None
        return
    expected = stats.spearmanr(predicted, measured).statistic
    assert found.rank_correlation == pytest.approx(expected, abs=1e-12)


def test_the_error_is_relative_to_what_was_measured() -> None:
    found = agreement(points([11.0, 18.0], [10.0, 20.0]))
    assert found is not None
    assert found.error == pytest.approx(0.1)
    assert found.rank_correlation is None
    assert agreement([]) is None


def test_the_figure_says_how_well_trials_were_predicted(tmp_path: Path) -> None:
    """In words, over trials that the fit did not use; those are drawn apart."""
    trials = [
        trial(0, 26, latency(30.0, 10.0)),
        trial(1, 38, latency(10.0, 11.0)),
        trial(2, 50, latency(20.0, 22.0)),
        trial(3, 101, latency(50.0, 75.0)),
    ]
    run = run_of(tmp_path, trials, TABLE)
    assert [point.fitted for point in predictions(trials, TABLE)] == [True, False, False, False]
    figure = latency_figure(run, 0)
    assert figure is not None
    assert (
        "Over 3 trials that the fit did not use the prediction was off by 23.3%" in figure.caption
    )
    assert "rank correlation is 1.000" in figure.caption
    assert "2 of 3 measurements lie" in figure.caption
    assert "1.25 times the sum of a network's blocks minus 0.5 ms" in figure.caption
    drawn = [trace for trace in figure.data if trace["mode"] == "markers"]
    assert [trace["customdata"] for trace in drawn] == [[1, 2, 3], [0]]
    assert drawn[0]["error_x"]["array"] == pytest.approx([1.1, 2.2, 7.5])
    assert latency_remark(run) == ""


@pytest.mark.parametrize("table", [None, 3, {"entries": {}}])
def test_without_a_readable_table_the_trials_still_tell(tmp_path: Path, table: object) -> None:
    run = run_of(tmp_path, [trial(0, 26, latency(10.0, 11.0))], table)
    figure = latency_figure(run, 0)
    assert figure is not None
    assert "off by 10.0%" in figure.caption
    assert "blocks" not in figure.caption


def test_where_nothing_was_predicted_a_sentence_tells_how_to(tmp_path: Path) -> None:
    run = run_of(tmp_path, [trial(0, 26, latency(10.0, None))])
    assert latency_figure(run, 0) is None
    assert "latency: {table: true}" in latency_remark(run)
    assert "never predicted" in render(PageMaterial([run], (), {}, (), ()))


def test_predicted_alone_is_no_measurement(tmp_path: Path) -> None:
    """A trial that was refused on its prediction has nothing to compare it with."""
    refused = trial(0, 26, Metric("latency_ms", 9.0, "predicted", 8.0, 10.0))
    assert predictions([refused]) == []


def test_the_page_holds_the_figure(tmp_path: Path) -> None:
    rng = random.Random(0)
    trials = [trial(i, 26 + i, latency(10.0 + i, 10.0 + i + rng.random())) for i in range(9)]
    html = render(PageMaterial([run_of(tmp_path, trials, TABLE)], (), {}, (), ()))
    assert 'id="run0-latency0"' in html
    assert "Latency: predicted against measured" in html
