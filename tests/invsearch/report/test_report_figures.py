"""Figures: what is drawn, where, and what is never mixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import PAPER, Writer, make_paper, make_trials

from invsearch.metrics import Metric, Source
from invsearch.report.blocks import Grid
from invsearch.report.importance import importances
from invsearch.report.paper import convention_of, paper_points
from invsearch.report.plot.compared import compared_fronts
from invsearch.report.plot.figure import Figure
from invsearch.report.plot.front import SYMBOLS, front_figures
from invsearch.report.plot.hypervolume import compared_hypervolume, hypervolume_figure
from invsearch.report.plot.importance import importance_figure
from invsearch.report.plot.published import paper_figures
from invsearch.report.sections.compared import section as compared
from invsearch.report.shown import PageMaterial
from invsearch.runs import RunData, Trial, load_run
from invsearch.space.architecture import Architecture


def draw(path: Path) -> list[Figure]:
    return front_figures(load_run(path), 0, make_paper())


def plain(value: Any) -> Any:
    """Replace the theme's colour names by a colour that plotly knows."""
    if isinstance(value, str):
        return "#000" if value.startswith("@") else value
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    "objectives",
    [
        "val_loss: minimize",
        "val_loss: minimize, macs: minimize",
        "top1: maximize, params: minimize, macs: minimize, latency_ms: minimize",
    ],
)
def test_every_figure_is_valid_for_plotly(writer: Writer, objectives: str) -> None:
    """A misspelt property would be dropped in silence by the browser."""
    import plotly.graph_objects as go

    path = writer(objectives=objectives)
    figures = draw(path)
    count = objectives.count(":")
    assert len(figures) == max(1, count * (count - 1) // 2)
    run = load_run(path)
    found = importances(run.trials, run.objectives)
    more = [
        hypervolume_figure(run, 0),
        hypervolume_figure(run, 0, "time"),
        compared_hypervolume([run, run], "time"),
        importance_figure(found, known=True),
        *paper_figures(PAPER),
    ]
    assert None not in more
    for figure in filter(None, [*figures, *more]):
        go.Figure(data=plain(figure.data), layout=plain(figure.layout))
        drawn = [index for entry in figure.legend for index in entry.traces]
        assert sorted(drawn) == list(range(len(figure.data)))


def test_only_comparable_trials_are_drawn(writer: Writer) -> None:
    """Stopped, failed and infeasible trials are never shown as complete."""
    path = writer(60)
    states = {trial.number: trial.state for trial in load_run(path).trials}
    assert len(set(states.values())) == 4
    (figure,) = draw(path)
    shown = {number for trace in figure.data for number in trace.get("customdata", [])}
    assert shown == {number for number, state in states.items() if state == "complete"}
    assert "Not drawn, but in the table" in figure.caption


def test_published_errors_on_imagenet_get_a_panel_of_their_own(writer: Writer) -> None:
    """A published ImageNet error and a trained error on digits never share an axis."""
    for objectives in ("error: minimize, macs: minimize", "latency_ms: minimize, macs: minimize"):
        (figure,) = draw(writer(objectives=objectives, folder=objectives[:5]))
        paper = [trace for trace in figure.data if "hovertext" in trace]
        assert [trace["yaxis"] for trace in paper] == ["y2", "y2"]
        titles = [note["text"] for note in figure.layout["annotations"]]
        assert "published ImageNet top-1 error" in titles[1]
        assert max(paper[0]["y"]) < 30
        assert "lower panel" in figure.caption


@pytest.mark.parametrize(("metric", "first"), [("top1", 75.9), ("error", 24.1)])
def test_published_runs_share_the_papers_axis(writer: Writer, metric: str, first: float) -> None:
    """Where the run's own accuracy is the published one, the axis is the same."""
    direction = "maximize" if metric == "top1" else "minimize"
    (figure,) = draw(
        writer(objectives=f"{metric}: {direction}, macs: minimize", source="published")
    )
    paper = [trace for trace in figure.data if "hovertext" in trace]
    assert [trace["yaxis"] for trace in paper] == ["y", "y"]
    assert paper[0]["y"][0] == pytest.approx(first)
    assert "read off the paper" in paper[1]["hovertext"][0]


def test_counts_of_the_paper_share_the_axes_of_counts(writer: Writer) -> None:
    """Parameters against MACs: both are counted here for both."""
    (figure,) = draw(writer(objectives="params: minimize, macs: minimize"))
    paper = [trace for trace in figure.data if "hovertext" in trace]
    assert paper[0]["yaxis"] == "y"
    assert paper[0]["y"][0] == pytest.approx(9.23e6)


def test_metrics_of_an_evaluator_are_not_compared_with_the_paper(tmp_path: Path) -> None:
    """An evaluator's ``macs`` is its own; the paper has no place there."""
    space = "name: x\nobjectives: {error: minimize, macs: minimize}\nevaluator: a:b\n"
    run = RunData(tmp_path, tuple(make_trials(6)), {}, space)
    (figure,) = front_figures(run, 0, make_paper())
    assert not [trace for trace in figure.data if "hovertext" in trace]


def test_costs_lie_on_the_x_axis_and_intervals_are_bars(writer: Writer) -> None:
    """MACs are on x whichever objective comes first; an exact metric has no bar."""
    for objectives in ("val_loss: minimize, macs: minimize", "macs: minimize, val_loss: minimize"):
        (figure,) = draw(writer(objectives=objectives, folder=objectives[:4]))
        assert "MACs" in figure.layout["xaxis"]["title"]["text"]
        front = next(t for t in figure.data if t.get("marker", {}).get("size") == 11)
        assert "error_y" in front
        assert "error_x" not in front


def test_doubtful_members_are_hollow_and_baselines_ringed(writer: Writer) -> None:
    """Hollow means more likely dominated than not; a ring means baseline."""
    path = writer(40, "error: minimize, macs: minimize, latency_ms: minimize", seed=4)
    run = load_run(path)
    doubtful = {member.trial.number for member in run.members if member.doubtful}
    assert doubtful
    figure = draw(path)[0]
    by_symbol = {
        (trace["marker"]["symbol"], trace["marker"]["size"]): set(trace["customdata"])
        for trace in figure.data
        if "customdata" in trace
    }
    assert by_symbol["circle-open", 11] == doubtful
    assert by_symbol["circle-open", 17] == set(range(5))


def test_sources_are_told_apart_by_shape_and_in_words() -> None:
    """Two sources of one metric in one figure are two shapes and two lines of the key."""
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)
    space = "objectives: {latency_ms: minimize, macs: minimize}\nmodel: {}\n"
    sources: list[Source] = ["measured", "predicted"]
    trials = tuple(
        Trial(
            number,
            "complete",
            Architecture((("x", number),)),
            {
                "latency_ms": Metric("latency_ms", 9.0 - number, source),
                "macs": Metric("macs", 1e9 + number, "counted"),
            },
        )
        for number, source in enumerate(sources)
    )
    (figure,) = front_figures(RunData(Path("x"), trials, {}, space), 0, [])
    texts = {entry.text: entry.symbol for entry in figure.legend}
    assert texts["front (latency measured, MACs counted)"] == "square"
    assert texts["front (latency predicted, MACs counted)"] == "triangle-up"


