"""What a run found, in sentences written from its data, and the members to look at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from invsearch.metrics import Direction
from invsearch.report.blocks import Card, Cards, Code, PageBlock, Prose, Section
from invsearch.report.failures import failures
from invsearch.report.picks import Recommendation
from invsearch.report.repeat import planned_trials, resume_command
from invsearch.report.shown import ShownRun
from invsearch.report.text import (
    bounds_text,
    counted_noun,
    duration,
    joined,
    short,
    span,
    span_seconds,
)
from invsearch.runs import RunData
from invsearch.runs.bounds import why_no_front
from invsearch.runs.columns import parameter_columns, shown_name, tested

__all__ = ["section", "sentences"]


def section(shown: ShownRun) -> Section:
    """What was searched and found, what to do with it, and how to go on."""
    run = shown.run
    blocks: list[PageBlock] = [Prose(" ".join(sentences(run)))]
    if shown.picks:
        blocks.append(Cards([_card(shown, pick) for pick in shown.picks]))
    resume = resume_command(run)
    if resume:
        blocks.append(Prose("Go on with it:" if run.trials else "Start it:", "next"))
        blocks.append(Code(resume, "Command that goes on with the run"))
    return Section("Summary", blocks)


def _card(shown: ShownRun, pick: Recommendation) -> Card:
    return Card(
        title=pick.why[:1].upper() + pick.why[1:],
        link=(f"#{shown.id}-trial{pick.number}", f"trial {pick.number}"),
        remark=f", on the front with probability {pick.p_front:.2f}",
        facts=pick.values,
        lines=pick.architecture,
        commands=pick.commands,
    )


def sentences(run: RunData) -> list[str]:
    """Return the summary: what was searched, what became of the trials, what the front is."""
    parts = (_searched(run), _trials(run), _front(run), _tested(run))
    return [part for part in parts if part]


def _searched(run: RunData) -> str:
    if not run.objectives:
        return "The run has no readable space file, so its trials cannot be ranked."
    known = run.outline.model
    text = f"This run {_how(run)} {_aims(run.objectives, known=known)}"
    bounds = bounds_text(run.constraints, known=known)
    text += f" with {joined(bounds)}" if bounds else ""
    return f"{text}{_accuracy(run)}{_machine(run)}.{_stem(run)}"


def _stem(run: RunData) -> str:
    """Return what ``family`` means where operators are chosen stage by stage: little."""
    if not any(shown_name("family", trial) == "stem" for trial in run.trials):
        return ""
    return (
        " What its space file calls family is the stem alone (rednet: with an involution; resnet:"
        " one 7 x 7 convolution); the stages have operators of their own."
    )


def _how(run: RunData) -> str:
    if not run.trials:
        return "is to"
    count = len(parameter_columns(run.trials))
    what = f" {counted_noun(count, 'parameter')}" if count else ""
    by = f" by {run.outline.search['strategy']}" if "strategy" in run.outline.search else ""
    return f"searched{what}{by} to"


def _machine(run: RunData) -> str:
    """Return the hardware in brackets, where it was recorded."""
    machine = run.environment.get("machine")
    facts = machine if isinstance(machine, Mapping) else {}
    found = [facts[key] for key in ("gpu", "cpu_model", "cpu") if facts.get(key)]
    return f" ({found[0]})" if found and isinstance(found[0], str) else ""


def _aims(objectives: Mapping[str, Direction], *, known: bool) -> str:
    """Return such as ``maximize top-1 accuracy and minimize MACs and latency``."""
    names: dict[str, list[str]] = {}
    for name, direction in objectives.items():
        names.setdefault(direction, []).append(short(name, known=known))
    return joined(f"{direction} {joined(group)}" for direction, group in names.items())


def _accuracy(run: RunData) -> str:
    if not run.outline.model:
        return ""
    spent = {
        metric.fidelity.dataset
        for trial in run.trials
        for metric in trial.metrics.values()
        if metric.fidelity and metric.fidelity.dataset
    }
    if spent:
        return f", training on {joined(sorted(spent))}"
    published = run.outline.accuracy.get("source") == "published"
    return ", taking accuracies from the paper" if published else ""


_STATES = {
    "complete": "completed",
    "stopped": "stopped early",
    "failed": "failed",
    "infeasible": "infeasible",
}


def _trials(run: RunData) -> str:
    if not run.trials:
        return "No trial has been logged yet."
    total = counted_noun(len(run.trials), "trial")
    counts = Counter[str](trial.state for trial in run.trials)
    parts = [f"{counts[state]:,} {words}" for state, words in _STATES.items() if counts[state]]
    if len(parts) == 1 and len(run.trials) > 1:
        text = f"All {parts[0].replace(' ', ' trials ', 1)}"
    else:
        text = f"Of {total}, {joined(parts)}"
    seconds = span_seconds(run.trials)
    text += f" in {duration(seconds)}" if seconds else ""
    baselines = sum(trial.origin == "baseline" for trial in run.trials)
    if baselines:
        text += f"; {baselines} {'is a baseline' if baselines == 1 else 'are baselines'}"
    return f"{text}{_missing(run)}."


def _missing(run: RunData) -> str:
    planned = planned_trials(run)
    if not planned or not resume_command(run):
        return ""
    return f"; the run was to have {counted_noun(planned, 'trial')}"


def _front(run: RunData) -> str:
    if not run.members:
        return _no_front(run) if run.trials and run.objectives else ""
    known = run.outline.model
    spans = [_span(run, name, known=known) for name in run.objectives]
    doubtful = sum(member.doubtful for member in run.members)
    text = f"The front holds {counted_noun(len(run.members), 'architecture')}: {joined(spans)}"
    if not doubtful:
        return f"{text}."
    verb = "is" if doubtful == 1 else "are"
    return (
        f"{text}; {doubtful} of them {verb} more likely dominated than not, and {verb} not"
        " recommended."
    )


def _tested(run: RunData) -> str:
    """Return what the front's networks do on the test set, which nothing was chosen by."""
    trials = [member.trial for member in run.members]
    found = []
    for name in tested(run.objectives if run.outline.model else (), trials):
        values = [trial.metrics[name].value for trial in trials if name in trial.metrics]
        ends = span(name, min(values), max(values), known=True)
        found.append(f"{short(name, known=True)} {ends} ({len(values)} of {len(trials)} networks)")
    if not found:
        return ""
    return (
        f"On the test set, which the search never saw: {joined(found)}. Where it is worse than on "
        "the validation set, the choice flattered."
    )


def _no_front(run: RunData) -> str:
    """Say so, and what emptied it: failures, or a bound."""
    reasons = failures(run.trials)
    if reasons and not any(trial.state in ("complete", "infeasible") for trial in run.trials):
        why = f"most often the reason was: {reasons[0].reason}"
        return f"No complete trial has every objective, so there is no front; {why}."
    why = why_no_front(run.trials, run.constraints)
    return f"No trial meets what is asked, so there is no front: {why}."


def _span(run: RunData, name: str, *, known: bool) -> str:
    values = [member.trial.metrics[name].value for member in run.members]
    return f"{short(name, known=known)} {span(name, min(values), max(values), known=known)}"
