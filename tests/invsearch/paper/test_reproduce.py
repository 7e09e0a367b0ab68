"""Every judged number of the paper is reproduced; statuses, tolerances and JSON as specified."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from rich.console import Console

from invsearch.errors import InputError
from invsearch.paper.lines import lines
from invsearch.paper.rendering import render
from invsearch.paper.reproduce import failures, reproduce, to_json
from invsearch.paper.row import LIKE_FOR_LIKE, Row, judged
from invsearch.paper.runtime import runtime
from invsearch.paper.section import reproduction_section_data
from invsearch.paper.tables import PublishedTable, published_table

KNOWN = ("RetinaNet / RedNet-50 / involution / convolution", "params_m_trainable")
JUDGED = {"classification": 20, "detection": 22, "segmentation": 10, "abstract": 4, "ablation": 0}
FIELDS = [
    "table", "row", "quantity", "convention", "published", "status", "reproduced",
    "difference_percent", "tolerance_percent", "verdict",
]  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [row for table in JUDGED for row in reproduce(table)]


def reproduced(rows: list[Row], row: str, quantity: str, convention: str = "paper") -> float:
    (value,) = (
        r.reproduced
        for r in rows
        if (r.row, r.quantity, r.convention) == (row, quantity, convention)
    )
    assert value is not None
    return value


def test_every_judged_number_passes(rows: list[Row]) -> None:
    """All of the three tables and the abstract, with the one known difference."""
    assert failures(rows) == []
    for table, number in JUDGED.items():
        judgements = [r for r in rows if r.table == table and r.verdict != "not_judged"]
        assert len(judgements) == number
        assert all(r.published is not None and r.tolerance_percent for r in judgements)
    differs = [(r.row, r.quantity) for r in rows if r.verdict == "differs"]
    assert differs == [KNOWN]
    assert reproduced(rows, *KNOWN) == pytest.approx(26.246, abs=5e-4)


def test_every_published_row_is_there(rows: list[Row]) -> None:
    """Nothing of the CSV files is left out, and digits and status are theirs."""
    tables: dict[PublishedTable, tuple[str, ...]] = {
        "classification": ("model",),
        "detection": ("detector", "backbone", "neck", "head"),
        "segmentation": ("method", "backbone", "neck"),
    }
    for table, columns in tables.items():
        for line in published_table(table):
            key = " / ".join(line[column] for column in columns)
            own = [r for r in rows if (r.table, r.row, r.convention) == (table, key, "paper")]
            for quantity in ("macs_g", *(c for c in line if c.startswith("params"))):
                (row,) = (r for r in own if r.quantity == quantity)
                assert (row.published, row.status) == (float(line[quantity]), line["status"])


def test_the_known_digits(rows: list[Row]) -> None:
    """What facts about the tables say comes out: by the same rules, to all their digits."""
    expected = {"RedNet-26": 1.7334, "RedNet-38": 2.2233, "RedNet-50": 2.7132}
    expected |= {"RedNet-101": 4.7423, "RedNet-152": 6.7856}
    for name, macs in expected.items():
        assert round(reproduced(rows, name, "macs_g"), 4) == macs
    assert reproduced(rows, "RedNet-152", "params_m") == 33.985302


def test_both_conventions_and_like_for_like(rows: list[Row]) -> None:
    """Every count comes by both conventions; comparable rows where the paper's are not."""
    for line in lines(r for r in rows if r.quantity == "macs_g"):
        assert line.main.convention == "paper"
        assert line.fvcore is not None
        assert (line.like_for_like is not None) == (line.table in ("detection", "segmentation"))
    name = "Mask R-CNN / RedNet-50 / {} / {}"
    alike = reproduced(rows, name.format("involution", "convolution"), "macs_g", LIKE_FOR_LIKE)
    published = reproduced(rows, name.format("involution", "convolution"), "macs_g")
    assert alike - published == pytest.approx(6.79, abs=0.01)  # deconvolution and logits
    full = name.format("involution", "involution")
    assert reproduced(rows, full, "macs_g") == reproduced(rows, full, "macs_g", LIKE_FOR_LIKE)
    assert reproduced(rows, full, "macs_saving_percent") == pytest.approx(58.7, abs=0.05)


@pytest.mark.parametrize(
    ("printed", "status", "ours", "verdict"),
    [
        ("2.71", "published", 2.7149, "equal"),
        ("15.54", "published", 15.5552, "within"),
        ("15.54", "published", 15.5599, "differs"),
        ("29.0", "published", 28.9501, "equal"),
        ("7.9", "read off the figure", 7.8401, "within"),
        ("7.9", "read off the figure", 7.8399, "differs"),
        ("1894.0", "derived", 1894.59, "within"),
        ("1894.0", "derived", 1894.61, "differs"),
        ("66", "published", 65.6, "equal"),
        ("66", "published", 65.4, "differs"),
    ],
)
def test_verdicts(printed: str, status: str, ours: float, verdict: str) -> None:
    """The printed digit, 0.1 %, 1.2 units of half the last digit."""
    row = judged("classification", "x", "macs_g", printed, status, ours)
    assert row.verdict == verdict
    assert row.failed == (verdict == "differs")
    assert row.difference_percent == pytest.approx(100 * (ours / float(printed) - 1))