def test_runs_are_compared_in_one_box(writer: Writer) -> None:
    """Shares of different boxes could not be compared."""
    runs = [load_run(writer(folder=name, seed=place)) for place, name in enumerate("ab")]
    together, alone = compared_hypervolume(runs), hypervolume_figure(runs[0], 0)
    assert together is not None
    assert alone is not None
    assert [entry.text for entry in together.legend] == ["nsga2, 2 seeds"]
    ends = {trace["y"][-1] for trace in together.data}
    assert alone.data[0]["y"][-1] not in ends


def test_the_band_spans_the_seeds_of_one_strategy(writer: Writer) -> None:
    """From the worst seed to the best, around their mean; a strategy run once is a line alone."""
    runs = [load_run(writer(folder=name, seed=place)) for place, name in enumerate("abc")]
    once = load_run(writer(folder="d", seed=3))
    text = once.space_text.replace("nsga2", "random")
    figure = compared_hypervolume([*runs, replace(once, space_text=text)])
    assert figure is not None
    assert [entry.text for entry in figure.legend] == ["nsga2, 3 seeds", "random"]
    assert [len(entry.traces) for entry in figure.legend] == [2, 1]
    band, mean = (figure.data[index] for index in figure.legend[0].traces)
    half = len(band["y"]) // 2
    high, low = band["y"][:half], band["y"][half:][::-1]
    assert all(a - 1e-3 <= b <= c + 1e-3 for a, b, c in zip(low, mean["y"], high, strict=True))
    assert any(a < c for a, c in zip(low, high, strict=True))


