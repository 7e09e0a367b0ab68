"""The terminal view of a search: progress, speed, the front so far, failures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from invsearch.metrics import Direction, Metric
from invsearch.runs import Beliefs, FrontMember, Trial, front
from invsearch.runs.bounds import broken_bounds
from invsearch.runs.columns import shown_name, tested
from invsearch.search.executors import WorkerState
from invsearch.search.remaining import remaining
from invsearch.search.session import Session
from invsearch.value import compact

__all__ = ["LiveView", "format_metric", "front_table"]

_ROWS = 12  # of the front, with the lines above it: half of a terminal of 24
_FRONT_REST = 50  # its time grows with the run: at most a fiftieth of the search goes into it
_WORKERS = 6  # lines of them: the front matters more
_SILENT_S = 5.0  # longer than workers are between two signs of life, by default
_SHORTENED = 1e4  # four digits take no more room than three and a letter


class LiveView:
    """Shows a session while it runs; plain lines where the output is no terminal that can move.

    Nothing that happens here ends a search: what cannot be shown is left out.

    Args:
        console: Where to show it; standard error, so that standard output stays free.
        name: The space's name.
    """

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._session: Session | None = None
        self._told = 0
        self._members: list[FrontMember] = []
        self._members_of = -1
        self._members_due = 0.0
        self._moves = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(
            console=console, get_renderable=self._shown, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> LiveView:
        if self._moves:
            with suppress(Exception):
                self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(Exception):
            self._live.stop()

    def update(self, session: Session) -> None:
        """Take in a change of the session."""
        with suppress(Exception):
            self._tell(session)

    def _tell(self, session: Session) -> None:
        if self._session is None:
            self._told = session.resumed
        self._session = session
        new = session.trials[self._told :]
        self._told = len(session.trials)  # first: a line that cannot be shown is not tried again
        for trial in new:
            if trial.state == "failed" or not self._moves:
                self._console.print(_line(trial, session), soft_wrap=True)

    def _shown(self) -> RenderableType:
        try:
            return self._render()
        except Exception:
            return Text("")

    def _render(self) -> RenderableType:
        session = self._session
        if session is None:
            return Text(f"{self._name}: starting")
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=session.trials_wanted, completed=session.counted, width=30)
        head.add_row(Text(self._name, style="bold"), bar, _status(session))
        self._find_members(session)
        table = front_table(self._members, session.problem.objectives, rows=_ROWS)
        return Group(head, *_workers(session), table)

    def _find_members(self, session: Session) -> None:
        """Find the front anew where it may have changed and the time that takes is small."""
        trials, began = list(session.trials), time.monotonic()
        if self._members_of == len(trials) or began < self._members_due:
            return
        objectives = session.problem.objectives
        beliefs = session.folder.beliefs(trials, objectives)
        self._members = front(trials, objectives, beliefs=beliefs, draws=200)
        self._members_of = len(trials)
        self._members_due = began + _FRONT_REST * (time.monotonic() - began)


def front_table(
    members: Sequence[FrontMember],
    objectives: Mapping[str, Direction],
    rows: int | None = None,
    beliefs: Beliefs | None = None,
) -> Table:
    """The front as a table, best by the first objective first.

    Args:
        members: Of the front.
        objectives: Direction by metric.
        rows: How many are shown; None for all.
        beliefs: What is believed of them, beside what was observed.
    """
    table = Table(title=f"front ({len(members)})", title_justify="left", box=None, padding=(0, 2))
    table.add_column("trial", justify="right", no_wrap=True)
    for name, direction in objectives.items():
        arrow = "↓" if direction == "minimize" else "↑"
        table.add_column(Text(f"{name} {arrow}"), justify="right", no_wrap=True)
    uncertain = beliefs.uncertain if beliefs is not None else ()
    for name in uncertain:
        table.add_column(Text(f"{name} believed"), justify="right", no_wrap=True)
    tests = tested(objectives, [member.trial for member in members])
    for name in tests:
        table.add_column(Text(name), justify="right", no_wrap=True)
    table.add_column("stays", justify="right", no_wrap=True)
    table.add_column("architecture")
    for member in members[:rows]:
        trial = member.trial
        doubtful = member.p_front < 0.5
        table.add_row(
            str(trial.number),
            *(format_metric(trial.metrics[name]) for name in objectives),
            *(_believed(beliefs, trial, name) for name in uncertain),
            *(_tested(trial, name) for name in tests),
            f"{member.p_front:.0%}",
            _settings(trial),
            style="dim" if doubtful else None,
        )
    return table


def _tested(trial: Trial, name: str) -> str:
    return format_metric(trial.metrics[name]) if name in trial.metrics else ""


def _believed(beliefs: Beliefs | None, trial: Trial, name: str) -> str:
    return format_metric(beliefs.applied(trial).metrics[name]) if beliefs is not None else ""


def _settings(trial: Trial) -> Text:
    """The architecture on one line, cut where the terminal ends."""
    settings = " ".join(
        f"{shown_name(key, trial)}={value}" for key, value in trial.architecture.items()
    )
    return Text(settings, no_wrap=True, overflow="ellipsis")


def format_metric(metric: Metric) -> str:
    """A metric for people: thousands shortened, the half-width of the interval beside it."""
    value = _short(metric.value)
    if metric.low is None or metric.high is None or metric.high == metric.low:
        return value
    return f"{value} ±{_short((metric.high - metric.low) / 2)}"


def _short(value: float) -> str:
    digits = 4 if 100 <= abs(value) < _SHORTENED else 3
    return compact(value, digits, least=_SHORTENED)


def _line(trial: Trial, session: Session) -> Text:
    wanted = [name for name in session.problem.objectives if name in trial.metrics]
    metrics = "  ".join(f"{name} {format_metric(trial.metrics[name])}" for name in wanted)
    values = {name: metric.value for name, metric in trial.metrics.items()}
    broken = broken_bounds(values, session.problem.bounds) if trial.state == "complete" else ""
    metrics += f"  ({broken})" if broken else ""
    tail = trial.error.partition("\n")[0] if trial.error else metrics
    style = {"failed": "red", "stopped": "yellow", "infeasible": "dim"}.get(trial.state, "")
    text = f"[{session.counted}/{session.trials_wanted}] trial {trial.number} {trial.state}: {tail}"
    return Text(text, style=style)


def _workers(session: Session) -> list[Text]:
    """Who evaluates what, where the executor knows; those at work first."""
    states = sorted(session.workers, key=lambda one: (one.trial is None, one.name))
    lines = [Text(_at_work(one), style="dim", no_wrap=True) for one in states[:_WORKERS]]
    if len(states) > _WORKERS:
        lines.append(Text(f"and {len(states) - _WORKERS} more workers", style="dim"))
    return lines


def _at_work(worker: WorkerState) -> str:
    doing = "idle" if worker.trial is None else f"trial {worker.trial}"
    step = f", step {worker.step}" if worker.step else ""
    silent = f", silent for {worker.silent_s:.0f} s" if worker.silent_s > _SILENT_S else ""
    return f"{worker.name}: {doing}{step}{silent}"


def _status(session: Session) -> Text:
    states = Counter(trial.state for trial in session.trials)
    minutes = (time.monotonic() - session.started) / 60
    fresh = len(session.trials) - session.resumed
    speed = f"{fresh / minutes:.1f} trials/min" if minutes > 0.05 and fresh else ""
    parts = [f"{session.counted}/{session.trials_wanted}", f"{len(session.running)} running", speed]
    parts += [f"{len(session.workers)} workers"] if session.workers else []
    parts += [remaining(session)]
    parts += [f"{session.replicated} replicates"] if session.replicated else []
    parts += [f"{states[state]} {state}" for state in ("stopped", "failed", "infeasible")
              if states[state]]  # fmt: skip
    return Text("  ".join(part for part in parts if part))
