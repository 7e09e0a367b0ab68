"""Hints of cheap sources: what a space file may say, what a search gets, what the front is."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from invsearch.accuracy.hints import Hints
from invsearch.accuracy.told import HINTS, ONCE, read_told
from invsearch.errors import InputError
from invsearch.plugins import PROXIES
from invsearch.problem import problem_of
from invsearch.problem.network import NetworkProblem
from invsearch.report.blocks import Figures, Grid
from invsearch.report.sections import sources
from invsearch.report.shown import ShownRun
from invsearch.runs import load_run
from invsearch.search.run import RunOptions, run_search
from invsearch.search.source_hints import source_hints
from invsearch.space import SpaceFile, load_space_file

SMALL = [
    "space.stage.operator=involution",
    "space.width={choice: [0.25, 0.5]}",
    "accuracy.epochs=1",
    "accuracy.data_fraction=0.1",
    "accuracy.supernet.epochs=1",
]


def space(*overrides: str) -> SpaceFile:
    return load_space_file("quick", [*SMALL, *overrides])


def prepared(folder: Path, sources: str) -> NetworkProblem:
    found = problem_of(space(f"accuracy.sources={sources}"))
    assert isinstance(found, NetworkProblem)
    assert found.file.accuracy is not None
    found._hints = Hints(found.trained, found.file.accuracy.hints, folder)
    return found


@pytest.mark.parametrize(
    ("given", "judge", "hints"),
    [
        ([], "trained", ()),
        (["accuracy.source=trained"], "trained", ()),
        (["accuracy.source=supernet"], "trained", ("supernet",)),
        (["accuracy.source=proxy"], "trained", PROXIES.ours()),
        (["accuracy.sources=[trained, naswot, params]"], "trained", ("naswot", "params")),
        (["accuracy.sources=[naswot, proxy, trained]"], "trained", ("naswot", "params", "macs",
          "blocks", "operator_shares", "jacobian_covariance")),
    ],
)  # fmt: skip
def test_objectives_come_from_trainings_and_all_else_is_a_hint(
    given: list[str], judge: str, hints: tuple[str, ...]
) -> None:
    accuracy = space(*given).accuracy
    assert accuracy is not None
    assert accuracy.judge == judge
    assert accuracy.hints == hints


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["accuracy.sources=[naswot]"], "needs exactly one of trained and published"),
        (["accuracy.sources=[trained, published]"], "needs exactly one of trained and published"),
        (["accuracy.sources=[]"], "sources is empty"),
        (["accuracy.sources=[trained, nasvot]"], "naswot"),
        (["accuracy.sources=[trained]", "accuracy.source=trained"], "say the same"),
        (["accuracy.sources=[published, params]"], "beside published"),
        (["accuracy.sources=[trained, params]", "search.strategy=tpe"], "takes no hints"),
        (["accuracy.source=proxy", "objectives={macs: minimize}"], "no effect"),
    ],
)
def test_what_would_have_no_effect_is_refused(given: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        space(*given)


def test_a_search_with_hints_trains_all_that_it_shows(tmp_path: Path) -> None:
    """Whatever a supernet said: the front is of trainings; the page says what hints were worth."""
    file = space("accuracy.sources=[trained, supernet, params]", "search.trials=4")
    run, said = tmp_path / "run", StringIO()
    run_search(file, RunOptions(out=run, executor="serial"), Console(file=said))
    assert "training the supernet" in said.getvalue()
    shown = load_run(run)
    assert {trial.metrics["val_loss"].source for trial in shown.trials} == {"trained"}
    told = read_told(run / HINTS)
    known = {(line.architecture, line.source) for line in told}
    for trial in shown.trials:
        assert {(trial.architecture.key, name) for name in ("supernet", "params")} <= known
    assert [line.source for line in told if line.architecture == ONCE] == ["supernet"]
    section = sources.section(ShownRun(shown, 0))
    assert section is not None
    grid, figures = section.blocks[1:]
    assert isinstance(grid, Grid)
    assert {row[0] for row in grid.rows} == {"supernet", "supernet/val_loss", "params"}
    assert isinstance(figures, Figures)
    assert {figure.title.partition(":")[0] for _, figure in figures.named} == {
        *("supernet", "supernet/val_loss", "params")
    }
    before, said = (run / HINTS).read_bytes(), StringIO()
    run_search(file, RunOptions(out=run, executor="serial", resume=True), Console(file=said))
    assert "training the supernet" not in said.getvalue()
    assert (run / HINTS).read_bytes() == before


def test_what_was_told_is_not_asked_again_and_a_torn_line_is(tmp_path: Path) -> None:
    found = prepared(tmp_path, "[trained, naswot]")
    assert found.hints is not None
    found.hints.prepare(lambda text: None)
    path = tmp_path / HINTS
    whole = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_bytes(path.read_bytes()[:-30])
    again = prepared(tmp_path, "[trained, naswot]").hints
    assert again is not None
    again.prepare(lambda text: None)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[:-1] == whole[:-1]
    assert lines[-1]["values"] == whole[-1]["values"]
    other = problem_of(space("accuracy.lr=0.01", "accuracy.source=proxy"))
    assert isinstance(other, NetworkProblem)
    with pytest.raises(InputError, match="another space"):
        Hints(other.trained, ["naswot"], tmp_path)
    more = problem_of(space("search.trials=99", "accuracy.source=supernet"))
    assert isinstance(more, NetworkProblem)
    assert Hints(more.trained, ["naswot"], tmp_path).ask(found.hints.sample[0])


def test_hints_are_as_many_numbers_of_every_point(tmp_path: Path) -> None:
    """A closed form gives its own number; a row that cannot tell gives none, of no point."""
    found = prepared(tmp_path, "[trained, params, operator_shares, naswot]")
    assert found.hints is not None
    found.hints.prepare(lambda text: None)
    told = source_hints(found)
    assert told is not None
    hinted = told.of
    points = list(found.hints.sample)[:5]
    assert len({len(hinted(point)) for point in points}) == 1
    for point in points:
        counted = found.hints.count(point)
        assert hinted(point)[: len(counted)] == [counted[name] for name in sorted(counted)]
    assert source_hints(problem_of(space())) is None
