"""The house: a room imports only rooms below it, and `ops` knows nothing of `invsearch`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = (
    "__main__",
    "cli",
    "testing",
    "timm",
    "takeaway",
    "report",
    "bench",
    "explain",
    "simulate",
    "search",
    "problem",
    "accuracy",
    "paper",
    "latency",
    "cost",
    "runs",
    "surrogate",
    "space",
    "train",
    "data",
    "models",
    "provider",
    "user_code",
    "evaluation",
    "metrics",
    "value",
    "plugins",
    "terminal",
    "atomic",
    "device_lock",
    "__init__",
    "shadow",
    "errors",
    "_version",
)
"""From the top floor down. What is imported for its types alone counts for nothing."""

EXCEPTIONS = {
    ("__init__", "runs"): "load_run, of the package itself, imported at its call",
}


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports when it runs, wherever in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if "." in node.module or node.module not in ("invsearch", "ops"):
                yield node.module
            else:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _running(child)


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def test_every_room_has_a_floor() -> None:
    rooms = {room(name) for name, _ in modules("invsearch")}
    assert rooms <= set(FLOORS)


def test_no_room_imports_one_above_it() -> None:
    upward = [
        f"{name} imports {wanted}: {room(name)} is below {room(wanted)}"
        for name, path in modules("invsearch")
        for wanted in imports(path)
        if wanted.split(".")[0] == "invsearch"
        and FLOORS.index(room(wanted)) < FLOORS.index(room(name))
        and (room(name), room(wanted)) not in EXCEPTIONS
    ]
    assert not upward, "\n".join(upward)


def test_ops_knows_nothing_of_invsearch() -> None:
    upward = [name for name, path in modules("ops") for one in imports(path) if "invsearch" in one]
    assert not upward


@pytest.mark.parametrize("package", ["invsearch", "ops"])
def test_no_circle_of_modules(package: str) -> None:
    """By what is imported at the top of modules; a circle there breaks whoever comes first."""
    edges: dict[str, set[str]] = {}
    known = {name.removesuffix(".__init__") for name, _ in modules(package)}
    for name, path in modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        edges[name.removesuffix(".__init__")] = found & known
    settled: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in settled:
            for wanted in edges.get(name, ()):
                if wanted != name and not name.startswith(f"{wanted}."):
                    visit(wanted, (*path, name))
            settled.add(name)

    for name in edges:
        visit(name, ())
