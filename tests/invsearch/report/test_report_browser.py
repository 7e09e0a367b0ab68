"""The page in a real browser: it opens quietly, draws, and runs nothing it should not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from opened_page import Opened
from synthetic_runs import PAPER, Writer

from invsearch.metrics import Metric
from invsearch.report import sections, write_report
from invsearch.report.blocks import Section
from invsearch.report.sections import RunSection
from invsearch.report.shown import ShownRun
from invsearch.report.web.assets import asset
from invsearch.runs import RunFolder, Trial, load_run
from invsearch.space.architecture import Architecture
from invsearch.value import NumberFormat, NumberKind
from invsearch.value import number as in_python

EVIL = "<script>alert(1)</script>"


def test_figures_are_drawn_at_load_and_the_rest_when_seen(open_page: Any, writer: Writer) -> None:
    """The first two figures need no scrolling; all are drawn in the end, with no error."""
    objectives = "error: minimize, macs: minimize, latency_ms: minimize, params: minimize"
    opened = open_page(writer(40, objectives))
    drawn = "[...document.querySelectorAll('.plot')].filter((plot) => plot.data).length"
    assert opened.page.evaluate(drawn) >= 2
    assert opened.page.locator(".plot").count() == 6 + 4 + 1
    opened.draw_all()
    assert opened.page.evaluate(drawn) == 11


def test_a_space_named_like_a_script_is_text(open_page: Any, writer: Writer) -> None:
    """It is shown as it is written, in the heading, the figures and the space file."""
    opened = open_page(writer(name=EVIL), writer(name=f"{EVIL} 2", folder="b", seed=2))
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


def test_the_key_hides_and_shows_traces(open_page: Any, writer: Writer) -> None:
    """Every line of the key is a button that says whether it is pressed."""
    page = open_page(writer()).page
    button = page.get_by_role("button", name="off the front", exact=True).first
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    visible = "() => document.getElementById('run0-figure0').data.map((trace) => trace.visible)"
    assert page.evaluate(visible).count(False) == 1
    button.click()
    assert all(page.evaluate(visible))


def test_any_width_and_either_colour_scheme(open_page: Any, writer: Writer) -> None:
    """From a phone to a wall nothing is wider than the screen; a change of scheme redraws."""
    opened = open_page(writer(40, "error: minimize, macs: minimize, latency_ms: minimize"))
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
        opened.page.locator("#run0-figure0").scroll_into_view_if_needed()
        font = "document.getElementById('run0-figure0').layout.font.color"
        opened.wait_until(f"{font} === '{ink}'")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(colour[4:].split(",")[0]) < 128) == (scheme == "dark")


def test_a_dark_page_prints_light(open_page: Any, writer: Writer) -> None:
    """On paper every figure is drawn, in dark ink, whatever the screen shows."""
    opened = open_page(writer(30), color_scheme="dark", reproduction=PAPER)
    font = "document.getElementById('run0-figure0').layout.font.color"
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.wait_until(f"{font} === '#15181d'")
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    opened.page.locator("#run0-figure0").scroll_into_view_if_needed()
    opened.wait_until(f"{font} === '#e8ebf0'")


def test_pages_of_empty_and_failed_runs_open_quietly(open_page: Any, tmp_path: Path) -> None:
    """A page without figures carries no plotly and still works."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "space.yaml").write_text("name: early\nobjectives: {error: minimize}\n")
    opened = open_page(tmp_path / "run")
    assert "No trial has been logged yet" in opened.page.locator("main").inner_text()


def test_a_dark_page_prints_to_pdf_with_everything(open_page: Any, writer: Writer) -> None:
    """Every figure and every folded table is on paper."""
    opened = open_page(writer(30), color_scheme="dark", reproduction=PAPER)
    assert opened.page.locator("details:not([open])").count() > 0
    assert opened.page.pdf().startswith(b"%PDF")
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.page.locator("details:not([open])").count() == 0
    drawn = "[...document.querySelectorAll('.plot')].every((plot) => plot.data)"
    assert opened.page.evaluate(drawn)


