"""The table of sections: one row adds one, and one that raises costs itself alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from synthetic_runs import Writer
from toy import invsearch

from invsearch.report import blocks, sections
from invsearch.report.blocks import Figures, PageBlock, Prose, Section
from invsearch.report.page import render
from invsearch.report.plot.figure import Figure
from invsearch.report.sections import PageSection, RunSection
from invsearch.report.shown import PageMaterial, ShownRun
from invsearch.report.web.assets import template
from invsearch.runs import load_run

LINE = "the section run0-broken could not be made: ValueError: no such thing"


def broken(shown: ShownRun) -> Section:
    raise ValueError("no such\nthing")


def unwritable(shown: ShownRun) -> Section:
    """Hold a number that JSON has no word for, which shows only when the page is put together."""
    figure = Figure("Bad", data=[{"x": [math.nan]}])
    return Section("Bad", [Figures([("bad", figure)])])


def nameless(shown: ShownRun) -> Section:
    """Hold such a number in what the page's script is given."""
    return Section("Bad", [Prose("bad")], data={"bad": math.inf})


def greeting(shown: ShownRun) -> Section:
    return Section("Greeting", [Prose(f"{len(shown.run.trials)} < 100 trials")], title="Hello")


def add(monkeypatch: pytest.MonkeyPatch, *rows: RunSection) -> None:
    monkeypatch.setattr(sections, "SECTIONS", (*sections.SECTIONS, *rows))


def page(*runs: Path, say: list[str]) -> str:
    material = PageMaterial([load_run(run) for run in runs], (), {}, (), ())
    return render(material, plotlyjs="directory", say=say.append)


def test_a_section_is_one_function_and_one_row(
    monkeypatch: pytest.MonkeyPatch, writer: Writer
) -> None:
    """It is on the page, in the navigation, and its text is text."""
    add(monkeypatch, RunSection("greeting", greeting))
    told: list[str] = []
    html = page(writer(3), say=told)
    assert '<a href="#run0-greeting">Greeting</a>' in html
    assert '<section id="run0-greeting" aria-label="Greeting">' in html
    assert "<h2>Hello</h2>" in html
    assert "3 &lt; 100 trials" in html
    assert told == []


@pytest.mark.parametrize("make", [broken, unwritable, nameless])
def test_a_section_that_fails_costs_that_section_alone(
    monkeypatch: pytest.MonkeyPatch, writer: Writer, make: object
) -> None:
    """Everything else is as it was; a line says what failed and why."""
    run, told = writer(12), list[str]()
    before = page(run, say=told)
    assert callable(make)
    add(monkeypatch, RunSection("broken", make))
    html = page(run, say=told)
    (line,) = told
    assert line.startswith("the section run0-broken could not be made: ")
    assert "\n" not in line
    assert '<p class="notice" role="status">The section run0-broken could not be made' in html
    whole = before.index('<section id="run0-summary"'), before.index("</article>")
    assert before[slice(*whole)].strip() in html
    assert before[before.index('id="report-data"') :] == html[html.index('id="report-data"') :]


def test_sections_about_the_whole_page_fail_alone_too(
    monkeypatch: pytest.MonkeyPatch, writer: Writer
) -> None:
    def failing(material: PageMaterial) -> Section | None:
        raise ValueError("no results")

    monkeypatch.setattr(sections, "AFTER_RUNS", (PageSection("last", failing),))
    told: list[str] = []
    html = page(writer(3), writer(4, folder="b"), say=told)
    assert told == ["the section last could not be made: ValueError: no results"]
    assert html.count("<article") == 2


def test_the_command_tells_and_succeeds(
    monkeypatch: pytest.MonkeyPatch, writer: Writer, tmp_path: Path
) -> None:
    """The page is written, standard output is its path alone, standard error names the section."""
    add(monkeypatch, RunSection("broken", broken))
    monkeypatch.setattr(sections, "AFTER_RUNS", ())
    done = invsearch(tmp_path, "report", writer(3), "-o", "page.html", "--plotlyjs", "directory")
    assert done.returncode == 0
    assert done.stdout == "page.html\n"
    assert LINE in done.stderr
    assert "could not be made" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_names_are_unique() -> None:
    """They are ids of elements."""
    rows = [*sections.BEFORE_RUNS, *sections.SECTIONS, *sections.AFTER_RUNS]
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)


def test_every_kind_of_block_can_be_written() -> None:
    """A class in blocks.py without its macro would show when a section first uses it."""
    kinds = [
        found.kind
        for found in vars(blocks).values()
        if isinstance(found, type) and issubclass(found, PageBlock) and found is not PageBlock
    ]
    macros = template().environment.get_template("blocks.html").module
    assert len(set(kinds)) == len(kinds) > 8
    assert [kind for kind in kinds if not hasattr(macros, kind)] == []
