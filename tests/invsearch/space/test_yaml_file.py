"""YAML: values with positions, read as YAML 1.2 and written so that they read back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invsearch.errors import InputError
from invsearch.space.yaml_file import dump, parse, show

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"])),
    st.sampled_from(["1.5M", "3G", "no", "yes", "1e3", "0x1F", "null", "~", "=", "<<", ".nan"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_is_written_reads_back(value: object) -> None:
    assert parse(dump({"key": value}), "f").value == {"key": value}


def test_every_key_and_value_has_its_position() -> None:
    document = parse("a: 1\nb:\n  - x\n  - {c: 2}\n", "f.yaml")
    assert document.where(("a",)) == "f.yaml:1:4"
    assert document.where(("b", 1, "c"), key=True) == "f.yaml:4:6"
    assert document.where(("b", 1, "c")) == "f.yaml:4:9"
    assert document.where(("b", 1, "nothing")) == "f.yaml:4:5"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1k", 1000), ("1.5M", 1_500_000), ("-2G", -2_000_000_000), ("0.0001k", 0.1),
        (".5M", 500_000),
        ("1e-3", 0.001), ("1E5", 100000.0), ("012", 12), ("0o17", 15), ("0x1F", 31), ("+3", 3),
        ("no", "no"), ("Off", "Off"), ("y", "y"), ("True", True), ("FALSE", False), ("~", None),
        ("1_000", "1_000"), ("12:30", "12:30"), ("2026-01-02", "2026-01-02"), ("3m", "3m"),
        ("'3k'", "3k"),
        ("=", "="), ("1.2.3", "1.2.3"), (".inf", float("inf")),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = parse(f"a: {text}\n", "f").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_merge_keys_are_plain_keys() -> None:
    assert parse("<<: {a: 1}\n", "f").value == {"<<": {"a": 1}}


@pytest.mark.parametrize("text", ["[" * 3000, "a: &a {b: *a}", "a: " + "9" * 5000])
def test_hostile_texts_are_one_line_errors(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, "f")
    assert str(caught.value).startswith("f:1:")


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    with pytest.raises(InputError, match="too often"):
        parse("\n".join(lines), "f")


def test_long_values_are_shown_short() -> None:
    assert len(show("x" * 500)) == 60
    assert show({"a": [1, True, None]}) == "{a: [1, true, nothing]}"
