"""What the sections of a space file demand of each other."""

from __future__ import annotations

from invsearch.errors import nearest
from invsearch.metrics import KNOWN_METRICS, MEASURED_ON_TARGETS, base_metric, metric_info
from invsearch.plugins import STRATEGIES
from invsearch.provider import learn_metrics
from invsearch.space.schema import Sections, Timing
from invsearch.space.space import Space
from invsearch.space.yaml_file import Document, Path

__all__ = ["check_metrics", "check_sections", "check_space", "needs"]

TAKES_HINTS = "cost_aware"  # of ours; a third party's may ask the problem for its hints too
_ONLY_PAPER = {"family", "depth", "stem_kernel_size"}


def check_sections(document: Document, sections: Sections) -> None:
    """Check that the sections that are there go together.

    Raises:
        InputError: Naming a section that is missing, or one that would have no effect.
    """
    networks, functions = sections.space is not None, sections.params is not None
    if networks and functions:
        raise document.error(("params",), "both 'space' and 'params' are given: keep one", key=True)
    if not networks and not functions:
        ways = "'space' (with 'model') or 'params' (with 'evaluator')"
        raise document.error((), f"nothing may vary: give {ways}")
    kind, other = ("space", "model") if networks else ("params", "evaluator")
    if getattr(sections, other) is None:
        raise document.error((kind,), f"{kind!r} needs {other!r}, which is missing", key=True)
    unused = ("evaluator", "costs") if networks else ("model", "accuracy", "latency")
    for key in unused:
        if getattr(sections, key) is not None:
            partner = "params" if networks else "space"
            raise document.error(
                (key,), f"{key!r} has no effect with {kind!r}: it goes with {partner!r}", key=True
            )
    _check_rungs(document, sections)
    _check_hints(document, sections)
    _check_own_model(document, sections)


def _check_hints(document: Document, sections: Sections) -> None:
    accuracy, strategy = sections.accuracy, sections.search.strategy
    if accuracy is None or not accuracy.hints:
        return
    path = ("accuracy", "sources" if accuracy.sources else "source")
    if strategy != TAKES_HINTS and strategy in STRATEGIES.ours():
        raise document.error(
            path,
            f"accuracy.{path[1]}: {accuracy.hints[0]} has no effect: search.strategy {strategy!r} "
            f"takes no hints; {TAKES_HINTS} does",
        )
    if not needs(sections, "accuracy"):
        raise document.error(
            path, f"accuracy.{path[1]} has no effect: no objective is one of accuracy"
        )


def _check_own_model(document: Document, sections: Sections) -> None:
    """Refuse what only families of ours have, and keys of own models where there is none."""
    model = sections.model
    if model is None:
        return
    if not model.own:
        for key in ("arguments", "replace", "canonical"):
            if key in model.model_fields_set:
                why = "has no effect: it goes with model.builder or model.timm"
                raise document.error(("model", key), f"model.{key} {why}", key=True)
        return
    if sections.accuracy is not None and sections.accuracy.source == "published":
        raise document.error(
            ("accuracy", "source"),
            f"accuracy.source 'published' knows the paper's networks alone, not model.{model.own}",
        )
    if sections.accuracy is not None and sections.accuracy.hints:
        key = "sources" if sections.accuracy.sources else "source"
        raise document.error(
            ("accuracy", key),
            f"accuracy.{key}: {sections.accuracy.hints[0]} knows networks of families alone, not "
            f"model.{model.own}",
        )
    latency = sections.latency
    places: dict[Path, Timing] = {} if latency is None else {("latency",): latency}
    for name, target in latency.targets.items() if latency is not None else ():
        places["latency", "targets", name] = target
    for path, timing in places.items():
        if timing.table:
            raise document.error(
                (*path, "table"),
                f"{'.'.join(map(str, path))}.table predicts from the blocks of our families; the "
                f"networks of model.{model.own} are measured whole: leave it out",
                key=True,
            )


def _check_latency(document: Document, sections: Sections) -> None:
    """Refuse what nothing reads: a table without its metric, a target that no metric names."""
    if sections.latency is None:
        return
    asked = _asked(sections)
    if sections.latency.table and "latency_ms" not in asked:
        raise document.error(
            ("latency", "table"),
            "latency.table has no effect: latency_ms is neither an objective nor a constraint",
            key=True,
        )
    for name, target in sections.latency.targets.items():
        metrics = [f"{base}@{name}" for base in MEASURED_ON_TARGETS]
        wanted = metrics[:1] if target.table else metrics
        if not asked & {*wanted}:
            what = f"latency.targets.{name}" + (".table" if target.table else "")
            raise document.error(
                ("latency", "targets", name),
                f"{what} has no effect: {' or '.join(wanted)} is neither an objective nor a"
                " constraint",
                key=True,
            )


def _asked(sections: Sections) -> set[str]:
    return {*sections.objectives, *sections.constraints}


def _check_rungs(document: Document, sections: Sections) -> None:
    rungs, path = sections.search.rungs, ("search", "rungs")
    if sections.search.promote and not rungs:
        raise document.error(
            ("search", "promote"),
            "search.promote has no effect: nothing stops without search.rungs",
            key=True,
        )
    if not rungs or sections.evaluator is not None:  # an evaluator reports at steps of its own
        return
    if sections.model is None or not needs(sections, "accuracy") or not _trains(sections):
        raise document.error(
            path, "search.rungs has no effect: nothing is trained in epochs", key=True
        )
    epochs = sections.accuracy.epochs if sections.accuracy else 6
    if rungs[-1] >= epochs:
        last = f"the last rung {rungs[-1]} must be below accuracy.epochs = {epochs}"
        raise document.error(path, f"search.rungs: {last}")


