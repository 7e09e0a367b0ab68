"""What the page is made of: sections, and the blocks that these are made of.

A kind of block is one class here and the macro of its name in ``web/blocks.html``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from invsearch.report.plot.figure import Figure

__all__ = [
    "Card", "Cards", "Cell", "Code", "Columns", "Facts", "Figures", "Fold", "Grid", "Heading",
    "NetworkLayers", "PageBlock", "Prose", "Section", "TrialTable",
]  # fmt: skip

Named = Sequence[tuple[str, Figure]]
"""Figures by the id of their element."""


class PageBlock:
    """A part of a section."""

    kind: ClassVar[str]
    """The macro that writes it."""

    @property
    def drawn(self) -> Named:
        """The figures in it."""
        return ()


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        label: What the navigation and a screen reader call it.
        blocks: What it shows, in order.
        title: Its heading; the label where that says enough.
        data: What the page's script needs to know of the run beside its trials.
    """

    label: str
    blocks: Sequence[PageBlock]
    title: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """The heading."""
        return self.title or self.label

    @property
    def drawn(self) -> list[tuple[str, Figure]]:
        """The figures in it."""
        return [named for block in self.blocks for named in block.drawn]


@dataclass(frozen=True)
class Prose(PageBlock):
    """A paragraph.

    Attributes:
        text: What it says.
        tone: ``hint``, small and faint; ``below``, the same under a table; ``next``, before a
            command; ``notice``, a warning.
        code: A command at its end.
    """

    kind = "prose"
    text: str
    tone: Literal["", "hint", "below", "next", "notice"] = ""
    code: str = ""


@dataclass(frozen=True)
class Heading(PageBlock):
    """A heading within a section."""

    kind = "heading"
    text: str


@dataclass(frozen=True)
class Code(PageBlock):
    """A command to copy, or a file.

    Attributes:
        text: What it says.
        label: What a screen reader calls it.
        command: Whether it is a command, which is selected whole and broken between words alone.
    """

    kind = "code"
    text: str
    label: str
    command: bool = True


@dataclass(frozen=True)
class Facts(PageBlock):
    """Names and what each is."""

    kind = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Figures(PageBlock):
    """Figures.

    Attributes:
        named: The figures by the id of their element.
        beside: Whether they lie side by side where there is room.
    """

    kind = "figures"
    named: Named
    beside: bool = True

    @classmethod
    def called(cls, prefix: str, figures: Sequence[Figure], *, beside: bool = True) -> Figures:
        """Name figures by their places: ``prefix0``, ``prefix1`` and so on."""
        return cls([(f"{prefix}{place}", one) for place, one in enumerate(figures)], beside)

    @property
    def drawn(self) -> Named:
        """The figures."""
        return self.named


@dataclass(frozen=True)
class Cell:
    """A cell that is more than text.

    Attributes:
        text: What it says.
        strong: Whether it stands out.
        links: Addresses on the page with their texts; they follow the text.
        more: Whether the list of links is cut short.
        tone: ``good`` or ``bad`` where it is a verdict.
    """

    text: str = ""
    strong: bool = False
    links: tuple[tuple[str, str], ...] = ()
    more: bool = False
    tone: str = ""


@dataclass(frozen=True)
class Grid(PageBlock):
    """A table.

    Attributes:
        label: What a screen reader calls it.
        heads: Each column's title and its kind, a class of the style sheet: ``name``, ``text``,
            ``number``, ``reason``, ``remark`` or ``links``.
        rows: The cells.
    """

    kind = "grid"
    label: str
    heads: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str | Cell]]


@dataclass(frozen=True)
class Fold(PageBlock):
    """A table that is folded away.

    Attributes:
        text: What is seen of it.
        grid: The table.
        open: Whether it is unfolded at first.
        verdict: What follows the text, which then stands out.
        tone: ``good`` or ``bad``, of the verdict.
    """

    kind = "fold"
    text: str
    grid: Grid
    open: bool = False
    verdict: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Card:
    """One of several things side by side.

    Attributes:
        title: Its heading.
        link: An address on the page and its text.
        remark: What follows the link.
        facts: Names and values.
        lines: Small print, line by line.
        commands: What to do next, each with what it is for.
    """

    title: str
    link: tuple[str, str]
    remark: str
    facts: Sequence[tuple[str, str]]
    lines: Sequence[str] = ()
    commands: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Cards(PageBlock):
    """Things side by side."""

    kind = "cards"
    cards: Sequence[Card]


@dataclass(frozen=True)
class Columns(PageBlock):
    """Blocks side by side, each below its heading."""

    kind = "columns"
    columns: Sequence[tuple[str, PageBlock]]

    @property
    def drawn(self) -> Named:
        """The figures in it."""
        return [named for _, block in self.columns for named in block.drawn]


@dataclass(frozen=True)
class TrialTable(PageBlock):
    """The trials, which the page's script sorts and filters.

    Attributes:
        run: The run's place on the page.
        states: The states that its trials have.
    """

    kind = "trial_table"
    run: int
    states: Sequence[str]


@dataclass(frozen=True)
class NetworkLayers(PageBlock):
    """A network to choose, drawn block by block, with its tables by operator and by layer.

    Attributes:
        run: The run's place on the page.
        quantities: What can be shown of a layer, by the name of its column, in words.
        named: The figure, by the id of its element.
    """

    kind = "network_layers"
    run: int
    quantities: Mapping[str, str]
    named: Named

    @property
    def drawn(self) -> Named:
        """The figure."""
        return self.named
