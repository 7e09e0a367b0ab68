"""The page in a real browser: it opens quietly, sorts, filters, and runs nothing it should not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import Writer, make_paper

from invsearch.report import write_report

EVIL = "<script>alert(1)</script>"


class Opened:
    """A page that was opened by file://, and what it said and asked for meanwhile."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.noise: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda message: self.noise.append(message.text))
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("dialog", lambda dialog: self.noise.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]")

    def numbers(self) -> list[int]:
        """Return the trials that the first run's table shows, in order."""
        cells = self.page.locator("#run0-table tbody tr:not([hidden]) td:first-child")
        return [int(text) for text in cells.all_inner_texts()]

    def wait_until(self, condition: str) -> None:
        """Wait for a JavaScript condition; the page's policy forbids Playwright's own way."""
        for _ in range(100):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"not true within five seconds: {condition}")

    def draw_all(self) -> None:
        """Scroll through the page, so that every lazy figure is drawn."""
        for plot in self.page.locator(".plot").all():
            plot.scroll_into_view_if_needed()
            plot.locator(".main-svg").first.wait_for()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A function that writes runs into a page and opens it; at the end it must have been quiet."""
    opened: list[Opened] = []

    def open_(*runs: Path, **options: Any) -> Opened:
        path = write_report(runs, tmp_path / "report.html", paper=make_paper())
        opened.append(Opened(browser, path, **options))
        return opened[-1]

    yield open_
    for each in opened:
        assert each.noise == []
        assert [url for url in each.requests if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in each.requests if url.startswith("file:")]) == 1
        each.page.close()


def test_figures_are_drawn_at_load_and_the_rest_when_seen(open_page: Any, writer: Writer) -> None:
    """The first two figures need no scrolling; all are drawn in the end, with no error."""
    objectives = "error: minimize, macs: minimize, latency_ms: minimize, params: minimize"
    opened = open_page(writer(40, objectives))
    assert opened.page.locator(".plot .main-svg").count() >= 2
    assert opened.page.locator(".plot").count() == 7
    opened.draw_all()


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
    page.get_by_label("State").select_option("stopped")
    assert opened.numbers() == [6, 13, 20, 27]
    assert page.locator("form output").inner_text() == "4 of 28 trials"
    page.get_by_label("State").select_option("")
    page.get_by_label("Filter").fill("depth=26 stage1.operator=involution")
    shown = opened.numbers()
    assert 0 < len(shown) < 28
    page.get_by_label("Filter").fill("")
    page.get_by_label("front only").check()
    assert 0 < len(opened.numbers()) < 28
    page.get_by_label("Filter").fill("no such words")
    assert opened.numbers() == []


def test_a_space_named_like_a_script_is_text(open_page: Any, writer: Writer) -> None:
    """It is shown as it is written, in the heading, the figures and the space file."""
    opened = open_page(writer(name=EVIL), writer(name=EVIL, folder="b", seed=2))
    assert EVIL in opened.page.locator("h1").inner_text()
    opened.draw_all()
    assert EVIL in opened.page.locator(".legend button", has_text="alert").first.inner_text()
    assert opened.page.evaluate("document.scripts.length") == 3


def test_hovering_shows_the_architecture(open_page: Any, writer: Writer) -> None:
    """A point says which trial it is, its numbers with their sources, and its architecture."""
    opened = open_page(writer())
    page = opened.page
    shown = page.evaluate(
        """() => {
          const plot = document.getElementById("run0-figure0");
          const place = plot.data.findIndex((trace) => trace.marker && trace.marker.size === 11);
          Plotly.Fx.hover(plot, [{ curveNumber: place, pointNumber: 0 }]);
          return plot.data[place].hovertext[0];
        }"""
    )
    for part in ("<b>trial ", "trained", "6/6 epochs", "depth=", "stage1: operator="):
        assert part in shown
    page.locator(".hoverlayer .hovertext").first.wait_for()


def test_clicking_a_recommended_trial_finds_its_row(open_page: Any, writer: Writer) -> None:
    """From the summary to the table, also when a filter hides the row."""
    opened = open_page(writer())
    opened.page.get_by_label("State").select_option("failed")
    link = opened.page.locator(".pick a").first
    number = int(link.inner_text().split()[1])
    link.click()
    picked = opened.page.locator("tr.picked")
    assert int(picked.locator("td").first.inner_text()) == number
    assert picked.is_visible()


def test_the_key_hides_and_shows_traces(open_page: Any, writer: Writer) -> None:
    """Every line of the key is a button that says whether it is pressed."""
    page = open_page(writer()).page
    button = page.get_by_role("button", name="off the front", exact=True)
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    visible = "() => document.getElementById('run0-figure0').data.map((trace) => trace.visible)"
    assert page.evaluate(visible).count(False) == 1
    button.click()
    assert all(page.evaluate(visible))


def test_any_width_and_either_colour_scheme(open_page: Any, writer: Writer) -> None:
    """From a phone to a wall nothing is wider than the screen; a change of scheme redraws."""
    opened = open_page(writer(28, "error: minimize, macs: minimize, latency_ms: minimize"))
    page = opened.page
    for width in (390, 1280, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        opened.draw_all()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        opened.wait_until(
            "[...document.querySelectorAll('.plot')].every("
            "(plot) => Math.abs(plot.clientWidth - plot.querySelector('svg').clientWidth) < 2)"
        )
    for scheme, ink in (("dark", "#e8ebf0"), ("light", "#15181d")):
        page.emulate_media(color_scheme=scheme)
        font = "document.getElementById('run0-figure0').layout.font.color"
        opened.wait_until(f"{font} === '{ink}'")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(colour[4:].split(",")[0]) < 128) == (scheme == "dark")


def test_a_dark_page_prints_light(open_page: Any, writer: Writer) -> None:
    """On paper every figure is drawn, in dark ink, whatever the screen shows."""
    opened = open_page(writer(12), color_scheme="dark")
    font = "document.getElementById('run0-figure0').layout.font.color"
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.wait_until(f"{font} === '#15181d'")
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    opened.wait_until(f"{font} === '#e8ebf0'")


def test_pages_of_empty_and_failed_runs_open_quietly(open_page: Any, tmp_path: Path) -> None:
    """A page without figures carries no plotly and still works."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "space.yaml").write_text("name: early\nobjectives: {error: minimize}\n")
    opened = open_page(tmp_path / "run")
    assert "No trial has been logged yet" in opened.page.locator("main").inner_text()
