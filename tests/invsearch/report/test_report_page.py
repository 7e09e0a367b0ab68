"""The page as a file: complete, self-contained, safe, whatever state its runs are in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import PAPER, Writer, make_trials

from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.report import write_report
from invsearch.report.columns import coded
from invsearch.report.web.plotly_script import check_mode
from invsearch.runs import RunFolder, Trial
from invsearch.space.architecture import Architecture
from invsearch.value import rounded

PageOf = Callable[..., str]
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


@pytest.fixture
def page_of(written: Callable[..., Path]) -> PageOf:
    """A function that returns the page of runs as text."""
    return lambda *runs: written(runs, {}).read_text(encoding="utf-8")


def data_of(html: str) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="report-data">(.*?)</script>', html, re.S
    )
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_is_self_contained(page_of: PageOf, writer: Writer) -> None:
    """One file to mail: plotly.js once, nothing fetched, a policy that forbids fetching."""
    html = page_of(writer())
    page = Outside()
    page.feed(html)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert html.count("plotly.js v") == 1
    assert "default-src 'none'" in html
    assert page.tags.count("script") == 3
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert len(html) < 8_000_000


def test_every_trial_is_in_the_table_with_all_it_has(page_of: PageOf, writer: Writer) -> None:
    """Value, source, interval, fidelity, state, seed and reason."""
    (table,) = data_of(page_of(writer(60)))["runs"]
    assert table["number"] == list(range(60))
    assert {"state", "p_front", "metrics", "parameters", "seed", "seconds", "reason"} <= set(table)
    names = [metric["name"] for metric in table["metrics"]]
    assert names[:2] == ["val_loss", "macs"]
    text = json.dumps(table)
    for part in ("counted, fvcore", "trained; 6/6 epochs, 8 px, width 0.25, digits"):
        assert part in text
    for part in ("stopped", "infeasible", "training loss is nan at epoch 2, step 7", "1059"):
        assert part in text


def test_columns_are_coded_and_rounded() -> None:
    """Every value once, numbers in their order, true apart from 1, what is missing as -1."""
    assert coded([7, None, 3, "x", True, 7, 1]) == {
        "levels": [1, 3, 7, "x", True],
        "codes": [2, -1, 1, 3, 4, 2, 0],
    }
    assert rounded(0.123456789) == 0.1234568
    assert rounded(1733438112) == 1733438112
    assert rounded(float("inf")) is None


def test_two_thousand_trials_stay_small(page_of: PageOf, writer: Writer) -> None:
    """Below 8 MB, of which plotly.js is most."""
    trials = make_trials(2000)
    lines = [json.dumps(trial.to_json()) for trial in trials]
    path = writer(1, "error: minimize, macs: minimize, latency_ms: minimize, params: minimize")
    (path / "trials.jsonl").write_text("\n".join([*lines, ""]))
    html = page_of(path)
    data = html[html.index('id="report-data"') :]
    assert len(html.encode()) < 8_000_000
    assert len(data) < len(html) / 3


def test_what_to_do_next_is_on_the_page(page_of: PageOf, writer: Writer) -> None:
    """Train, measure and export commands, and the knee."""
    html = page_of(writer(60))
    assert "Knee, the best trade-off" in html
    for step in ("train", "measure", "export"):
        assert f"invsearch {step} " in html


def test_the_paper_and_the_operators_are_shown_where_they_are_known(
    tmp_path: Path, writer: Writer
) -> None:
    """Verdicts by table, known differences apart, the figure; never required."""
    path = write_report(
        [writer(3)], tmp_path / "r.html", paper=[], reproduction=PAPER, benchmarks=(), contests=()
    )
    html = path.read_text(encoding="utf-8")
    assert "1 of 2 judged numbers reproduced and 1 differs" in html
    assert "0 of 1 judged numbers reproduced and 1 known to differ" in html
    assert "cause unknown" in html
    assert "paper-figure0" in data_of(html)["figures"]
    assert "Operators measured" not in html


def test_plotlyjs_beside_the_page_or_from_its_maker(tmp_path: Path, writer: Writer) -> None:
    """Small pages where that is wanted; the policy allows that one address and no other."""
    run = writer(5)
    for mode, size in (("directory", 300_000), ("cdn", 300_000)):
        path = write_report(
            [run],
            tmp_path / mode / "r.html",
            plotlyjs=check_mode(mode),
            paper=[],
            reproduction={},
            benchmarks=(),
            contests=(),
        )
        html = path.read_text(encoding="utf-8")
        assert len(html) < size
        page = Outside()
        page.feed(html)
        outside = [a for a in page.addresses if not a.startswith(("#", "data:"))]
        assert len(outside) == 1
        if mode == "cdn":
            assert outside[0].startswith("https://cdn.plot.ly/plotly-")
            assert re.search(r'integrity="sha256-[^"]+" crossorigin', html)
        else:
            assert (path.parent / outside[0]).stat().st_size > 1_000_000


def test_names_from_files_are_text(page_of: PageOf, tmp_path: Path) -> None:
    """A space may be called anything printable; none of it is ever markup."""
    folder = RunFolder(tmp_path / "run")
    metric = "m<b>"
    space = f"name: {EVIL!r}\nobjectives: {{'{metric}': minimize, other: minimize}}\n# {EVIL}\n"
    folder.create(space, None, {"cpu": EVIL}, command=["run", EVIL])
    for number in range(4):
        folder.append_trials(
            [
                Trial(
                    number,
                    "failed" if number == 3 else "complete",
                    Architecture(((EVIL, EVIL),)),
                    {
                        metric: Metric(
                            metric, 5.0 - number, "evaluated", detail={"convention": EVIL}
                        ),
                        "other": Metric("other", number, "evaluated"),
                    },
                    error=EVIL if number == 3 else None,
                )
            ]
        )
    html = page_of(folder.path)
    page = Outside()
    page.feed(html)
    assert "img" not in page.tags
    assert page.tags.count("script") == 3
    assert "<script>alert" not in html
    assert "onerror=alert(2)>" not in html
    figure = json.dumps(data_of(html)["figures"]["run0-figure0"]["layout"])
    assert "m&lt;b&gt;" in figure
    assert "m<b>" not in figure


def test_an_empty_run_gives_a_page(page_of: PageOf, tmp_path: Path) -> None:
    """A search that was killed before its first trial can be looked at."""
    folder = RunFolder(tmp_path / "run")
    folder.create("name: early\nobjectives: {error: minimize}\n", None, {"id": "x"})
    html = page_of(folder.path)
    assert "No trial has been logged yet." in html
    assert "early" in html
    assert "plotly.js v" not in html


def test_a_run_in_which_all_failed_gives_a_page(page_of: PageOf, tmp_path: Path) -> None:
    """The reasons are what one wants to see then."""
    folder = RunFolder(tmp_path / "run")
    folder.create("name: bad\nobjectives: {error: minimize, macs: minimize}\n", None, {"id": "x"})
    for number in range(3):
        reason = "cannot import name 'evaluate'"
        folder.append_trials([Trial(number, "failed", Architecture(()), error=reason)])
    html = page_of(folder.path)
    assert re.search(r"<b>3</b>.*?failed.*?cannot import name", html, re.S)
    assert "there is no front" in html


def test_a_half_made_folder_and_a_torn_log_give_a_page(page_of: PageOf, writer: Writer) -> None:
    """What was dropped is said on the page."""
    path = writer(6)
    (path / "space.yaml").unlink()
    (path / "environment.json").unlink()
    log = path / "trials.jsonl"
    log.write_bytes(log.read_bytes()[:-30])
    html = page_of(path)
    assert "last line is torn" in html
    assert "no readable space file" in html
    assert html.count("Not recorded.") == 2
    assert len(data_of(html)["runs"][0]["number"]) == 5


def test_several_runs_are_compared_on_one_page(page_of: PageOf, writer: Writer) -> None:
    """plotly.js is there once, every run has its section, and equal objectives one figure."""
    first, second = writer(folder="a"), writer(folder="b", seed=3)
    html = page_of(first, second)
    assert html.count("plotly.js v") == 1
    assert "Runs compared" in html
    other = writer(folder="c", objectives="top1: maximize, macs: minimize")
    assert "Runs compared" not in page_of(first, other)


def test_no_run_and_a_missing_run(page_of: PageOf, tmp_path: Path) -> None:
    """Nothing to show is a page; a run that is not there is an error."""
    assert "There is no run to show." in page_of()
    with pytest.raises(InputError, match="no run"):
        page_of(tmp_path / "missing")


def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, writer: Writer) -> None:
    """A folder in the file's place is the user's to move."""
    target = tmp_path / "report.html"
    target.mkdir()
    with pytest.raises(InputError, match=r"report\.html: cannot be written"):
        write_report([writer(3)], target, paper=[], reproduction={})