def test_no_button_sends_a_figure_anywhere(open_page: Any, writer: Writer) -> None:
    """plotly's own share button would upload it."""
    page = open_page(writer()).page
    assert page.locator(".modebar-btn").count() > 0
    assert page.locator('.modebar-btn[data-title*="Share"]').count() == 0


def test_a_network_is_taken_apart(open_page: Any, writer: Writer) -> None:
    """Operator by operator and layer by layer; the choice of network and quantity redraws."""
    opened = open_page(writer(40))
    page = opened.page
    page.locator("#run0-layers0").scroll_into_view_if_needed()
    page.locator("#run0-layers0 .main-svg").first.wait_for()
    total = page.locator("#run0-operators tbody tr:last-child td:nth-child(3)")
    first = total.inner_text()
    number = page.evaluate(
        "(() => { const run = JSON.parse(document.getElementById('report-data').textContent)"
        ".runs[0]; const one = run.layers.networks[0];"
        "return one.macs.reduce((sum, value) => sum + value, 0); })()"
    )
    assert float(first.split()[0]) == pytest.approx(number / 1e9, rel=1e-3) or "M" in first
    page.get_by_label("Network").select_option(index=1)
    assert total.inner_text() != first
    title = "document.getElementById('run0-layers0').layout.annotations[0].text"
    page.get_by_label("Quantity").select_option("params")
    opened.wait_until(f"{title} === 'parameters'")
    page.get_by_text("Layer by layer").click()
    assert page.locator("#run0-layer-table tbody tr").count() > 20


def test_a_long_name_stays_within_a_phone(open_page: Any, tmp_path: Path) -> None:
    """Names of metrics and parameters may be long and have no space to break at."""
    metric, other = "m" * 60, "ß" * 50
    folder = RunFolder(tmp_path / "run")
    folder.create(f"name: x\nobjectives: {{{metric}: minimize, {other}: maximize}}\n", None, {})
    for number in range(12):
        values = {metric: number**5 + 1.0, other: number**2 + 1.0}
        metrics = {name: Metric(name, value, "evaluated") for name, value in values.items()}
        architecture = Architecture((("p" * 70, number), ("q", "v" * 50)))
        folder.append_trials([Trial(number, "complete", architecture, metrics)])
    opened = open_page(folder.path, viewport={"width": 390, "height": 844})
    opened.draw_all()
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.page.evaluate(
        """[...document.querySelectorAll(".annotation-text")].every((text) => {
          const [own, whole] = [text, text.closest(".plot")].map((e) => e.getBoundingClientRect());
          return own.left >= whole.left - 1 && own.right <= whole.right + 1;
        })"""
    )


def test_every_control_is_reached_by_the_keyboard(open_page: Any, writer: Writer) -> None:
    """In the order of the page, each with a visible outline."""
    page = open_page(writer()).page
    page.locator(".skip").focus()
    seen: list[str] = []
    state = (
        "(() => { const e = document.activeElement; const s = getComputedStyle(e);"
        "return [e.id || e.textContent.trim() || e.getAttribute('aria-label') || e.name,"
        "s.outlineStyle]; })()"
    )
    for _ in range(120):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(state)
        assert outline != "none", name
        seen.append(name)
        if "-again" in name:
            break
    wanted = ["Summary", "off the front", "run0-figure0", "Download as CSV", "validation loss"]
    assert set(wanted) <= set(seen), seen
    places = [seen.index(name) for name in wanted]
    assert places == sorted(places)


def test_commands_are_plain_text_to_copy(open_page: Any, writer: Writer) -> None:
    """They are broken between words for the eye alone."""
    page = open_page(writer()).page
    command = page.locator(".commands code").first
    assert command.text_content().startswith("invsearch train ")
    assert command.locator("span").count() == len(command.text_content().split(" "))


