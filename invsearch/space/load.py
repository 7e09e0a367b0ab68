"""From the path or name of a space file to a SpaceFile."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from invsearch.errors import InputError, nearest
from invsearch.metrics import Direction
from invsearch.plugins import DATASETS
from invsearch.space.checks import check_metrics, check_sections, check_space, needs
from invsearch.space.entries import params_space
from invsearch.space.functions import import_operators, locate_operators
from invsearch.space.overrides import apply_overrides
from invsearch.space.schema import (
    Accuracy,
    Bound,
    Cluster,
    Latency,
    Model,
    Search,
    Sections,
    Timing,
)
from invsearch.space.sources import COPY, KeptSources
from invsearch.space.space import Space
from invsearch.space.validation import validate
from invsearch.space.yaml_file import Document, dump, parse

__all__ = ["SpaceFile", "load_space_file", "shipped_spaces", "slug", "without_places"]

TimingT = TypeVar("TimingT", bound=Timing)
_TABLE = {"table": True}
_WHERE: Mapping[str, dict[str, Any]] = {
    "accuracy": {"device": True, "folder": True, "stream": True},
    "latency": {**_TABLE, "targets": {"__all__": _TABLE}},
}
"""What of a section may change when a run is resumed, as pydantic excludes it."""

_TRAINING: Mapping[str, Any] = {
    **Accuracy().model_dump(mode="json", exclude=_WHERE["accuracy"]),
    "precision": "fp32",  # as runs had it when there was no other default
}
"""What a run's training was in what its version could not say yet."""

_SLUG_LENGTH = 60  # well under the 255 bytes of a file name, with room for suffixes


@dataclass(frozen=True)
class SpaceFile:
    """A space file that was read and checked.

    Attributes:
        name: Anything printable; escape it where it is shown.
        objectives: Direction by metric, in order.
        constraints: Bounds by metric.
        model: The networks that are searched, or None for a space with an evaluator.
        space: What may vary.
        evaluator: ``package.module:function``, or None for a space of networks.
        costs: The same, of the function for metrics known before evaluation.
        operators: Absolute paths of files, and modules, that register further operators; they are
            imported when the file is loaded or unpickled.
        accuracy: Where accuracy comes from; None if nothing asks for it.
        latency: How latency is measured; None if nothing asks for it.
        search: How the space is searched.
        cluster: Where trials run.
        path: The file.
        text: Its text; overrides are applied.
        search_paths: Folders in which modules that the file names are looked for first.
        notices: What a user should know about the files it names, in words.
    """

    name: str
    objectives: Mapping[str, Direction]
    constraints: Mapping[str, Bound]
    model: Model | None
    space: Space
    evaluator: str | None
    costs: str | None
    operators: tuple[str, ...]
    accuracy: Accuracy | None
    latency: Latency | None
    search: Search
    cluster: Cluster
    path: Path
    text: str
    search_paths: tuple[str, ...]
    notices: tuple[str, ...] = ()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        import_operators(self.operators, self.search_paths)
        _reach(*self.search_paths)

    @property
    def slug(self) -> str:
        """The name as a folder's name."""
        return slug(self.name)

    def resolved(self) -> dict[str, Any]:
        """Everything, defaults included, as plain data."""
        sections = ("accuracy", "latency", "search", "cluster")
        found = {key: getattr(self, key) for key in sections}
        return {
            **self.identity(),
            "name": self.name,
            **{key: value.model_dump(mode="json") for key, value in found.items() if value},
        }

    def identity(self) -> dict[str, Any]:
        """What two runs must share for their trials to be comparable, as plain data.

        The name, the search, the latency table, the device that trains and the cluster are left
        out: they may change when a run is resumed. A trained metric's fidelity has its precision.
        Files and folders have their names alone: a run and its data may move.
        """
        data: dict[str, Any] = {
            "objectives": dict(self.objectives),
            "constraints": {name: bound.model_dump() for name, bound in self.constraints.items()},
            "model": self.model.identity() if self.model else None,
            "space": self.space.to_json(),
            "evaluator": self.evaluator,
            "costs": self.costs,
            "operators": [Path(one).name for one in (self.model.operators if self.model else ())],
        }
        for key in ("accuracy", "latency"):
            section = getattr(self, key)
            exclude = _WHERE[key]
            data[key] = section and section.model_dump(mode="json", exclude=exclude)
        if self.accuracy is not None and self.accuracy.precision == "auto":
            data["accuracy"]["precision"] = _TRAINING["precision"]
        return without_places(data)