def _trains(sections: Sections) -> bool:
    return sections.accuracy is None or sections.accuracy.judge == "trained"


def needs(sections: Sections, kind: str) -> bool:
    """Whether an objective or a constraint is a known metric of this kind."""
    names = [*sections.objectives, *sections.constraints]
    infos = [metric_info(name) for name in names]
    return any(info is not None and info.kind == kind for info in infos)


def check_metrics(document: Document, sections: Sections) -> None:
    """Check that every objective and constraint of a space of networks is evaluated.

    Raises:
        InputError: Naming the first that is not, with the reason.
    """
    if sections.model is None:
        return
    for section in ("objectives", "constraints"):
        for name in getattr(sections, section):
            reason = _unevaluated(sections, name)
            if reason is not None:
                raise document.error((section, name), f"{section}.{name}: {reason}", key=True)
    for name, direction in sections.objectives.items():
        info = metric_info(name)
        if info and info.kind == "accuracy" and direction != info.direction:
            raise document.error(
                ("objectives", name),
                f"objectives.{name} must be {info.direction!r}, not {direction!r}",
            )
    _check_latency(document, sections)


def _unevaluated(sections: Sections, name: str) -> str | None:
    """Say why a metric is not evaluated, or return None."""
    if not learn_metrics(name):
        known = [known for known, info in KNOWN_METRICS.items() if not info.refused]
        return f"nothing evaluates it{nearest(name, known)}; allowed: {', '.join(known)}"
    target = base_metric(name)[1]
    targets = sections.latency.targets if sections.latency else {}
    if target and name not in KNOWN_METRICS and target not in targets:
        there = f"; there are: {', '.join(targets)}" if targets else ""
        return f"latency.targets has no {target!r}{nearest(target, targets)}{there}"
    asked = metric_info(name)
    assert asked is not None
    if asked.refused:
        return f"nothing evaluates it: {asked.refused}"
    if asked.kind == "accuracy" and not _trains(sections) and not asked.published:
        given = " and ".join(known for known, info in KNOWN_METRICS.items() if info.published)
        return f"nothing evaluates it: published accuracy gives {given} alone"
    return None


def check_space(document: Document, sections: Sections, space: Space) -> None:
    """Check what depends on what may vary.

    Raises:
        InputError: If the space is empty, cannot be enumerated as asked, or holds networks without
            the published accuracy that is asked for.
    """
    if sections.search.strategy == "exhaustive":
        for parameter in space.parameters:
            if not parameter.finite:
                raise document.error(
                    ("search", "strategy"),
                    f"search.strategy cannot be 'exhaustive': {parameter.name!r} is continuous",
                )
    if space.empty:
        kind = "space" if sections.params is None else "params"
        raise document.error((kind,), "no architecture is possible: every combination is ruled out")
    if sections.model is not None:
        _check_task(document, sections, space)
    if sections.model is not None and sections.accuracy is not None and not _trains(sections):
        _check_published(document, space)


def _check_task(document: Document, sections: Sections, space: Space) -> None:
    """Check that every metric is one of what is searched: classifiers, segmenters or detectors.

    Segmenters are counted and trained, detectors are counted, and neither is timed.
    """
    tasks = _tasks(space)
    for section in ("objectives", "constraints"):
        for name in getattr(sections, section):
            reason = _not_of_tasks(name, tasks)
            if reason:
                raise document.error((section, name), f"{section}.{name}: {reason}", key=True)


def _tasks(space: Space) -> tuple[str, ...]:
    """The tasks that networks may be for; none where they classify."""
    if "task" in space.names:
        return tuple(map(str, space["task"].choices or ()))
    return (str(space.constants["task"]),) if "task" in space.constants else ()


def _not_of_tasks(name: str, tasks: tuple[str, ...]) -> str:
    """Say why a metric is not evaluated where these are the tasks; empty if it is."""
    from invsearch.models.task import DETECTORS, SEGMENTERS
    from invsearch.train.tasks import CLASSIFICATION, SEGMENTATION

    images, pixels = CLASSIFICATION.metrics, SEGMENTATION.metrics
    info = metric_info(name)
    if not tasks:
        only_pixels = name in pixels and name not in images
        whose = f"it is a segmenter's: give space.task one of {', '.join(SEGMENTERS)}"
        return whose if only_pixels else ""
    counted = [known for known, one in KNOWN_METRICS.items() if one.kind == "counted"]
    if info is not None and info.kind == "counted":
        return ""
    boxes = [task for task in tasks if task in DETECTORS]
    if boxes:
        return (
            f"nothing evaluates it for a task such as {boxes[0]}: detectors are counted, and "
            f"neither trained nor timed; allowed: {', '.join(counted)}"
        )
    if name in pixels:
        return ""
    return (
        f"nothing evaluates it for a task such as {tasks[0]}: segmenters are counted and trained, "
        f"and not timed; allowed: {', '.join((*counted, *pixels))}"
    )


def _check_published(document: Document, space: Space) -> None:
    path: Path = ("accuracy", "source")
    what = "accuracy.source 'published' knows the paper's networks alone, so"
    for name in [*(parameter.name for parameter in space.parameters), *space.constants]:
        if name not in _ONLY_PAPER:
            raise document.error(path, f"{what} {name!r} cannot be set")
    depths = space["depth"].choices if "depth" in space.names else (space.constants.get("depth"),)
    if None in (depths or ()) or "custom" in (depths or ()):
        raise document.error(path, f"{what} depth cannot be 'custom'")
