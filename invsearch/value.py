"""Numbers as a person reads them: one formatter for the page, the terminal and the tables.

The page's own script writes numbers by the same rules (``report/web/numbers.js``); a test holds the
two together.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = [
    "PLAIN", "NumberFormat", "NumberKind", "compact", "decimals", "fixed", "number", "number_span",
    "rounded", "signed", "significant",
]  # fmt: skip

NumberKind = Literal["plain", "scaled", "bytes", "percent"]

DIGITS = 4  # significant: one more than two runs of a training or a measurement agree in
_SMALLEST, _LARGEST = 1e-4, 1e6  # outside, a count of zeros has to be read: a power of ten is due
# SI prefixes, the largest first
_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
# IEC prefixes
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_ALIKE = 1e3  # ends of an interval further apart share no useful number of decimals
_WIDE = 100  # from here on two decimals are five digits
_EXACT = 1e15  # below 2**53, so that a float which is whole is the number itself


@dataclass(frozen=True)
class NumberFormat:
    """How a quantity's values are written.

    Attributes:
        kind: ``plain``: four significant digits, whole numbers below a million as they are;
            ``scaled``: with k, M, G or T; ``bytes``: with KiB, MiB or GiB; ``percent``: two
            decimals and the sign.
        unit: What follows a plain number; empty where it has no unit.
    """

    kind: NumberKind = "plain"
    unit: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as the page's script reads it."""
        return asdict(self)

    @property
    def tail(self) -> str:
        """What follows a plain number, the space included."""
        return f" {self.unit}" if self.unit else ""


PLAIN = NumberFormat()


def number(value: float | None, form: NumberFormat = PLAIN) -> str:
    """Write a value with its unit, such as ``1.733 G``, ``21.60 %`` or ``3.360 ms``.

    Args:
        value: The value; None, where there is none, is written as nothing.
        form: How.
    """
    if value is None:
        return ""
    if form.kind == "scaled":
        return _scaled(value)
    if form.kind == "bytes":
        scale, unit = next((pair for pair in _BYTES if abs(value) >= pair[0]), (1, "B"))
        return f"{_plain(value / scale)} {unit}"
    if form.kind == "percent":
        return f"{_zero(f'{value:.2f}')} %"
    return _plain(value) + form.tail


def number_span(low: float, high: float, form: NumberFormat = PLAIN) -> str:
    """Write two values as ``low to high``, a common unit once; one value where they look alike."""
    first, last = _ends(low, high, form)
    if first == last:
        return first
    value, _, unit = first.partition(" ")
    return f"{value if unit and last.endswith(f' {unit}') else first} to {last}"


def _ends(low: float, high: float, form: NumberFormat) -> tuple[str, str]:
    """Write two values, with as many decimals each where they are of one size."""
    small, large = sorted((abs(low), abs(high)))
    places = decimals(large)
    alike = form.kind == "plain" and not (_is_whole(low) and _is_whole(high))
    if not alike or places is None or small < large / _ALIKE:
        return number(low, form), number(high, form)
    first, last = (_zero(f"{value:.{places}f}") + form.tail for value in (low, high))
    return first, last


def compact(value: float | None, digits: int = DIGITS, *, least: float = 1e3) -> str:
    """Write a value in little room, with k, M or G right behind it as a space file may have it.

    Args:
        value: The value; None is written as nothing.
        digits: How many significant ones.
        least: The size from which on k is used.
    """
    if value is None:
        return ""
    size = abs(float(f"{value:.{digits}g}"))  # 999,999 in three digits is a million
    for scale, suffix in _SCALES[1:]:
        if max(scale, least) <= size < _EXACT:
            return f"{_unpowered(value / scale, digits)}{suffix}"
    return significant(value, digits)


def _unpowered(value: float, digits: int) -> str:
    """So many significant digits, those before the point as they are: 1990, not 1.99e+03."""
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e" in text else text


def significant(value: float | None, digits: int = DIGITS) -> str:
    """Write a value with up to that many significant digits; None as nothing."""
    return "" if value is None else _zero(f"{value:.{digits}g}")


def fixed(value: float | None, places: int = 4) -> str:
    """Write a value of a table with that many decimals, two from a hundred on; None as nothing."""
    return "" if value is None else _zero(f"{value:.{places if abs(value) < _WIDE else 2}f}")


def signed(value: float | None, places: int = 2) -> str:
    """Write a difference with its sign, and none where it rounds to zero; None as nothing."""
    if value is None:
        return ""
    text = f"{value:+.{places}f}"
    return text if _is_not_zero(text) else text[1:]


def rounded(value: float | None, digits: int = 7) -> float | None:
    """Round to significant digits; whole numbers stay as they are, what is not finite is None.

    A page carries thousands of numbers, each read to four digits.
    """
    if value is None or isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(value) < _EXACT else short


def decimals(value: float) -> int | None:
    """Return the decimals that four significant digits take; None where a power of ten is due."""
    if not _SMALLEST <= abs(value) < _LARGEST:
        return None
    return max(0, DIGITS - 1 - int(f"{value:.{DIGITS - 1}e}".partition("e")[2]))


def _plain(value: float) -> str:
    if _is_whole(value):
        return _zero(f"{value:.0f}")
    places = decimals(value)
    if places is not None:
        return f"{value:.{places}f}"
    mantissa, exponent, power = f"{value:.{DIGITS - 1}e}".partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def _is_whole(value: float) -> bool:
    return float(value).is_integer() and abs(value) < _LARGEST


def _scaled(value: float) -> str:
    for scale, suffix in _SCALES:
        if abs(value) >= scale:
            return f"{format(value / scale, f'#.{DIGITS}g').rstrip('.')} {suffix}"
    return significant(value)


def _zero(text: str) -> str:
    """Take the sign off a zero: what rounds to nothing is neither more nor less than nothing."""
    return text if _is_not_zero(text) else text.removeprefix("-")


def _is_not_zero(text: str) -> bool:
    return any(character not in "+-0." for character in text)
