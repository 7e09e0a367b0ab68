"""A figure as plain plotly data; colours are names that the page replaces by its theme's."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from invsearch.metrics import Metric, base_metric
from invsearch.report.text import axis_title, plot_text, short
from invsearch.runs import RunData, Trial
from invsearch.value import rounded

__all__ = ["COUNTED", "Axis", "Figure", "LegendEntry", "Trace", "heading", "pairs", "run_colour"]

Trace = dict[str, Any]

COUNTED = ("macs", "params")

# What lies on the x axis when two objectives meet: the first of these, else the later objective.
_COSTS = (*COUNTED, "peak_memory_bytes", "latency_ms", "energy_mj")


@dataclass(frozen=True)
class LegendEntry:
    """One line of a figure's key.

    Attributes:
        text: What it stands for.
        symbol: Plotly's name of the marker, ``line`` or ``ring``.
        colour: Name of the theme's colour.
        hollow: Whether the marker is drawn as an outline.
        traces: Indices of the traces that its button shows and hides.
        dash: Of a line, as plotly names it; empty where it is a solid step.
    """

    text: str
    symbol: str
    colour: str
    hollow: bool = False
    traces: tuple[int, ...] = ()
    dash: str = ""


@dataclass
class Figure:
    """A figure of the page.

    Attributes:
        title: Its heading.
        caption: What must be known to read it.
        height: Height in CSS pixels.
        data: Plotly traces.
        layout: Plotly layout.
        legend: Its key.
        build: Name of the page's own function that draws it from the trials; empty where ``data``
            and ``layout`` say it all.
        options: What that function needs to know.
        selectable: Whether choosing points in it selects trials.
    """

    title: str
    caption: str = ""
    height: int = 440
    data: list[Trace] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    legend: list[LegendEntry] = field(default_factory=list)
    build: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    selectable: bool = False

    def add(
        self, text: str, symbol: str, colour: str, trace: Trace, *, hollow: bool = False
    ) -> None:
        """Add a trace and its line in the key."""
        self.add_together(text, symbol, colour, [trace], hollow=hollow)

    def add_together(
        self,
        text: str,
        symbol: str,
        colour: str,
        traces: Sequence[Trace],
        *,
        hollow: bool = False,
        dash: str = "",
    ) -> None:
        """Add traces that share one line in the key."""
        places = tuple(range(len(self.data), len(self.data) + len(traces)))
        self.legend.append(LegendEntry(text, symbol, colour, hollow, places, dash))
        self.data += [{"type": "scatter", "showlegend": False, **trace} for trace in traces]

    def to_json(self) -> dict[str, Any]:
        """Return what the page's script needs to draw it."""
        found: dict[str, Any] = {"data": self.data, "layout": self.layout}
        if self.build:
            found["build"] = self.build
            found["options"] = self.options
        return {**found, "selectable": self.selectable}


@dataclass(frozen=True)
class Axis:
    """One objective as an axis.

    Attributes:
        run: The run.
        metric: The objective; None stands for the trial's number.
    """

    run: RunData
    metric: str | None

    @property
    def title(self) -> str:
        """The axis title, escaped for plotly."""
        if self.metric is None:
            return "trial"
        direction = self.run.objectives.get(self.metric)
        return plot_text(axis_title(self.metric, direction, known=self.run.outline.model))

    @property
    def name(self) -> str:
        """The objective's name in a sentence."""
        return "trial" if self.metric is None else short(self.metric, known=self.run.outline.model)

    @property
    def maximized(self) -> bool:
        """Whether more is better."""
        return self.metric is not None and self.run.objectives.get(self.metric) == "maximize"

    @property
    def counted(self) -> bool:
        """Whether it is a cost that the suite counts."""
        return self.run.outline.model and self.metric in COUNTED

    def values(self, trials: Iterable[Trial]) -> list[float]:
        """Return the trials' coordinates."""
        if self.metric is None:
            return [trial.number for trial in trials]
        return [rounded(trial.metrics[self.metric].value) or 0.0 for trial in trials]

    def bars(self, trials: Sequence[Trial], colour: str) -> Trace | None:
        """Return plotly's error bars for 95 % intervals, None where no trial has one."""
        metrics = [trial.metrics[self.metric] for trial in trials] if self.metric else []
        arms = [_arms(metric) for metric in metrics]
        if not any(below or above for below, above in arms):
            return None
        return {
            "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": colour,
            "arrayminus": [below for below, _ in arms], "array": [above for _, above in arms],
        }  # fmt: skip


def _arms(metric: Metric) -> tuple[float, float]:
    if metric.low is None or metric.high is None:
        return 0.0, 0.0
    below, above = metric.value - metric.low, metric.high - metric.value
    return rounded(max(0.0, below), 4) or 0.0, rounded(max(0.0, above), 4) or 0.0


def pairs(run: RunData) -> list[tuple[Axis, Axis]]:
    """Return ``(x, y)`` per pair of objectives, costs on x; a single one is against trials."""
    names = list(run.objectives)
    if len(names) == 1:
        return [(Axis(run, None), Axis(run, names[0]))]
    return [_ordered(run, *pair) for pair in itertools.combinations(names, 2)]


def _ordered(run: RunData, first: str, second: str) -> tuple[Axis, Axis]:
    def rank(name: str) -> int:
        base, _ = base_metric(name)
        return _COSTS.index(base) if run.outline.model and base in _COSTS else len(_COSTS)

    x, y = (first, second) if rank(first) < rank(second) else (second, first)
    return Axis(run, x), Axis(run, y)


_RUN_COLOURS = 6  # run0 to run5 in the style sheet: as many as can be held apart without full sight


def run_colour(place: int) -> str:
    """Return the colour of the run, strategy or objective in that place, from the first again."""
    return f"run{place % _RUN_COLOURS}"


def heading(text: str, ref: str) -> dict[str, Any]:
    """Return the title of a y axis, written level above its panel.

    Args:
        text: The title, escaped.
        ref: The panel as plotly names it, such as ``y domain``.

    The page's script breaks what is named so into lines where it is too long.
    """
    return {
        "name": "heading", "text": text, "xref": "paper", "x": 0, "xanchor": "left",
        "yref": ref, "y": 1, "yanchor": "bottom", "yshift": 6, "showarrow": False, "align": "left",
    }  # fmt: skip
