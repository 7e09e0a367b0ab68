"""What the baselines of a run are called, told from its trials alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from invsearch.runs.load import RunData
from invsearch.runs.trial import Trial

if TYPE_CHECKING:
    from invsearch.models.families.family import Family
    from invsearch.space.architecture import Value

__all__ = ["baseline_names"]


def baseline_names(run: RunData) -> dict[int, str]:
    """Return the names of the networks that the search trained first, by trial: ``RedNet-26``.

    Nothing of the run's own is imported for it: a network is known by its parameters.
    """
    first = [t for t in run.trials if t.origin == "baseline" and t.state == "complete"]
    if not first or not run.outline.model:
        return {}
    named = {trial.number: next(_names(run, trial), "") for trial in first}
    return {number: name for number, name in named.items() if name}


def _names(run: RunData, trial: Trial) -> Iterator[str]:
    from invsearch.models import FAMILIES

    for family in FAMILIES.values():
        for name, depth in family.baselines.items():
            if _is_member(family, family.whole(depth), run.outline.constants, trial):
                yield name


def _is_member(
    family: Family, settings: Mapping[str, Value], constants: Mapping[str, str], trial: Trial
) -> bool:
    """Whether a trial's network is the one with these settings, as far as its space has them."""
    given = {name: str(value) for name, value in trial.architecture.items()}
    known = {**constants, **given}
    if known.get("depth") != str(settings["depth"]):
        return False
    own = known.get("family") == family.name or "stem" in given
    alike = (
        value == str(settings[key])
        for name, value in given.items()
        if (key := name.rpartition(".")[2]) in settings and (key != "family")
    )
    return own and ("family" not in given or given["family"] == family.name) and all(alike)
