"""Subject: a network that no trial of a run stands for - by name, or as it was kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from invsearch.errors import InputError, nearest
from invsearch.models import (
    FAMILIES,
    ModuleSpec,
    NetworkSpec,
    SearchedSpec,
    TaskSpec,
    build_searched,
    family_spec,
)
from invsearch.runs import RunFolder
from invsearch.runs.load import find_run
from invsearch.takeaway.saved import CONFIG, SavedNetwork

__all__ = ["Subject", "known_names", "subject_of"]

_NAME = re.compile(r"([a-z_]\w*?)[-_ ]?(\d+)")
_RESOLUTION = 224  # of the networks that have names: the side their papers state costs for


@dataclass(frozen=True)
class Subject:
    """A network.

    Attributes:
        name: In words, for messages: ``rednet50``, or the folder.
        spec: The full-size network.
        resolution: Side in pixels of the images that it is for.
        origin: Where it comes from, as ``config.json`` has it.
        saved: The folder or file that it was kept in.
    """

    name: str
    spec: SearchedSpec
    resolution: int
    origin: Mapping[str, Any] = field(compare=False)
    saved: SavedNetwork | None = None

    def classifier(self) -> NetworkSpec:
        """What it is, where it classifies.

        Raises:
            InputError: If it is a segmenter, or somebody else's.
        """
        if isinstance(self.spec, TaskSpec):
            raise InputError(
                f"{self.name} has the task {self.spec.task}: this is for networks that classify"
            )
        if isinstance(self.spec, ModuleSpec):
            raise InputError(
                f"{self.name} is built by {self.spec.builder!r}: this is for families of ours"
            )
        return self.spec

    def fresh(self) -> nn.Module:
        """The network with weights as it begins with.

        Raises:
            InputError: If an operator is not registered.
        """
        if self.saved is not None:
            self.saved.fresh()  # registers operators
        return build_searched(self.spec)


def subject_of(words: str) -> Subject:
    """Find a network: a kept folder or its ``config.json``, or a family's name and a depth.

    Args:
        words: A path, or a name such as ``rednet50``, ``RedNet-50``; a kept folder wins.

    Raises:
        InputError: If it is none of them; where it is a run, that a trial is missing.
    """
    path = Path(words)
    matched = _NAME.fullmatch(words.lower())
    kept = path.is_file() or (path / CONFIG).is_file()
    if matched and matched[1] in FAMILIES and not kept:
        return _named(matched[1], int(matched[2]), words)
    if kept or (path.is_dir() and not RunFolder(path).exists):
        saved = SavedNetwork.open(path)  # which says what is amiss with a folder
        return Subject(words, saved.spec, saved.resolution, saved.origin, saved)
    raise InputError(_unknown(words))


def known_names() -> list[str]:
    """Every network that has a name: each family's depths."""
    return [f"{name}{depth}" for name, family in FAMILIES.items() for depth in family.presets]


def _named(family: str, depth: int, words: str) -> Subject:
    if depth not in FAMILIES[family].presets:
        known = [name for name in known_names() if name.startswith(family)]
        raise InputError(f"{words!r}: {family} has no depth {depth}; there are {', '.join(known)}")
    architecture = {"family": family, "depth": depth}
    origin: dict[str, Any] = {
        "run": None, "trial": None, "architecture": architecture, "operators": [],
    }  # fmt: skip
    return Subject(f"{family}{depth}", family_spec(family, depth), _RESOLUTION, origin)


def _unknown(words: str) -> str:
    try:
        find_run(words)
    except InputError:
        names = known_names()
        return (
            f"there is no network {words!r}{nearest(words, names)}: name a run and a trial, a "
            f"folder that `invsearch train -o` wrote, or one of {', '.join(names)}"
        )
    return f"{words!r} is a run: name one of its trials too, such as `{words} 0`"
