"""Conditions: when a parameter has an effect, and what rules combinations out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from invsearch.space.architecture import Value

__all__ = [
    "Atom",
    "Clause",
    "ConditionRule",
    "Term",
    "explicit_clauses",
    "holds",
    "mentioned",
    "ordered",
    "simplified",
]

Atom = tuple[str, frozenset[Value | None]]
"""A parameter and the values of it that will do; None stands for "is not active"."""

Term = tuple[Atom, ...]
"""Atoms that must all hold."""

Clause = tuple[Term, ...]
"""Terms of which one must hold."""


class ConditionRule(Protocol):
    """What rules combinations of some parameters out."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it looks at."""

    def problem(self, values: tuple[Value | None, ...]) -> str | None:
        """Say why these values (in the order of ``names``) are impossible, or return None."""


def holds(clauses: Sequence[Clause], chosen: Mapping[str, Value]) -> bool:
    """Whether every clause has a term whose atoms all hold; what is not chosen is not active."""
    for clause in clauses:
        for term in clause:
            for name, allowed in term:
                if chosen.get(name) not in allowed:
                    break
            else:
                break
        else:
            return False
    return True


def explicit_clauses(when: Iterable[tuple[str, tuple[Value, ...]]]) -> tuple[Clause, ...]:
    """The clauses of a parameter's ``when``."""
    return tuple((((name, frozenset(values)),),) for name, values in when)


def mentioned(clauses: Sequence[Clause]) -> set[str]:
    """The parameters that clauses look at."""
    return {name for clause in clauses for term in clause for name, _ in term}


def simplified(terms: Iterable[Term], domains: Mapping[str, frozenset[Value]]) -> Clause:
    """A short clause that holds where one of the terms holds; ``((),)`` where one always does.

    Args:
        terms: Atoms each.
        domains: All values of the parameters that are always active.
    """
    found = dict.fromkeys(_trimmed(term, domains) for term in terms)
    merged = True
    while merged:
        merged = False
        for a, b in itertools.combinations(found, 2):
            joined = _joined(a, b)
            if joined is not None:
                del found[a], found[b]
                found[_trimmed(joined, domains)] = None
                merged = True
                break
    return tuple(found)


def _trimmed(term: Term, domains: Mapping[str, frozenset[Value]]) -> Term:
    """A term in a fixed order, without atoms that always hold and with one atom a parameter."""
    atoms: dict[str, frozenset[Value | None]] = {}
    for name, allowed in term:
        atoms[name] = atoms.get(name, allowed) & allowed
    return tuple(
        (name, atoms[name]) for name in sorted(atoms) if not domains.get(name, _ANY) <= atoms[name]
    )


_ANY: frozenset[object] = frozenset([object()])


def _joined(a: Term, b: Term) -> Term | None:
    """One term for two: the weaker if it covers the other, the union if one atom differs."""
    left, right = dict(a), dict(b)
    for weak, strong, term in ((left, right, a), (right, left, b)):
        if all(name in strong and strong[name] <= allowed for name, allowed in weak.items()):
            return term
    different = [name for name in left if left[name] != right.get(name)]
    if left.keys() == right.keys() and len(different) == 1:
        return tuple({**left, different[0]: left[different[0]] | right[different[0]]}.items())
    return None


def ordered(names: Sequence[str], needs: Mapping[str, set[str]]) -> list[str]:
    """Order names so that each comes after what it needs, and else stays where it is.

    Raises:
        ValueError: If they need each other in a circle; its arguments are the names of the circle.
    """
    done: dict[str, None] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            raise ValueError(*path[path.index(name) :], name)
        path.append(name)
        for other in names:
            if other in needs.get(name, ()):
                visit(other)
        path.pop()
        done[name] = None

    for name in names:
        visit(name)
    return list(done)
