"""Finding other people's operators again, when only a run or a saved network names them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import ops
from invsearch.errors import InputError
from invsearch.models import ModuleSpec, SearchedSpec, TaskSpec
from invsearch.models.replacement import KEEP
from invsearch.runs import RunFolder
from invsearch.space.functions import import_operators
from invsearch.space.sources import KeptSources
from invsearch.space.yaml_file import parse

__all__ = ["operator_overrides", "require_operators"]


def operator_overrides(folder: RunFolder) -> list[str]:
    """``--set`` for a run's copy of its space file: operator files as absolute paths.

    A space file names them relative to itself, and the copy in the run folder lies elsewhere. A run
    keeps copies of them, which are found without this; those of a version before are looked for in
    the run folder, in the current folder, and where the search was started.

    Raises:
        InputError: If a file is in none of them.
    """
    value = parse(folder.space_text(), str(folder.space_path)).value
    model = value.get("model") if isinstance(value, dict) else None
    references = model.get("operators") if isinstance(model, dict) else None
    kept = KeptSources.read(folder.path)
    if not isinstance(references, list) or (kept is not None and kept.operators):
        return []
    places = _places(folder)
    located = [_locate(str(reference), places) for reference in references]
    return [f"model.operators={json.dumps(located)}"]


def require_operators(spec: SearchedSpec, references: Sequence[str], folder: Path) -> None:
    """Register the operators of a saved network that are not registered yet.

    Args:
        spec: The network, or what is around it.
        references: Files and modules that were recorded with it.
        folder: Where the network was saved, which is looked in first.

    Raises:
        InputError: If an operator is not registered after that.
    """
    needed = _needed(spec)
    places = [folder.resolve(), Path.cwd()]
    for reference in references:
        if needed <= set(ops.names()):
            return
        places_of_it = [*places, Path(reference).parent]
        found = _locate(Path(reference).name if _is_file(reference) else reference, places_of_it)
        import_operators([found], [str(place) for place in places])
    missing = sorted(needed - set(ops.names()))
    if missing:
        raise InputError(
            f"{folder}: the network has the operator {missing[0]!r}, which is not registered: "
            f"install the package that registers it, or put its file into {folder}"
        )


def _needed(spec: SearchedSpec) -> set[str]:
    if isinstance(spec, ModuleSpec):
        return {rule.operator for rule in spec.replace} - {KEEP}
    around = [spec.neck, spec.head] if isinstance(spec, TaskSpec) else []
    stages = (spec.backbone if isinstance(spec, TaskSpec) else spec).stages
    blocks = [*around, *(block for stage in stages for block in stage.blocks)]
    return {block.operator for block in blocks}


def _places(folder: RunFolder) -> list[Path]:
    """The run folder, here, the folder above ``results/``, and those of the search's space file."""
    home = folder.path.resolve().parent.parent
    command = folder.environment().get("command", [])
    given = [Path(word).parent for word in map(str, command) if word.endswith((".yaml", ".yml"))]
    bases = [Path.cwd(), home]
    beside = [base / parent for base in bases for parent in given]
    return list(dict.fromkeys([folder.path.resolve(), *bases, *beside]))


def _locate(reference: str, places: Iterable[Path]) -> str:
    if not _is_file(reference):
        return reference
    candidates = [place / Path(reference).expanduser() for place in places]
    for path in candidates:
        if path.is_file():
            return str(path.resolve())
    looked = ", ".join(dict.fromkeys(str(path.parent) for path in candidates))
    raise InputError(
        f"the operators file {reference!r} is in none of {looked}: run this command in the folder "
        "that holds it, or copy it into the first of these"
    )


def _is_file(reference: str) -> bool:
    return reference.endswith(".py")
