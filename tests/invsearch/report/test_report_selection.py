"""The table of trials and the selection, in a real browser, by mouse and by keyboard."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from synthetic_runs import Writer, make_trials


def test_the_table_sorts_by_every_column(open_page: Any, writer: Writer) -> None:
    """By mouse and by keyboard, both ways; what is missing stays last."""
    opened = open_page(writer())
    assert opened.numbers() == list(range(28))
    heads = opened.page.locator("#run0-table th button")
    heads.first.click()
    assert opened.numbers() == list(range(27, -1, -1))
    loss = opened.page.get_by_role("button", name="validation loss", exact=True)
    loss.focus()
    opened.page.keyboard.press("Enter")
    values = [row.split(" ")[0] for row in opened.page.locator(
        "#run0-table tbody td:nth-child(4)").all_inner_texts()]  # fmt: skip
    numbers = [float(value) for value in values if value]
    assert numbers == sorted(numbers)
    assert values[-2:] == ["", ""]
    assert opened.page.locator("#run0-table th[aria-sort=ascending]").count() == 1
    for index in range(heads.count()):
        heads.nth(index).click()
        assert sorted(opened.numbers()) == list(range(28))


def test_the_table_filters(open_page: Any, writer: Writer) -> None:
    """By words, by state and by membership of the front, together."""
    opened = open_page(writer())
    page = opened.page
    page.locator("select[name=state]").select_option("stopped")
    assert opened.numbers() == [6, 13, 20, 27]
    assert page.locator("form output").inner_text() == "4 of 28 trials"
    page.locator("select[name=state]").select_option("")
    page.locator("input[name=text]").fill("depth=26 stage1.operator=involution")
    shown = opened.numbers()
    assert 0 < len(shown) < 28
    page.locator("input[name=text]").fill("")
    page.get_by_label("front only").check()
    assert 0 < len(opened.numbers()) < 28
    page.locator("input[name=text]").fill("no such words")
    assert opened.numbers() == []


def test_clicking_a_recommended_trial_finds_its_row(open_page: Any, writer: Writer) -> None:
    """From the summary to the table, also when a filter hides the row."""
    opened = open_page(writer())
    opened.page.locator("select[name=state]").select_option("failed")
    link = opened.page.locator(".pick a").first
    number = int(link.inner_text().split()[1])
    link.click()
    picked = opened.page.locator("tr.picked")
    assert int(picked.locator("td").first.inner_text()) == number
    assert picked.is_visible()


def test_a_column_is_filtered_by_itself(open_page: Any, writer: Writer) -> None:
    """Numbers by bounds with their suffixes, words by what they contain; one button resets."""
    opened = open_page(writer())
    page = opened.page
    page.get_by_label("Filter the column MACs").fill("< 1G")
    small = opened.numbers()
    assert 0 < len(small) < 28
    page.get_by_label("Filter the column MACs").fill(">= 1G")
    assert sorted([*small, *opened.numbers()]) == list(range(28))
    page.get_by_label("Filter the column trial").fill("3..5")
    assert set(opened.numbers()) <= {3, 4, 5}
    page.get_by_label("Filter the column origin").fill("BASE")
    assert set(opened.numbers()) <= {3, 4}
    page.get_by_role("button", name="Reset all filters").click()
    assert len(opened.numbers()) == 28


def test_the_rows_shown_are_exported_as_csv(open_page: Any, writer: Writer, tmp_path: Path) -> None:
    """In their order, with intervals and sources, from the page alone."""
    opened = open_page(writer(name='a "quoted", name'))
    opened.page.locator("select[name=state]").select_option("stopped")
    opened.page.locator("#run0-table th button").first.click()
    with opened.page.expect_download() as waiting:
        opened.page.get_by_role("button", name="Download as CSV").click()
    assert waiting.value.suggested_filename == "a-quoted-name-trials.csv"
    waiting.value.save_as(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == [27, 20, 13, 6]
    assert rows[0]["val_loss_source"] == "trained"
    low, value, high = (float(rows[0][f"val_loss{end}"]) for end in ("_low", "", "_high"))
    assert low < value < high
    assert rows[0]["stage1.operator"] in ("involution", "convolution")


def _drag(page: Any) -> None:
    """Select the left half of the first front."""
    page.locator("#run0-figure0").scroll_into_view_if_needed()
    box = page.locator("#run0-figure0 .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 3, steps=5)
    page.mouse.up()


def test_selecting_points_filters_the_other_figures_and_the_table(
    open_page: Any, writer: Writer
) -> None:
    """Those that are not selected are gone elsewhere, and back after the reset."""
    opened = open_page(writer(40, "error: minimize, macs: minimize, latency_ms: minimize"))
    page = opened.page
    opened.draw_all()
    shown = (
        "[...new Set(document.getElementById('run0-figure{}').data"
        ".filter((trace) => trace.customdata).flatMap((trace) => trace.customdata))].length"
    )
    whole = page.evaluate(shown.format(1))
    _drag(page)
    page.locator("#selection").wait_for()
    selected = opened.numbers()
    assert 0 < len(selected) < whole
    assert page.locator("#selection output").inner_text().startswith(f"{len(selected)} trials")
    page.locator("#run0-figure1").scroll_into_view_if_needed()
    opened.wait_until(f"{shown.format(1)} === {len(selected)}")
    assert page.evaluate(shown.format(0)) == whole
    page.get_by_role("button", name="Reset selection").click()
    assert not page.locator("#selection").is_visible()
    opened.wait_until(f"{shown.format(1)} === {whole}")
    assert len(opened.numbers()) == 40


def test_a_point_is_selected_by_click_and_by_keyboard(open_page: Any, writer: Writer) -> None:
    """Arrow keys walk and tell, Enter adds and takes back, Escape resets."""
    opened = open_page(writer())
    page = opened.page
    page.locator("#run0-figure0").focus()
    for key in ("ArrowRight", "Enter", "ArrowRight", "Enter"):
        page.keyboard.press(key)
        page.wait_for_timeout(100)
    assert "trial " in page.locator("#announced").inner_text()
    assert len(opened.numbers()) == 2
    page.keyboard.press("Enter")
    page.wait_for_timeout(100)
    assert len(opened.numbers()) == 1
    page.keyboard.press("Escape")
    assert len(opened.numbers()) == 28
    opened.wait_until(
        "document.getElementById('run0-figure0').data.every((t) => !t.selectedpoints)"
    )
    point = page.locator("#run0-figure0 .xy .scatterlayer .trace .points path").last.bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.locator("#run0-figure0 .hoverlayer .hovertext").first.wait_for()
    page.mouse.down()
    page.mouse.up()
    page.locator("#selection").wait_for()
    assert len(opened.numbers()) == 1


def test_a_tap_selects_once(open_page: Any, writer: Writer) -> None:
    """On a touch screen plotly reports a tap twice; it must not take itself back."""
    options = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    opened = open_page(writer(), **options)
    page = opened.page
    page.locator("#run0-figure0").scroll_into_view_if_needed()
    point = page.locator("#run0-figure0 .xy .scatterlayer .points path").nth(2).bounding_box()
    page.touchscreen.tap(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.locator("#selection").wait_for()
    page.wait_for_timeout(300)
    assert page.locator("#selection").is_visible()
    assert len(opened.numbers()) == 1


def test_choosing_a_value_selects_all_that_have_it(open_page: Any, writer: Writer) -> None:
    """In the parallel coordinates a value stands for its trials."""
    opened = open_page(writer(40))
    page = opened.page
    plot = page.locator("#run0-search3")
    plot.scroll_into_view_if_needed()
    plot.locator(".main-svg").first.wait_for()
    plot.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    text = page.locator("#announced").inner_text()
    wanted = text.partition(". ")[0].replace(" = ", "=")
    selected = opened.numbers()
    assert int(text.partition(". ")[2].split()[0]) == len(selected) > 1
    rows = page.locator("#run0-table tbody tr")
    part, _, pair = wanted.rpartition(".")
    assert all(pair in row and part in row for row in rows.all_inner_texts())


def test_many_trials_open_and_filter(open_page: Any, writer: Writer) -> None:
    """Two thousand trials and four objectives: rows are built as they are needed."""
    path = writer(1, "error: minimize, macs: minimize, latency_ms: minimize, params: minimize")
    lines = [json.dumps(trial.to_json()) for trial in make_trials(2000)]
    (path / "trials.jsonl").write_text("\n".join([*lines, ""]))
    opened = open_page(path)
    page = opened.page
    assert page.locator("form output").inner_text() == "2000 of 2000 trials"
    assert page.locator("#run0-table tbody tr").count() < 500
    # not click(): it scrolls the button into sight, where rows are added for as long as it waits
    page.get_by_role("button", name="Show more rows").dispatch_event("click")
    assert 150 < page.locator("#run0-table tbody tr").count() < 700
    page.get_by_label("Filter the column trial").fill("1999")
    assert opened.numbers() == [1999]
