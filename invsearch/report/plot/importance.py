"""Which choices matter, drawn: a row per parameter, a mark with its interval per objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invsearch.report.importance import Importance
from invsearch.report.plot.figure import Figure, Trace, run_colour
from invsearch.report.text import plot_text, short
from invsearch.value import rounded

__all__ = ["importance_figure", "ranked_parameters"]

_MOST = 12  # parameters drawn: a figure of one screen with two objectives
_SYMBOLS = ("circle", "square", "diamond", "triangle-up")
_LABEL = 24  # pixels of a row above its first mark: the name at 12 px with room around it
_MARK = 10  # pixels from mark to mark, one more than a mark is wide


def ranked_parameters(found: Sequence[Importance]) -> list[str]:
    """Return the parameters, that which matters most to any objective first."""
    most: dict[str, float] = {}
    for one in found:
        most[one.parameter] = max(one.value, most.get(one.parameter, one.value))
    return sorted(most, key=lambda name: -most[name])


def importance_figure(
    found: Sequence[Importance], *, known: bool, labels: Mapping[str, str] | None = None
) -> Figure | None:
    """Draw importances.

    Args:
        found: What :func:`invsearch.report.importance.importances` returns.
        known: Whether metrics mean what the suite means by them.
        labels: What parameters are called for people, where that is not their name.

    Returns:
        The figure; None where there is nothing to draw.
    """
    if not found:
        return None
    labels = labels or {}
    shown = ranked_parameters(found)[:_MOST]
    objectives = list(dict.fromkeys(one.objective for one in found))
    row = _LABEL + _MARK * len(objectives)
    figure = Figure(title="Which choices matter", height=80 + row * len(shown))
    for place, objective in enumerate(objectives):
        by_name = {one.parameter: one for one in found if one.objective == objective}
        offset = (_LABEL + _MARK * place) / row - 0.5
        trace = _trace([by_name[name] for name in shown], place, offset, labels)
        name = f"for {short(objective, known=known)}"
        figure.add(name, _SYMBOLS[place % len(_SYMBOLS)], run_colour(place), trace)
    figure.layout = _layout([labels.get(name, name) for name in shown], (_LABEL - 7) / row - 0.5)
    left = len(ranked_parameters(found)) - len(shown)
    figure.caption = _CAPTION + (f" The {left} that matter least are left out." if left else "")
    return figure


def _trace(
    rows: Sequence[Importance], place: int, offset: float, labels: Mapping[str, str]
) -> Trace:
    colour = f"@{run_colour(place)}"
    return {
        "mode": "markers",
        "x": [rounded(row.value, 4) for row in rows],
        "y": [index + offset for index in range(len(rows))],
        "marker": {"symbol": _SYMBOLS[place % len(_SYMBOLS)], "size": 9, "color": colour},
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 0, "color": colour,
            "array": [rounded(row.high - row.value, 4) for row in rows],
            "arrayminus": [rounded(row.value - row.low, 4) for row in rows],
        },
        "hoverinfo": "text",
        "hovertext": [
            f"<b>{plot_text(labels.get(row.parameter, row.parameter))}</b>"
            f"<br>{row.value:.0%} of the variance"
            f"<br>95 % interval {row.low:.0%} to {row.high:.0%}"
            for row in rows
        ],
    }  # fmt: skip


def _layout(names: Sequence[str], foot: float) -> Trace:
    labels = [
        {
            "name": "row", "text": plot_text(name), "xref": "paper", "x": 0, "xanchor": "left",
            "y": index + foot,
            "yanchor": "bottom", "yref": "y", "showarrow": False, "font": {"size": 12},
            "bgcolor": "@surface", "borderpad": 1,
        }
        for index, name in enumerate(names)
    ]  # fmt: skip
    return {
        "xaxis": {
            "title": {"text": "variance lost when shuffled"},
            "automargin": True, "tickformat": ".0%", "zeroline": True, "zerolinecolor": "@muted",
        },
        "margin": {"l": 8, "t": 8},
        "yaxis": {
            "range": [len(names) - 0.4, -0.6], "showticklabels": False, "showgrid": False,
            "ticks": "", "fixedrange": True, "showline": False,
        },
        "annotations": labels,
    }  # fmt: skip


_CAPTION = (
    "Permutation importance: the share of an objective's variance that a random forest predicts"
    " wrongly in addition once a parameter's values are shuffled among the trials that have it, on"
    " trials the forest has not seen. Bars are 95 % intervals over bootstrap replicates; what"
    " reaches zero has shown no effect. Always over all complete trials, whatever is selected."
)
