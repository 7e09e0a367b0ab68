"""The families of networks: one file and one row each; third parties' by entry points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from invsearch.models.ends import HEAD, STEM
from invsearch.models.families import mobilenet, rednet, resnet
from invsearch.models.families.family import Family
from invsearch.models.form import add_form
from invsearch.plugins import entry_points

__all__ = ["ENTRY_POINT_GROUP", "FAMILIES", "Families", "Family"]

ENTRY_POINT_GROUP = "invsearch.families"


class Families(Mapping[str, Family]):
    """Families by name; those of third parties are loaded when one asks for more than ours.

    Args:
        rows: The families that come with the package.
    """

    def __init__(self, rows: Iterable[Family]) -> None:
        self._rows: dict[str, Family] = {}
        self._complete = False
        for row in rows:
            self.add(row)

    def add(self, family: Family) -> None:
        """Add a family, and the form of its blocks.

        Raises:
            ValueError: If its name, or that of its form, is taken.
        """
        if family.name in self._rows:
            raise ValueError(f"a family is called {family.name!r} already")
        add_form(family.form)
        self._rows[family.name] = family

    def __getitem__(self, name: str) -> Family:
        return self._rows[name] if name in self._rows else self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Family]:
        if not self._complete:
            self._complete = True
            for name, found in entry_points(ENTRY_POINT_GROUP):
                if not isinstance(found, Family):
                    raise TypeError(f"the plugin {name!r} of {ENTRY_POINT_GROUP} is no Family")
                self.add(found)
        return self._rows


for _end in (STEM, HEAD):
    add_form(_end)

FAMILIES = Families((rednet.FAMILY, resnet.FAMILY, mobilenet.FAMILY))
