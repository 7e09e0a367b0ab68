"""The page as a file: complete, self-contained, safe, whatever state its runs are in."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_runs import Writer, make_paper

from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.report import write_report
from invsearch.runs import RunFolder, Trial
from invsearch.space.architecture import Architecture

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Outside(HTMLParser):
    """Collects every address that the page would fetch or link to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "action")]


def write(tmp_path: Path, *runs: Path) -> str:
    output = write_report(runs, tmp_path / "out" / "report.html", paper=make_paper())
    return output.read_text(encoding="utf-8")


def data_of(html: str) -> dict[str, list[dict[str, list[dict[str, object]]]]]:
    found = re.search(
        r'<script type="application/json" id="report-data">(.*?)</script>', html, re.S
    )
    assert found is not None
    data: dict[str, list[dict[str, list[dict[str, object]]]]] = json.loads(found[1])
    return data


def test_the_page_is_self_contained(tmp_path: Path, writer: Writer) -> None:
    """One file to mail: plotly.js once, nothing fetched, a policy that forbids fetching."""
    html = write(tmp_path, writer())
    page = Outside()
    page.feed(html)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert html.count("plotly.js v") == 1
    assert "default-src 'none'" in html
    assert page.tags.count("script") == 3
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert len(html) < 8_000_000


def test_every_trial_is_in_the_table_with_all_it_has(tmp_path: Path, writer: Writer) -> None:
    """Value, source, interval, fidelity, state, seed and reason."""
    (table,) = data_of(write(tmp_path, writer(60)))["runs"]
    assert len(table["rows"]) == 60
    keys = [column["key"] for column in table["columns"]]
    text = json.dumps(table["rows"])
    assert {"state", "p_front", "metric", "architecture", "seed", "reason"} <= set(keys)
    for part in ("trained", "counted, fvcore", "6/6 epochs, 8 px, width 0.25, digits", " to "):
        assert part in text
    for part in ("stopped", "infeasible", "training loss is nan at epoch 2, step 7", "1059"):
        assert part in text


def test_names_from_files_are_text(tmp_path: Path) -> None:
    """A space may be called anything printable; none of it is ever markup."""
    folder = RunFolder(tmp_path / "run")
    metric = "m<b>"
    space = f"name: {EVIL!r}\nobjectives: {{'{metric}': minimize, other: minimize}}\n# {EVIL}\n"
    folder.create(space, None, {"cpu": EVIL}, command=["run", EVIL])
    for number in range(4):
        folder.append_trial(
            Trial(
                number,
                "failed" if number == 3 else "complete",
                Architecture(((EVIL, EVIL),)),
                {
                    metric: Metric(metric, 5.0 - number, "evaluated", detail={"convention": EVIL}),
                    "other": Metric("other", number, "evaluated"),
                },
                error=EVIL if number == 3 else None,
            )
        )
    html = write(tmp_path, folder.path)
    page = Outside()
    page.feed(html)
    assert "img" not in page.tags
    assert page.tags.count("script") == 3
    assert "<script>alert" not in html
    assert "onerror=alert(2)>" not in html
    figure = json.dumps(data_of(html)["figures"])
    assert "m&lt;b&gt;" in figure
    assert "m<b>" not in figure


def test_an_empty_run_gives_a_page(tmp_path: Path) -> None:
    """A search that was killed before its first trial can be looked at."""
    folder = RunFolder(tmp_path / "run")
    folder.create("name: early\nobjectives: {error: minimize}\n", None, {"id": "x"})
    html = write(tmp_path, folder.path)
    assert "No trial has been logged yet." in html
    assert "early" in html
    assert "plotly.js v" not in html


def test_a_run_in_which_all_failed_gives_a_page(tmp_path: Path) -> None:
    """The reasons are what one wants to see then."""
    folder = RunFolder(tmp_path / "run")
    folder.create("name: bad\nobjectives: {error: minimize, macs: minimize}\n", None, {"id": "x"})
    for number in range(3):
        reason = "cannot import name 'evaluate'"
        folder.append_trial(Trial(number, "failed", Architecture(()), error=reason))
    html = write(tmp_path, folder.path)
    assert "<b>3</b> failed: cannot import name" in html
    assert "there is no front" in html


def test_a_half_made_folder_and_a_torn_log_give_a_page(tmp_path: Path, writer: Writer) -> None:
    """What was dropped is said on the page."""
    path = writer(6)
    (path / "space.yaml").unlink()
    (path / "environment.json").unlink()
    log = path / "trials.jsonl"
    log.write_bytes(log.read_bytes()[:-30])
    html = write(tmp_path, path)
    assert "last line is torn" in html
    assert "no readable space file" in html
    assert html.count("Not recorded.") == 2
    assert len(data_of(html)["runs"][0]["rows"]) == 5


def test_several_runs_are_compared_on_one_page(tmp_path: Path, writer: Writer) -> None:
    """plotly.js is there once, every run has its section, and equal objectives one figure."""
    first, second = writer(folder="a"), writer(folder="b", seed=3)
    html = write(tmp_path, first, second)
    assert html.count("plotly.js v") == 1
    assert "Runs compared" in html
    other = writer(folder="c", objectives="top1: maximize, macs: minimize")
    assert "Runs compared" not in write(tmp_path, first, other)


def test_no_run_and_a_missing_run(tmp_path: Path) -> None:
    """Nothing to show is a page; a run that is not there is an error."""
    assert "There is no run to show." in write(tmp_path)
    with pytest.raises(InputError, match="no run"):
        write(tmp_path, tmp_path / "missing")


def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, writer: Writer) -> None:
    """A folder in the file's place is the user's to move."""
    target = tmp_path / "report.html"
    target.mkdir()
    with pytest.raises(InputError, match=r"report\.html: cannot be written"):
        write_report([writer(3)], target, paper=[])
