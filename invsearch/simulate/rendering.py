"""A simulation as plain data for --json, and as a table for the terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from invsearch.simulate.curve import Curve
from invsearch.simulate.simulation import Simulation

__all__ = ["simulation_json", "simulation_table"]

_GOALS = (0.9, 0.95, 0.99)  # shares of the hypervolume that one waits for
_MINUTE_S, _HOUR_S = 60, 3600


def simulation_json(simulation: Simulation) -> dict[str, Any]:
    """Everything: per number of workers the means over seeds, and each seed's curve."""
    return {
        "space": simulation.name,
        "strategy": simulation.strategy,
        "trials": simulation.trials,
        "seconds_per_trial": str(simulation.durations),
        "table": simulation.table,
        "hypervolume_of": simulation.yardstick.of,
        "reference": list(simulation.yardstick.reference),
        "rows": [_row(curves) for curves in _by_workers(simulation)],
    }


def simulation_table(simulation: Simulation) -> Table:
    """A row a number of workers: means over the seeds."""
    table = Table(
        title=f"{simulation.name}: {simulation.trials} trials by {simulation.strategy}, "
        f"{simulation.durations.words}; hypervolume as a share of {simulation.yardstick.of}",
        title_justify="left",
    )
    goals = [f"to {goal:.0%}" for goal in _GOALS]
    heads = ("workers", "wall-clock", "device-hours", "rented", "hypervolume", *goals)
    for head in heads:
        table.add_column(head, justify="right")
    for curves in _by_workers(simulation):
        row = _row(curves)
        table.add_row(
            str(row["workers"]),
            _clock(row["wall_clock_s"]),
            f"{row['device_hours']:.3g}",
            f"{row['rented_device_hours']:.3g}",
            f"{row['hypervolume']:.4f}",
            *(_clock(row["seconds_to"][f"{goal:g}"]) for goal in _GOALS),
        )
    return table


def _by_workers(simulation: Simulation) -> list[list[Curve]]:
    numbers = dict.fromkeys(curve.workers for curve in simulation.curves)
    return [[curve for curve in simulation.curves if curve.workers == n] for n in numbers]


def _row(curves: Sequence[Curve]) -> dict[str, Any]:
    return {
        "workers": curves[0].workers,
        "wall_clock_s": statistics.fmean(curve.end.wall_clock_s for curve in curves),
        "device_hours": statistics.fmean(curve.end.device_hours for curve in curves),
        "rented_device_hours": statistics.fmean(curve.rented_device_hours for curve in curves),
        "hypervolume": statistics.fmean(curve.end.hypervolume for curve in curves),
        "seconds_to": {f"{goal:g}": _mean_to(curves, goal) for goal in _GOALS},
        "curves": [
            {
                "seed": curve.seed,
                "trials": [point.trials for point in curve.reached],
                "wall_clock_s": [round(point.wall_clock_s, 3) for point in curve.reached],
                "device_hours": [round(point.device_hours, 6) for point in curve.reached],
                "hypervolume": [round(point.hypervolume, 6) for point in curve.reached],
            }
            for curve in curves
        ],
    }


def _mean_to(curves: Sequence[Curve], goal: float) -> float | None:
    """The mean over seeds; None where a seed never got there."""
    times = [curve.seconds_to(goal) for curve in curves]
    reached = [time for time in times if time is not None]
    return statistics.fmean(reached) if len(reached) == len(times) else None


def _clock(seconds: float | None) -> str:
    """Seconds for people: 45 s, 12.5 min, 3.2 h."""
    if seconds is None:
        return "-"
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.3g} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.3g} min"
    return f"{seconds / _HOUR_S:.3g} h"
