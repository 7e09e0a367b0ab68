"""The made structures: what they claim to be, and contests over them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toy import invsearch, passed

from invsearch.bench.contests import Standing, duels, duels_table, structures
from invsearch.bench.contests.truth import Truth
from invsearch.bench.structures import STRUCTURES, Structure, evaluators, get_structure
from invsearch.errors import InputError
from invsearch.runs import hypervolume
from invsearch.space import load_space_file

NAMES = [structure.name for structure in STRUCTURES]


def drawn(structure: Structure, seed: int = 0) -> dict[str, object]:
    """A point of a structure in which every condition is met or its parameter left out."""
    rng = np.random.default_rng(seed)
    found: dict[str, object] = {}
    for parameter in structure.parameters:
        level = float(parameter.draw(rng, 1)[0])
        if parameter.when is not None and found[parameter.when[0]] != "".join(
            (parameter.when[0], str(parameter.when[1]))
        ):
            continue
        if parameter.levels and not parameter.ordered:
            found[parameter.name] = f"{parameter.kind}{int(level)}"
        else:
            found[parameter.name] = int(level) if parameter.levels else level
    return found


@pytest.mark.parametrize("structure", STRUCTURES, ids=NAMES)
def test_space_file_and_evaluator_agree(structure: Structure, tmp_path: Path) -> None:
    """It loads as a space, and what is known beforehand is what an evaluation observes."""
    path = tmp_path / "space.yaml"
    path.write_text(json.dumps(structure.declared()))
    file = load_space_file(str(path), [])
    assert list(file.objectives) == [objective.name for objective in structure.objectives]
    point = drawn(structure)
    observed = structure.evaluate(point, seed=3)
    assert observed == structure.evaluate(point, seed=3)
    for name, value in structure.costs(point).items():
        assert observed[name] == value
    for objective in structure.objectives:
        noisy = observed[objective.name] != structure.evaluate(point, seed=4)[objective.name]
        assert noisy == (objective.noise is not None)
        assert (f"true_{objective.name}" in observed) == noisy


@pytest.mark.parametrize("name", ["cell", "switches", "conditional", "operators"])
def test_the_listed_points_are_those_of_evaluations(name: str) -> None:
    structure = get_structure(name)
    points = structure.points
    for seed in range(20):
        found = list(structure.evaluate(drawn(structure, seed), 0).values())
        assert np.isclose(points, found[: points.shape[1]]).all(axis=1).any()


@pytest.mark.parametrize("name", [*NAMES, "no_costs__1", "cell__12"])
def test_what_a_space_file_names_is_there(name: str) -> None:
    structure = get_structure(name)
    declared, point = structure.declared(), drawn(structure)
    module, _, attribute = str(declared["evaluator"]).partition(":")
    assert module == evaluators.__name__
    found = getattr(evaluators, attribute)(point, SimpleNamespace(seed=3))
    assert found == structure.evaluate(point, 3)
    if "costs" in declared:
        costs = str(declared["costs"]).partition(":")[2]
        assert getattr(evaluators, costs)(point) == structure.costs(point)
    with pytest.raises(AttributeError, match="no structure"):
        getattr(evaluators, f"{name}_x")


def test_a_switch_annihilates() -> None:
    """In a cell with its three paths cut, no other edge changes anything."""
    cell = get_structure("cell")
    cut = {"p3_": "p3_0", "p0_": "p0_0", "p1_": "p1_0"}
    errors = {
        cell.evaluate({**cut, "p2_": f"p2_{a}", "p4_": f"p4_{b}", "p5_": f"p5_{c}"}, 0)["error"]
        for a, b, c in itertools.product(range(5), repeat=3)
    }
    assert errors == {90.0}


def test_another_draw_is_another_space_of_the_same_structure() -> None:
    first, second = get_structure("cell__1"), get_structure("cell__2")
    assert first.parameters == get_structure("cell").parameters
    assert not np.isclose(first.points[:, 0].min(), second.points[:, 0].min())
    assert np.array_equal(first.points, get_structure("cell__1").points)
    assert (first.points[:, 0] == 90.0).sum() > 100  # of cut paths
    with pytest.raises(KeyError):
        get_structure("cell__x")
    (contest,) = structures(30, names="cell", draw=1)
    assert (contest.name, contest.structure) == ("cell, draw 1", "cell__1")


def test_plateaus_are_flat() -> None:
    assert len(np.unique(get_structure("plateaus").points[:, 0].round(9))) < 40


def test_bred_front_is_hardly_bettered_at_random() -> None:
    """A million random points of the largest space add nothing to the front taken for true."""
    structure = get_structure("thirty")
    front = structure.points
    reference = front.max(axis=0)
    rng = np.random.default_rng(0)
    x = np.stack([p.draw(rng, 100_000) for p in structure.parameters], axis=1)
    values = np.stack([objective.values(x) for objective in structure.objectives], axis=1)
    more = hypervolume(np.concatenate([front, values]), reference)
    assert more <= 1.0001 * hypervolume(front, reference)


def test_the_truth_itself_is_a_share_of_one() -> None:
    points = np.random.default_rng(0).random((50, 3))
    for shares in Truth(points).shares(points.tolist()):
        assert shares[-1] == pytest.approx(1)
        assert list(shares) == sorted(shares)


def test_what_is_far_from_the_front_counts_to_the_worst_values_alone() -> None:
    points = np.array([[0.0, 1.0], [0.5, 0.4], [1.0, 0.0], [1.05, 8.0], [9.0, 9.0]])
    worst, nadir = Truth(points).shares([[1.05, 8.0], [0.9, 0.9]])
    assert 0 < worst[0] < worst[1]
    assert nadir[0] == 0 < nadir[1]


def standing(strategy: str, finals: list[float]) -> Standing:
    shares = tuple((0.1, final) for final in finals)
    return Standing("made", strategy, shares, (1.0,) * len(finals), shares)


def test_duels_are_by_an_exact_test_of_signs() -> None:
    """Six of six seeds: luck does as well 2 times in 64; five of five says nothing yet."""
    ours, theirs = [0.9, 0.92, 0.95, 0.91, 0.97, 0.93], [0.8, 0.81, 0.82, 0.79, 0.9, 0.7]
    (won,) = duels([standing("a", ours), standing("b", theirs)], "a", [2])
    assert (won.verdict, won.luck) == ("win", pytest.approx(2 / 64))
    (lost,) = duels([standing("a", theirs), standing("b", ours)], "a", [2, 300])
    assert lost.verdict == "loss"
    few = [standing("a", ours[:5]), standing("b", theirs[:5])]
    (tie,) = duels(few, "a", [2])
    assert tie.verdict == "tie"
    assert "too few to tell" in str(duels_table([tie], 5).caption)
    assert duels_table([won], 6).caption is None
    (many,) = duels([standing("a", ours * 4), standing("b", theirs * 4)], "a", [2])
    assert 0 < many.luck < 1e-3


def test_contests_over_structures(tmp_path: Path) -> None:
    """The command scores by the truth: of the noisy structure too a share is at most 1."""
    assert [contest.structure for contest in structures(30)] == NAMES
    assert [one.structure for one in structures(30, names="pairs,cell,pairs")] == ["pairs", "cell"]
    with pytest.raises(InputError, match=r"no structure 'cel' \(did you mean 'cell'"):
        structures(30, names="pairs,cel")
    arguments = ("bench-search", "structures/noisy_cell", "--trials", 7, "--seeds", 1, "--json")
    result = invsearch(tmp_path, *arguments, "--strategies", "random,cost_aware")
    document = json.loads(passed(result).stdout)
    assert {s["contest"] for s in document["standings"]} == {"noisy_cell"}
    for one in document["standings"]:
        assert all(0 <= share <= 1 for seed in one["nadir_shares"] for share in seed)
    (duel,) = document["duels"]
    assert (duel["strategy"], duel["rival"], duel["trials"]) == ("cost_aware", "random", 7)