def test_the_page_writes_numbers_as_python_does(browser: Any) -> None:
    """One set of rules in two languages: the page's cells and the text around them agree."""
    kinds: list[NumberKind] = ["plain", "scaled", "bytes", "percent"]
    forms = [NumberFormat("plain", "ms"), *(NumberFormat(kind) for kind in kinds)]
    rng = random.Random(0)
    values = [0.0, -0.0, 1.0, -0.001, 3.36, 1500.0, 999999.0, 21.6, 0.06574]
    values += [rng.uniform(-1, 1) * 10 ** rng.uniform(-6, 13) for _ in range(400)]
    page = browser.new_page()
    got = page.evaluate(
        f"([values, forms]) => {{ {asset('numbers.js')}"
        " return forms.map((form) => values.map((value) => written(value, form))); }",
        [values, [form.to_json() for form in forms]],
    )
    page.close()
    for form, texts in zip(forms, got, strict=True):
        for value, text in zip(values, texts, strict=True):
            if form.kind != "scaled" or abs(value) >= 1e-4 or value == 0:
                assert text == in_python(value, form), (value, form)


@pytest.mark.parametrize("missing", [row.name for row in sections.SECTIONS])
def test_the_page_works_without_any_one_section(
    browser: Any, writer: Writer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    """One that failed leaves a line; figures are drawn, points are selected, nothing is said."""

    def failing(shown: ShownRun) -> Section | None:
        raise ValueError("broken")

    rows = [
        RunSection(row.name, failing if row.name == missing else row.make)
        for row in sections.SECTIONS
    ]
    monkeypatch.setattr(sections, "SECTIONS", tuple(rows))
    path = write_report(
        [writer(20)], tmp_path / "r.html", paper=(), reproduction={}, benchmarks=(), contests=()
    )
    opened = Opened(browser, path)
    opened.draw_all()
    opened.page.locator(".plot").first.focus()
    for key in ("ArrowRight", "Enter", "Escape"):
        opened.page.keyboard.press(key)
    notice = opened.page.locator(f"#run0-{missing} .notice")
    assert "could not be made: ValueError: broken" in notice.inner_text()
    assert opened.noise == []
    opened.page.close()


def test_ten_thousand_trials_are_one_page(browser: Any, tmp_path: Path) -> None:
    """All are in the table's data; what is built and drawn stays small, and the front is whole."""
    rng = random.Random(0)
    folder = RunFolder(tmp_path / "run")
    folder.create("name: x\nobjectives: {error: minimize, size: minimize}\n", None, {})
    trials = []
    for number in range(10_000):
        architecture = Architecture(tuple((f"p{place}", rng.randrange(4)) for place in range(5)))
        error, size = rng.uniform(1, 2) ** 2, rng.uniform(1, 2) ** 2
        values = {"error": error + 1 / size, "size": size}
        metrics = {name: Metric(name, value, "evaluated") for name, value in values.items()}
        trials.append(Trial(number, "complete", architecture, metrics))
    folder.append_trials(trials)
    page = write_report([folder.path], tmp_path / "page.html", paper=(), reproduction={})
    assert page.stat().st_size < 9_000_000, "5 MB of it are plotly"
    opened = Opened(browser, page)
    count = "document.querySelectorAll('{}').length"
    assert opened.page.evaluate(count.format("#run0-table tbody tr")) <= 150
    assert opened.page.evaluate(count.format("*")) < 10_000
    data = "JSON.parse(document.getElementById('report-data').textContent)"
    assert opened.page.evaluate(f"{data}.runs[0].number.length") == 10_000
    drawn = opened.page.evaluate(
        f"Object.values({data}.figures).flatMap((figure) => (figure.data || [])"
        ".map((trace) => trace.customdata || trace.x || []))"
    )
    assert max(map(len, drawn)) <= 2_000
    members = {member.trial.number for member in load_run(folder.path).members}
    assert any(members == set(points) for points in drawn if points)
    opened.draw_all()
    assert opened.noise == []
    opened.page.close()