def without_places(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity, which versions before may have written, with the data set's name alone.

    A setting of the training that such a version did not have is what its default says: a new
    setting's default does what was done before there was one.

    Args:
        identity: What :meth:`SpaceFile.identity` returned, maybe through JSON.
    """
    accuracy = identity.get("accuracy")
    if not accuracy or not isinstance(accuracy.get("dataset"), str):
        return dict(identity)
    complete = {**_TRAINING, **accuracy, "dataset": Path(accuracy["dataset"]).name}
    return {**identity, "accuracy": complete}


def load_space_file(
    path_or_name: str | Path,
    overrides: Sequence[str] = (),
    *,
    run: Callable[[str], Path] | None = None,
) -> SpaceFile:
    """Read and check a space file.

    What it names is looked for beside it and in the current folder. The copy of a space file in a
    run folder finds what the run kept of that.

    Args:
        path_or_name: A path, or the name of a shipped space; a file that exists wins.
        overrides: ``a.b=c`` each, validated like the file.
        run: From the slug of the file's name to the folder of a run that is to go on: it goes on
            with the files that it kept.

    Raises:
        InputError: In one line, with file, line and column, the value and what is allowed.
    """
    path, label = _find(str(path_or_name))
    text = _read(path, label)
    document = parse(text, label)
    apply_overrides(document, overrides)
    if document.value is None:
        raise document.error(
            (), "the file is empty: a space file needs at least name and objectives"
        )
    if not isinstance(document.value, dict):
        raise document.error((), "a space file is a mapping of keys to values, such as 'name: ...'")
    if overrides:
        given = " ".join(f"--set {override!r}" for override in overrides)
        text = f"# {path.name} with {given}\n{dump(document.value)}"
    return _build(document, Path(str(path)), text, run)


def shipped_spaces() -> dict[str, Traversable]:
    """The space files that come with the package, by name."""
    try:
        folder: Traversable = resources.files("invsearch.spaces")
    except ModuleNotFoundError:
        folder = Path(__file__).parents[2] / "spaces"
    found = list(folder.iterdir()) if folder.is_dir() else []
    files = {f.name.removesuffix(".yaml"): f for f in found if f.name.endswith(".yaml")}
    return dict(sorted(files.items()))


def slug(name: str) -> str:
    """Return a name as lower-case words joined by dashes, safe as a folder's name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:_SLUG_LENGTH].strip("-")
    return words or f"space-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _find(given: str) -> tuple[Traversable, str]:
    path = Path(given)
    if given and path.exists() and not path.is_dir():
        return path, given
    shipped = shipped_spaces()
    if given in shipped:
        return shipped[given], f"{given}.yaml"
    if given and path.is_dir():
        raise InputError(f"{given} is a directory, not a space file")
    raise InputError(
        f"there is no file {given!r} and no shipped space of that name"
        f"{nearest(path.name.removesuffix('.yaml'), shipped)}; shipped: {', '.join(shipped)}"
    )


def _read(path: Traversable, label: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{label} cannot be read: {error.strerror or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise InputError(f"{label}:{line}:{column}: not UTF-8 text ({error.reason})") from None


def _build(
    document: Document, path: Path, text: str, run: Callable[[str], Path] | None
) -> SpaceFile:
    sections = validate(Sections, document)
    check_sections(document, sections)
    check_metrics(document, sections)
    folder = path.resolve().parent
    kept = _kept(path, run, slug(sections.name))
    search_paths = tuple(
        dict.fromkeys([*(kept.search_paths if kept else ()), str(folder), str(Path.cwd())])
    )
    operators = _operators(document, sections, folder, search_paths, kept)
    accuracy = _accuracy(document, sections, folder, kept)
    space = _space(document, sections)
    check_space(document, sections, space)
    latency = _latency(sections, folder)
    return SpaceFile(
        name=sections.name,
        objectives=dict(sections.objectives),
        constraints=dict(sections.constraints),
        model=sections.model,
        space=space,
        evaluator=sections.evaluator,
        costs=sections.costs,
        operators=operators,
        accuracy=accuracy,
        latency=latency,
        search=_search(sections, kept),
        cluster=sections.cluster,
        path=path,
        text=text,
        search_paths=search_paths,
        notices=_notices(kept),
    )


def _kept(path: Path, run: Callable[[str], Path] | None, name: str) -> KeptSources | None:
    """What a run keeps: that whose copy of a space file this is, or that which is to go on."""
    # a run may live in the folder of other people's space files: they are not of the run
    kept = KeptSources.read(path.resolve().parent) if path.name == COPY else None
    if kept is None and run is not None:
        kept = KeptSources.read(run(name))
    if kept is not None:
        kept.check()
    return kept


def _notices(kept: KeptSources | None) -> tuple[str, ...]:
    changed = kept.changed() if kept else []
    if kept is None or not changed:
        return ()
    names = ", ".join(map(str, changed))
    have = "have" if len(changed) > 1 else "has"
    return (f"{names} {have} changed since the run began: the copies in {kept.folder} are used",)


def _operators(
    document: Document,
    sections: Sections,
    folder: Path,
    search_paths: Iterable[str],
    kept: KeptSources | None,
) -> tuple[str, ...]:
    located: tuple[str, ...] = ()
    for index, reference in enumerate(sections.model.operators if sections.model else ()):
        try:
            own = kept.operator(str(reference)) if kept else None
            one = (str(own),) if own else locate_operators([reference], folder)
            import_operators(one, tuple(search_paths))
        except InputError as error:
            raise document.error(("model", "operators", index), str(error)) from error
        located += one
    return located


def _accuracy(
    document: Document, sections: Sections, folder: Path, kept: KeptSources | None
) -> Accuracy | None:
    if sections.model is None or not (sections.accuracy or needs(sections, "accuracy")):
        return None
    accuracy = sections.accuracy or Accuracy()
    if accuracy.judge != "trained" or (accuracy.dataset, accuracy.folder) == ("digits", None):
        return accuracy
    from invsearch.data import resolve_dataset

    given = accuracy.folder
    found = kept.place(accuracy.dataset) if kept else None
    found = found or _beside(folder, accuracy.dataset)
    place = None if given is None else str(_beside(folder, given) or Path(given).expanduser())
    _reach(str(folder), str(Path.cwd()))
    try:
        dataset = resolve_dataset(str(found or accuracy.dataset), place)
    except InputError as error:
        raise document.error(("accuracy", "dataset"), str(error)) from error
    place = place and str(Path(place).resolve())
    return accuracy.model_copy(update={"dataset": dataset, "folder": place})


def _beside(folder: Path, name: str) -> Path | None:
    """A folder or file beside the space file, which goes before one in the current folder.

    A data set that has a name of its own is none of these.
    """
    path = folder / Path(name).expanduser()
    return path if path.exists() and name not in DATASETS else None


def _reach(*folders: str) -> None:
    """Let a data set's function be imported from these folders, in every process of the search."""
    sys.path.extend(folder for folder in folders if folder not in sys.path)


def _latency(sections: Sections, folder: Path) -> Latency | None:
    """The section, with the files of tables found beside the space file."""
    latency = sections.latency or (Latency() if needs(sections, "measured") else None)
    if latency is None:
        return None
    targets = {name: _with_table(target, folder) for name, target in latency.targets.items()}
    return _with_table(latency, folder).model_copy(update={"targets": targets})


def _with_table(timing: TimingT, folder: Path) -> TimingT:
    if not isinstance(timing.table, str):
        return timing
    return timing.model_copy(update={"table": str(folder / timing.table)})


def _search(sections: Sections, kept: KeptSources | None) -> Search:
    """The search, with the earlier runs it starts from where they are now."""
    earlier = sections.search.warm_start
    if kept is None or not earlier:
        return sections.search
    found = [str(kept.place(name) or name) for name in earlier]
    return sections.search.model_copy(update={"warm_start": type(earlier)(found)})


def _space(document: Document, sections: Sections) -> Space:
    if sections.model is None or sections.space is None:
        return params_space(document, sections.params or {})
    if sections.model.own:
        from invsearch.space.own_model import own_model_space

        return own_model_space(document, sections.model, sections.space)
    from invsearch.space.network import network_space

    return network_space(document, sections.model, sections.space)
