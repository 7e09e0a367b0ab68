"""The laws of the one number formatter, and that the page's script keeps them too."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invsearch.metrics import KNOWN_METRICS
from invsearch.value import (
    PLAIN,
    NumberFormat,
    compact,
    fixed,
    number,
    number_span,
    rounded,
    signed,
    significant,
)

FORMATS = [PLAIN, NumberFormat("plain", "ms"), NumberFormat("scaled"), NumberFormat("bytes")]
PERCENT = NumberFormat("percent")
SCALES = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
VALUES = st.floats(-1e12, 1e12, allow_subnormal=False)


def read(text: str) -> float:
    """Read a written number back."""
    value, _, unit = text.partition(" ")
    return float(value) * SCALES.get(unit, 1.0)


@pytest.mark.parametrize("form", FORMATS)
@given(value=VALUES)
def test_four_digits_survive(form: NumberFormat, value: float) -> None:
    """What is read back differs by no more than half of the fourth digit."""
    assert read(number(value, form)) == pytest.approx(value, rel=5.001e-4, abs=0)


@given(value=VALUES)
def test_percent_keeps_two_decimals(value: float) -> None:
    assert read(number(value, PERCENT)) == pytest.approx(value, abs=0.00501, rel=1e-12)


@pytest.mark.parametrize("form", [*FORMATS, PERCENT])
@given(value=VALUES)
def test_a_sign_is_a_sign_and_never_before_zero(form: NumberFormat, value: float) -> None:
    """A number and its opposite look alike but for the sign; zero has none."""
    positive, negative = number(abs(value), form), number(-abs(value), form)
    zero = read(positive) == 0
    assert negative == (positive if zero else f"-{positive}")


@pytest.mark.parametrize("write", [significant, compact, fixed, signed, number])
def test_nothing_is_written_as_nothing_and_zero_without_a_sign(write: object) -> None:
    assert callable(write)
    assert write(None) == ""
    for zero in (0.0, -0.0):
        assert set(write(zero)) <= {"0", "."}


def test_what_rounds_to_zero_has_no_sign() -> None:
    assert number(-0.001, PERCENT) == "0.00 %"
    assert fixed(-0.00001) == "0.0000"
    assert [signed(value) for value in (-0.004, 0.004, 0.04, -0.04)] == [
        "0.00", "0.00", "+0.04", "-0.04",
    ]  # fmt: skip


@given(low=VALUES, high=VALUES)
def test_a_span_says_its_unit_at_its_end(low: float, high: float) -> None:
    """Once where both ends have it, and one value where they look alike."""
    text = number_span(low, high, NumberFormat("plain", "ms"))
    assert text.endswith(" ms")
    assert text.count("ms") == 1
    assert (" to " in text) or low == pytest.approx(high, rel=2e-3, abs=1e-4)


@given(value=VALUES, digits=st.integers(3, 7))
def test_short_forms_keep_their_digits(value: float, digits: int) -> None:
    half = pytest.approx(value, rel=0.5001 * 10 ** (1 - digits), abs=0)
    assert float(significant(value, digits)) == half
    text = compact(value, digits)
    scale = SCALES.get(text[-1], 1.0)
    assert float(text.rstrip("kMG")) * scale == half
    assert rounded(value, digits) == half


def test_compact_is_what_a_space_file_may_say() -> None:
    assert [compact(v) for v in (1733438112, 25557032, 1e3, 999, 0.5)] == [
        "1.733G", "25.56M", "1k", "999", "0.5",
    ]  # fmt: skip
    assert compact(5000, 4, least=1e4) == "5000"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.9876e12, "1990G"), (-1.2e13, "-12000G"), (999.6e9, "1000G"), (999.6e6, "1G"),
        (999_600, "1M"), (123_456, "123k"), (9.9e14, "990000G"), (1e16, "1e+16"),
        (math.inf, "inf"), (math.nan, "nan"),
    ],
)  # fmt: skip
def test_compact_writes_no_power_of_ten_before_a_letter(value: float, text: str) -> None:
    """Segmenters at full size have 2,000 G MACs."""
    assert compact(value, 3) == text


def test_rounding_leaves_whole_numbers_and_drops_what_json_cannot_say() -> None:
    assert rounded(1733438112) == 1733438112
    assert isinstance(rounded(2.0), int)
    assert [rounded(value) for value in (None, math.inf, math.nan)] == [None, None, None]


def test_every_metric_has_its_texts() -> None:
    """An axis label without its unit, or two metrics of one name, would mislead."""
    names = [info.short for info in KNOWN_METRICS.values()]
    assert len(set(names)) == len(names)
    for info in KNOWN_METRICS.values():
        assert info.unit == "" or f"({info.unit})" in info.label
        assert info.label.startswith(info.short) or info.short in info.label