def test_time_is_told_in_a_unit_that_fits(writer: Writer) -> None:
    """The same share against seconds, minutes or hours, from the first start."""
    path = writer(60)
    figure = hypervolume_figure(load_run(path), 0, "time")
    assert figure is not None
    assert figure.layout["xaxis"]["title"]["text"] == "time (min)"
    assert figure.data[0]["x"][0] == pytest.approx(9 / 60, rel=1e-4)
    assert figure.data[0]["y"] == sorted(figure.data[0]["y"])


def test_the_paper_is_counted_here_by_the_runs_convention() -> None:
    """Published accuracy against our own counts, which the paper's convention confirms."""
    points = {point.network.name: point for point in paper_points("paper")}
    assert len(points) == 10
    for point in points.values():
        if point.network.status == "published":
            assert round(point.params / 1e6, 2) == point.network.params_m
            assert round(point.macs / 1e9, 2) == point.network.macs_g
    assert {point.convention for point in paper_points()} == {"fvcore"}
    assert convention_of(make_trials(2)) == "fvcore"
    assert convention_of([]) == "fvcore"


def test_fronts_of_several_runs_are_drawn_together(writer: Writer) -> None:
    """Each run in its own shape and colour, doubtful members hollow, every member once."""
    runs = [load_run(writer(40, folder=name, seed=place)) for place, name in enumerate("ab")]
    (figure,) = compared_fronts(runs)
    assert [entry.text for entry in figure.legend] == ["a", "b"]
    for index, run in enumerate(runs):
        own = [trace for trace in figure.data if trace.get("meta") == {"run": index}]
        drawn = sorted(number for trace in own for number in trace["customdata"])
        assert drawn == sorted(member.trial.number for member in run.members)
        hollow = [trace for trace in own if "open" in trace["marker"]["symbol"]]
        doubtful = {member.trial.number for member in run.members if member.doubtful}
        assert {number for trace in hollow for number in trace["customdata"]} == doubtful
    found = compared(PageMaterial(runs))
    assert found is not None
    grid = found.blocks[0]
    assert isinstance(grid, Grid)
    assert [len(row) for row in grid.rows] == [len(grid.heads)] * 2


def test_fronts_with_other_sources_say_so(writer: Writer) -> None:
    """A published accuracy beside a trained one is named in the key."""
    runs = [
        load_run(writer(20, folder=source, source=source)) for source in ("trained", "published")
    ]
    (figure,) = compared_fronts(runs)
    texts = [entry.text for entry in figure.legend]
    assert "validation loss trained" in texts[0]
    assert "validation loss published" in texts[1]


def test_what_spans_much_is_drawn_on_a_logarithmic_axis() -> None:
    """An evaluator's metric over four decades, and never one that reaches zero."""
    trials = [
        Trial(
            number,
            "complete",
            Architecture((("x", number),)),
            {
                "a": Metric("a", 10.0**number, "evaluated"),
                "b": Metric("b", 4.0 - number, "evaluated"),
            },
        )
        for number in range(5)
    ]
    space = "objectives: {a: minimize, b: minimize}\nevaluator: x:y\n"
    (figure,) = front_figures(RunData(Path("x"), tuple(trials), {}, space), 0, [])
    assert [figure.layout[axis].get("type") for axis in ("xaxis", "yaxis")] == [None, "log"]


def test_a_panel_of_the_paper_is_not_repeated(writer: Writer) -> None:
    """Once for each cost; what holds for all pairs is said below the first."""
    objectives = "error: minimize, macs: minimize, latency_ms: minimize"
    figures = draw(writer(objectives=objectives))
    panels = ["yaxis2" in figure.layout for figure in figures]
    assert panels == [True, False, False]
    assert ["95 %" in figure.caption for figure in figures] == [True, False, False]
