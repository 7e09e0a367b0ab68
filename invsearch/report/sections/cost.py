"""Where the costs of the recommended networks go, and how well latency was predicted."""

from __future__ import annotations

from invsearch.report.agreement import latencies, predictions
from invsearch.report.audit import audit_blocks
from invsearch.report.blocks import Figures, NetworkLayers, PageBlock, Prose, Section
from invsearch.report.layers import QUANTITIES, layer_costs
from invsearch.report.plot.latency import latency_figure
from invsearch.report.plot.layers import layers_figure
from invsearch.report.shown import ShownRun
from invsearch.runs import RunData

__all__ = ["latency_remark", "section"]


def section(shown: ShownRun) -> Section | None:
    """Take networks apart and compare latencies; None where neither is there."""
    run, blocks = shown.run, list[PageBlock]()
    layers = layer_costs(run, shown.picks)
    if layers:
        figure = layers_figure(shown.index, layers["images"])
        named = [(f"{shown.id}-layers0", figure)]
        blocks.append(NetworkLayers(shown.index, QUANTITIES, named))
    for place, name in enumerate(latencies(run.trials)):
        timed = latency_figure(run, shown.index, name)
        if timed:
            blocks.append(Figures([(f"{shown.id}-latency{place}", timed)], beside=False))
        blocks += audit_blocks(run, name)
    remark = latency_remark(run)
    if remark:
        blocks.append(Prose(remark, "hint"))
    return Section("Cost", blocks, data={"layers": layers}) if blocks else None


def latency_remark(run: RunData) -> str:
    """Return why there is no such figure where one might be looked for; empty where not."""
    names = latencies(run.trials)
    sources = {
        trial.metrics[name].source
        for trial in run.trials
        for name in names
        if name in trial.metrics
    }
    predicted = any(predictions(run.trials, name=name) for name in names)
    if not run.outline.model or "measured" not in sources or predicted:
        return ""
    return (
        "Latency was measured and never predicted. With latency: {table: true} in the space file a"
        " run first measures each distinct block of its networks, predicts every candidate's"
        " latency from them, and shows here how well."
    )
