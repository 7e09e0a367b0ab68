"""Architecture: one point of a Space."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Architecture", "Value"]

Value = str | int | float | bool


@dataclass(frozen=True)
class Architecture(Mapping[str, Value]):
    """One point of a space: frozen, hashable and canonical.

    Only :meth:`Space.canonical <invsearch.space.Space.canonical>` and the methods built on it make
    one, so a choice that has no effect is not part of it, and two spellings of one network are
    equal.

    Attributes:
        items_: ``(parameter name, value)`` pairs in the order of the space's parameters.
    """

    items_: tuple[tuple[str, Value], ...]

    def __getitem__(self, name: str) -> Value:
        for key, value in self.items_:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.items_)

    def __len__(self) -> int:
        return len(self.items_)

    def __hash__(self) -> int:
        return hash(self.items_)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.items_ == other.items_

    @property
    def key(self) -> str:
        """A canonical text form, equal exactly for equal architectures."""
        return json.dumps(self.to_json(), separators=(",", ":"))

    def to_json(self) -> dict[str, Value]:
        """The parameters as ``{name: value}``, as stored in trials.jsonl."""
        return dict(self.items_)