def test_a_known_difference_does_not_hide_an_agreement() -> None:
    """Once the number agrees, nothing calls it a known difference any more."""
    row = judged("detection", "x", "macs_g", "26.3", "published", 26.31, known="cause unknown")
    assert (row.verdict, row.known, row.failed) == ("equal", "", False)
    row = judged("detection", "x", "macs_g", "26.3", "published", 26.2, known="cause unknown")
    assert (row.verdict, row.known, row.failed) == ("differs", "cause unknown", False)


def test_ablation_is_counted_and_not_judged(rows: list[Row]) -> None:
    """Kernel size, group channels, generators, reduction, stem; the default is RedNet-50 itself."""
    own = [r for r in rows if r.table == "ablation"]
    assert all(r.published is None and r.verdict == "not_judged" for r in own)
    names = " ".join({r.row for r in own})
    for part in ("kernel size 9", "group channels C", "linear", "reduction 16", "stem"):
        assert part in names
    base = reproduced(rows, "RedNet-50", "macs_g")
    for default in ("kernel size 7", "group channels 16", "generator bottleneck, reduction 4"):
        assert reproduced(rows, f"RedNet-50 / {default}", "macs_g") == base


def test_json_has_the_fields_that_interfaces_names(rows: list[Row]) -> None:
    data = json.loads(json.dumps(to_json(rows)))
    assert all(list(row) == FIELDS for row in data["rows"])
    (known,) = data["known_differences"]
    assert (known["row"], known["quantity"]) == KNOWN


def test_the_terminal_shows_every_number_with_its_status(rows: list[Row]) -> None:
    """Published digits as printed, tolerances, the known difference, the result."""
    console = Console(width=140)
    text = "\n".join(
        "".join(segment.text for segment in line)
        for line in console.render_lines(render(rows), pad=False)
    )
    assert "derived (1)" in text
    assert "(1) derived from the published reductions" in text
    assert "differs (known)" in text
    assert "135.0" in text
    assert "55 of 56 judged numbers reproduced, 1 known to differ" in text
    assert "…" not in text


def test_runtime_is_measured_next_to_the_published_latencies() -> None:
    """At one small size: both families and their ratio, then the quoted rows with their status."""
    own = runtime(depths=(26,), devices=("cpu",), resolution=32)
    assert all(r.verdict == "not_judged" and r.table == "runtime" for r in own)
    measured = {r.row: r.reproduced for r in own if r.reproduced is not None}
    assert list(measured) == [
        "RedNet-26 / cpu / 1", "ResNet-26 / cpu / 1", "RedNet-26 : ResNet-26 / cpu / 1",
    ]  # fmt: skip
    ours, theirs, ratio = (value or 0 for value in measured.values())
    assert ratio == pytest.approx(ours / theirs)
    published = {r.row: r for r in own if r.published is not None}
    for line in published_table("runtime"):
        key = " / ".join(filter(None, (line["model"], line["device"], line["batch"])))
        assert (published[key].published, published[key].status) == (
            float(line["ms"]), line["status"],
        )  # fmt: skip


def test_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'detection'"):
        reproduce("detections")


def test_the_section_of_a_report(rows: list[Row]) -> None:
    """Plain data: tables with verdicts, and two figures with the source of every series."""
    data = json.loads(json.dumps(reproduction_section_data(rows=rows)))
    assert [table["name"] for table in data["tables"]] == list(JUDGED)
    assert sum(len(t["lines"]) for t in data["tables"]) == len(lines(rows))
    for figure in data["figures"]:
        series = {s["name"]: s for s in figure["series"]}
        assert {"RedNet", "ResNet", "SAN pairwise", "LR-Net", "Axial ResNet"} <= set(series)
        assert "published" in figure["y_label"]
        assert "counted here" in series["RedNet"]["source"]
        assert "read off" in series["LR-Net"]["source"]
        assert all(p["status"] for s in figure["series"] for p in s["points"])
    macs = data["figures"][0]["series"][0]["points"][2]
    assert (macs["label"], round(macs["x"], 4), macs["y"]) == ("RedNet-50", 2.7132, 78.4)


def test_the_command_prints_only_json() -> None:
    """Exit 0, nothing but JSON on standard output."""
    command = [sys.executable, "-m", "invsearch", "reproduce", "classification", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["rows"]) == 30
