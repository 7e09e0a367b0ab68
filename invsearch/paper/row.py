"""Row: a published number, our number, and what to think of the difference."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

__all__ = ["LIKE_FOR_LIKE", "PUBLISHED", "Row", "Table", "Verdict", "judged", "unjudged"]

Table = Literal["classification", "detection", "segmentation", "ablation", "runtime", "abstract"]
Verdict = Literal["equal", "within", "differs", "not_judged"]

PUBLISHED = "published"
LIKE_FOR_LIKE = "paper, like for like"
"""The paper's convention applied in the same way to every row of a table."""

_TOLERANCE_PERCENT = 0.1  # every published cost of ours comes out within it
_HALF_DIGITS = Decimal("1.2")


@dataclass(frozen=True)
class Row:
    """One number of the paper, reproduced.

    Attributes:
        table: The paper's table.
        row: The key columns of that row, joined by " / ".
        quantity: What it is, with its unit.
        convention: How it was counted or measured.
        published: The published number; None where there is none.
        status: Where ``published`` comes from, or why there is none.
        reproduced: Ours; None where we have none.
        tolerance_percent: The largest difference that passes; None where nothing is judged.
        verdict: ``equal`` to the printed digit, ``within`` the tolerance, ``differs`` or
            ``not_judged``.
        known: Why a number that differs is known to differ; empty where none does.
        printed: The published number's own digits, to show; empty where there is none.
    """

    table: Table
    row: str
    quantity: str
    convention: str
    published: float | None
    status: str
    reproduced: float | None
    tolerance_percent: float | None = None
    verdict: Verdict = "not_judged"
    known: str = ""
    printed: str = ""

    @property
    def difference_percent(self) -> float | None:
        """Ours less the published one, in percent of it."""
        if self.published is None or self.reproduced is None:
            return None
        return 100 * (self.reproduced - self.published) / self.published

    @property
    def failed(self) -> bool:
        """Whether it differs, and not in a way that is known."""
        return self.verdict == "differs" and not self.known

    def to_json(self) -> dict[str, Any]:
        """The fields that INTERFACES names, in its order."""
        return {
            "table": self.table,
            "row": self.row,
            "quantity": self.quantity,
            "convention": self.convention,
            "published": self.published,
            "status": self.status,
            "reproduced": self.reproduced,
            "difference_percent": self.difference_percent,
            "tolerance_percent": self.tolerance_percent,
            "verdict": self.verdict,
        }


def judged(
    table: Table,
    row: str,
    quantity: str,
    printed: str,
    status: str,
    reproduced: float,
    *,
    known: str = "",
) -> Row:
    """Judge a reproduced number by the digits that were printed.

    A number whose status is ``published`` must equal the printed digit or lie within 0.1 %. Any
    other, derived or read off, must lie within 1.2 units of half its last digit; zeros at the end
    after the point are not taken for digits there.

    Args:
        table: The paper's table.
        row: Its key.
        quantity: What it is.
        printed: The published number as printed.
        status: Where it comes from.
        reproduced: Ours, in the convention ``paper``.
        known: Why it is known to differ, where it does.
    """
    published = float(printed)
    tolerance = _TOLERANCE_PERCENT if status == PUBLISHED else _half_digit_percent(printed)
    difference = abs(100 * (reproduced - published) / published)
    verdict: Verdict = "within" if difference <= tolerance else "differs"
    if Decimal(repr(reproduced)).quantize(Decimal(printed)) == Decimal(printed):
        verdict = "equal"
    reason = known if verdict == "differs" else ""
    return Row(
        table,
        row,
        quantity,
        "paper",
        published,
        status,
        reproduced,
        tolerance,
        verdict,
        reason,
        printed,
    )


def unjudged(
    table: Table, row: str, quantity: str, convention: str, reproduced: float, status: str = ""
) -> Row:
    """A number of ours that nothing published is to be compared with."""
    return Row(table, row, quantity, convention, None, status or "no published number", reproduced)


def _half_digit_percent(printed: str) -> float:
    """1.2 units of half the last digit, in percent of the number."""
    digits = printed.rstrip("0").rstrip(".") if "." in printed else printed
    decimals = len(digits.partition(".")[2])
    return float(100 * _HALF_DIGITS * Decimal(10) ** -decimals / 2 / Decimal(printed))
