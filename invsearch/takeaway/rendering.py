"""What the commands print: tables of metrics, each with its source and interval."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from invsearch.atomic import is_standard_output
from invsearch.metrics import KNOWN_METRICS, Metric, base_metric
from invsearch.report.text import counted_noun, display, fidelity, interval
from invsearch.takeaway.device_table import ReadTable, TablePair, compare_tables
from invsearch.takeaway.evaluate import Evaluated
from invsearch.takeaway.export import Exported
from invsearch.takeaway.remeasure import Remeasured
from invsearch.takeaway.train import TrainedTrial
from invsearch.terminal import make_console
from invsearch.train.class_report import ClassReport

__all__ = [
    "metric_table", "print_evaluated", "print_exported", "print_measured", "print_tables",
    "print_trained",
]  # fmt: skip

_TABLE_COLUMNS = (
    "file", "device", "machine", "runs", "blocks", "networks", "off by", "x the first",
)  # fmt: skip
_CONFUSED = 5  # pairs of classes in a line; --json has them all
_PIPED_WIDTH = 132  # columns of a table that goes to a file


def print_measured(found: Remeasured, name: str) -> None:
    """Print a latency, and whether it went into the run."""
    console, detail = _console(), found.latency.detail
    settings = f"{detail['device']}, shape {detail['shape']}, threads {detail['threads']}"
    console.print(metric_table({"latency_ms": found.latency}, f"{name}: {settings}"))
    if detail.get("missed"):
        _line(console, f"not as steady as wished: {detail['missed']}")
    if found.recorded is None and not found.reason:
        return
    if found.recorded is None:
        _line(console, f"not added to the run: {found.reason}")
        return
    mean = display("latency_ms", found.recorded.value, known=True)
    ends = interval(found.recorded, known=True)
    _line(console, f"added to the run: the mean of {found.recorded.n} is {mean} ({ends})")


def print_tables(read: Sequence[ReadTable]) -> None:
    """Print what latency tables hold, and how the others compare with the first."""
    shown = Table(title="latency tables", title_justify="left")
    for column in _TABLE_COLUMNS:
        shown.add_column(column)
    for one in read:
        pair = compare_tables(read[0].table, one.table)
        shown.add_row(*_table_row(one), "" if one is read[0] else _compared(pair))
    _console().print(shown)


def _table_row(one: ReadTable) -> tuple[str, ...]:
    under, table = one.table.under, one.table
    fit = table.calibration
    runs = (
        f"{under['dtype']}, {under['runtime']}, {under['batch_size']} x "
        f"{'x'.join(map(str, under['resolution']))}, {under['threads']} threads"
    )
    return (
        escape(str(one.path)),
        str(under["device"]),
        escape(str(under.get("gpu") or under.get("cpu_model") or "unknown")),
        runs,
        str(len(table.entries)),
        str(fit.count),
        "" if math.isnan(fit.spread) else f"{fit.spread:.1%}",
    )


def _compared(pair: TablePair) -> str:
    if pair.ratio is None:
        return "no block in common"
    rank = "" if pair.rank_correlation is None else f", Spearman {pair.rank_correlation:.3f}"
    return f"{pair.ratio:.3g} over {counted_noun(pair.shared, 'block')}{rank}"


def print_trained(trained: TrainedTrial) -> None:
    """Print the networks that were kept and, where it is about them, the trial's new metrics."""
    console = _console()
    for folder, metrics in trained.kept.items():
        console.print(metric_table(metrics, str(folder)))
    trial = trained.trial
    if trial is None or (trained.kept and not trained.recorded):
        _line(console, f"next: invsearch evaluate {next(iter(trained.kept))}")
        return
    console.print(metric_table(trial.metrics, f"trial {trial.number}, all its seeds"))
    if trained.recorded:
        _line(console, f"added to the run: {counted_noun(trained.recorded, 'replicate')}")
    else:
        _line(console, "nothing to train: the run holds that many seeds already")


def print_evaluated(found: Evaluated, name: str) -> None:
    """Print what an evaluation brought."""
    console, kind = _console(), "validation image" if found.split == "val" else "test image"
    title = f"{name}: {counted_noun(found.images, kind)} of {found.dataset}"
    console.print(metric_table(found.metrics, title))
    if found.iou:
        console.print(_class_table(found.iou))
    if found.report is not None:
        _print_report(console, found.report, found.classes)


def _print_report(console: Console, report: ClassReport, classes: Sequence[str]) -> None:
    """Print top-5, calibration and what is confused most."""
    top5 = report.shares()["top5"]
    ends = f"{top5['low']:.2f} to {top5['high']:.2f}"
    _line(console, f"top-5 accuracy {top5['value']:.2f} % ({ends})")
    _line(console, f"expected calibration error {100 * report.ece:.2f} %")
    worst = report.worst(_CONFUSED)
    if worst:
        named = classes or tuple(map(str, range(len(report.confusion))))
        pairs = [f"{named[true]} taken for {named[said]} {n}x" for true, said, n in worst]
        _line(console, f"most often confused: {', '.join(pairs)}")


def _class_table(iou: Mapping[str, float | None]) -> Table:
    """A row for each class: its intersection over union."""
    table = Table(title="IoU of each class", title_justify="left", title_style="bold")
    table.add_column("class")
    table.add_column("IoU", justify="right")
    for name, share in iou.items():
        table.add_row(
            escape(name), "nowhere" if share is None else display("miou", share, known=True)
        )
    return table


def print_exported(done: Exported) -> None:
    """Print what was written, and what loading it needs."""
    if is_standard_output(done.path):
        return
    console, config = _console(), done.config
    state = "untrained" if config["training"] is None else "trained"
    shape = " x ".join(map(str, ["batch", *config["input_shape"][1:]]))
    size = done.path.stat().st_size
    taken = "pixels" if config.get("input") == "pixels" else "images"
    _line(console, f"{done.path}: {done.format}, {state}, {taken} {shape}, {size:,} bytes")
    foreign = [name for name in done.needs if not name.startswith("involution::")]
    if len(foreign) < len(done.needs):
        _line(console, "loading it needs `import ops` first")
    if foreign:
        _line(console, f"loading it needs the module that registers {', '.join(foreign)} first")


def _console() -> Console:
    return make_console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)


def metric_table(metrics: Mapping[str, Metric], title: str = "") -> Table:
    """A row for each metric: value, 95 % interval, source, seeds, what was spent on it."""
    table = Table(title=title or None, title_justify="left", title_style="bold")
    for heading in ("metric", "value", "95 % interval", "source", "of", "trained"):
        table.add_column(heading, justify="right" if heading in ("value", "of") else "left")
    for name in sorted(metrics, key=_order):
        metric = metrics[name]
        table.add_row(
            name,
            display(name, metric.value, known=True),
            interval(metric, known=True),
            metric.source,
            str(metric.n) if metric.n > 1 else "",
            fidelity(metric.fidelity),
        )
    return table


def _order(name: str) -> tuple[int, str]:
    known = list(KNOWN_METRICS)
    base, _ = base_metric(name)
    return (known.index(base) if base in known else len(known), name)
