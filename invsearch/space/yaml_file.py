"""YAML text -> plain values, each with its position in the file.

Scalars follow YAML 1.2 (``1e-3`` is a number; ``no``, ``off`` and ``yes`` are strings), and a
number may carry ``k``, ``M`` or ``G``. Tags are refused, aliases are followed, a key given twice is
an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml

from invsearch.errors import InputError

__all__ = ["Document", "Path", "dump", "parse", "show"]

Path = tuple[str | int, ...]
"""The keys and indices that lead from the top of a file to a value."""

_MAX_NODES = 100_000  # of a file, read in seconds: a long choice has some; an alias bomb has more
_MAX_DIGITS = 400  # of a number: any float has fewer, and Python refuses more than 4300
# decimal, as MACs and parameters are counted
_SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9}
_TAG = "tag:yaml.org,2002:"
_RESOLVERS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+|[kMG])?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)


class _Loader(yaml.SafeLoader):
    """A SafeLoader that resolves plain scalars as YAML 1.2 does and refuses tags."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            problem = f"the tag {event.tag!r} is refused: only plain YAML is read"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """A SafeDumper that quotes the strings that :class:`_Loader` would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {}
    for _name, _pattern, _first in _RESOLVERS:
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


@dataclass
class Document:
    """The value of a YAML text, and where each part of it was written.

    Attributes:
        label: The file's name as the user gave it.
        value: Dicts, lists, strings, numbers, booleans and None.
        keys: ``file:line:column`` of each mapping key, by path.
        values: ``file:line:column`` of each value, by path.
    """

    label: str
    value: Any = None
    keys: dict[Path, str] = field(default_factory=dict)
    values: dict[Path, str] = field(default_factory=dict)

    def where(self, path: Path = (), *, key: bool = False) -> str:
        """Return the position of what is at ``path``, or of the nearest thing around it."""
        for marks in (self.keys, self.values) if key else (self.values,):
            if path in marks:
                return marks[path]
        return self.where(path[:-1]) if path else f"{self.label}:1:1"

    def error(self, path: Path, message: str, *, key: bool = False) -> InputError:
        """Return the error to raise about what is at ``path`` (about its key with ``key=True``)."""
        return InputError(f"{self.where(path, key=key)}: {message}")


def parse(text: str, label: str) -> Document:
    """Read a YAML text of one document.

    Raises:
        InputError: For anything that is not plain YAML, with its position.
    """
    document = Document(label)
    try:
        node = _Loader(text).get_single_node()
        if node is not None:
            document.value = _Reader(document).read(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        reason = " ".join(f"{error.context or ''} {error.problem or ''}".split()) or "unreadable"
        raise InputError(f"{label}:{place}: not a valid file: {reason}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise InputError(
            f"{label}:{line}:{column}: the character U+{int(error.character):04X} is not allowed"
        ) from None
    except RecursionError:
        raise InputError(f"{label}:1:1: not a valid file: nested too deeply") from None
    return document


class _Reader:
    """Turns a node tree into values and notes their positions."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        self._document.values[path] = self._where(node)
        if id(node) in self._open:
            raise InputError(f"{self._where(node)}: an alias repeats itself too often")
        if self._count > _MAX_NODES:
            limit = f"more than {_MAX_NODES:,} values"
            raise InputError(f"{self._where(node)}: {limit}, or an alias repeats itself too often")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(node, path)
        else:
            value = [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
        self._open.remove(id(node))
        return value

    def _where(self, node: yaml.Node) -> str:
        mark = node.start_mark
        return f"{self._document.label}:{mark.line + 1}:{mark.column + 1}"

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError(f"{self._where(key_node)}: a key must be a word, not a collection")
            key = str(key_node.value)
            if key in mapping:
                raise InputError(
                    f"{self._where(key_node)}: key {key!r} is given twice "
                    f"(first at line {first[key]})"
                )
            first[key] = key_node.start_mark.line + 1
            self._document.keys[*path, key] = self._where(key_node)
            mapping[key] = self.read(value_node, (*path, key))
        return mapping

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text, kind = str(node.value), node.tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind not in ("int", "float"):
            return text
        if len(text) > _MAX_DIGITS:
            raise InputError(f"{self._where(node)}: a number of {len(text)} digits is too long")
        return _number(text)


def _number(text: str) -> int | float:
    if text[:2] in ("0o", "0x"):
        return int(text, 0)
    if text[-1] in _SUFFIXES:
        scaled = Decimal(text[:-1]) * _SUFFIXES[text[-1]]
        return int(scaled) if scaled == scaled.to_integral_value() else float(scaled)
    try:
        return int(text)
    except ValueError:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def dump(value: Any) -> str:
    """Write plain values as YAML that :func:`parse` reads back as they are."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def show(value: Any, limit: int = 60) -> str:
    """Write a value on one line, as it would stand in a file, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {show(item)}" for key, item in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(show(item) for item in value) + "]"
    else:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
