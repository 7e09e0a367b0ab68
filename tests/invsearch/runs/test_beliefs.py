"""Beliefs: nearer to the truth than what was observed, and nothing where nothing is noisy."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from invsearch import load_run
from invsearch.metrics import Direction, Fidelity, Metric
from invsearch.runs import FrontMember, Replicate, RunFolder, Trial, front
from invsearch.runs.beliefs import ENOUGH, believe
from invsearch.runs.reliability import Seeds, seed_values
from invsearch.runs.replicates import fold
from invsearch.space.architecture import Architecture

OBJECTIVES: dict[str, Direction] = {"val_loss": "minimize", "macs": "minimize"}
NOISE = 0.03
SPENT = Fidelity(5, 5, 14)
SPACE = "name: made\nobjectives: {val_loss: minimize, macs: minimize}\nmodel: {family: rednet}\n"


def truth(
    rng: np.random.Generator, count: int
) -> tuple[list[Architecture], np.ndarray, np.ndarray]:
    """Networks of a width and an operator, their losses, and their costs."""
    widths, operators = rng.choice([0.25, 0.5, 0.75, 1.0], count), rng.integers(2, size=count)
    depths = rng.integers(1, 6, count)
    loss = 0.5 - 0.1 * np.log2(widths * 4) / 2 - 0.04 * operators - 0.01 * depths
    points = [
        Architecture((("width", float(w)), ("operator", "ab"[o]), ("depth", int(d))))
        for w, o, d in zip(widths, operators, depths, strict=True)
    ]
    return points, loss + 0.005 * rng.standard_normal(count), 1e9 * widths**2 * (1 + depths)


def noisy_run(
    seed: int, count: int = 30, twice: int = 6
) -> tuple[list[Trial], list[Replicate], np.ndarray]:
    """Trials, second seeds of the first of them, and the true losses."""
    rng = np.random.default_rng(seed)
    points, loss, macs = truth(rng, count)
    trials = [
        Trial(n, "complete", point, {"val_loss": trained(loss[n], rng),
                                     "macs": Metric("macs", macs[n], "counted")}, seed=n)
        for n, point in enumerate(points)
    ]  # fmt: skip
    further = [Replicate(n, 100 + n, {"val_loss": trained(loss[n], rng)}) for n in range(twice)]
    return trials, further, loss


def trained(loss: float, rng: np.random.Generator) -> Metric:
    """What one seed reaches; the interval over images says less than seeds do."""
    value = float(loss + NOISE * rng.standard_normal())
    return Metric("val_loss", value, "trained", value - 0.03, value + 0.03, SPENT)


def folded(trials: list[Trial], further: list[Replicate]) -> list[Trial]:
    return [fold(trial, [r for r in further if r.number == trial.number]) for trial in trials]


def test_beliefs_are_nearer_to_the_truth_and_their_intervals_hold_it() -> None:
    errors, before, inside, gaps = [], [], [], []
    for seed in range(8):
        trials, further, loss = noisy_run(seed)
        known = folded(trials, further)
        beliefs = believe(known, OBJECTIVES, seed_values(trials, further))
        assert beliefs is not None
        assert beliefs.uncertain == ("val_loss",)
        believed = [beliefs.of(number)["val_loss"] for number in range(len(trials))]
        seen = np.array([trial.metrics["val_loss"].value for trial in known])
        values = np.array([one.value for one in believed])
        errors.append(values - loss)
        before.append(seen - loss)
        inside += [one.low <= true <= one.high for one, true in zip(believed, loss, strict=True)]
        gaps.append(loss[np.argmin(values)] - loss[np.argmin(seen)])
    assert np.std(errors) < 0.6 * np.std(before)
    assert 0.88 <= np.mean(inside) <= 1
    assert np.mean(gaps) < 0  # who is believed to be best is truly better than who was seen to be


def test_p_front_is_how_often_a_member_is_truly_on_the_front() -> None:
    """Over runs: as many are truly there as the probabilities say, solid ones mostly."""
    chances, truly = [], []
    for seed in range(8):
        trials, further, loss = noisy_run(seed)
        known = folded(trials, further)
        beliefs = believe(known, OBJECTIVES, seed_values(trials, further))
        cost = np.array([trial.metrics["macs"].value for trial in trials])
        for member in front(known, OBJECTIVES, beliefs=beliefs):
            own = member.trial.number
            better = (loss <= loss[own]) & (cost <= cost[own])
            chances.append(member.p_front)
            truly.append(not np.any(better & ((loss < loss[own]) | (cost < cost[own]))))
    solid = np.array(chances) >= 0.5
    assert abs(np.mean(chances) - np.mean(truly)) < 0.12
    assert np.mean(np.array(truly)[solid]) > 0.65 > 0.5 > np.mean(np.array(truly)[~solid])


def test_a_lucky_seed_is_not_believed() -> None:
    """The worse operator in a network of the front looks better by luck, in run after run."""
    before, after = [], []
    for seed in range(8):
        trials, further, _ = noisy_run(seed, 40)
        members = [member.trial for member in front(trials, OBJECTIVES)]
        own = next(trial for trial in members if trial.architecture["operator"] == "b")
        trials.append(lucky_twin(own, own.metrics["val_loss"].value - 0.02))
        known = folded(trials, further)
        beliefs = believe(known, OBJECTIVES, seed_values(trials, further))
        assert beliefs is not None
        assert beliefs.of(40)["val_loss"].value > known[40].metrics["val_loss"].value
        before.append(chance(front(known, OBJECTIVES)))
        after.append(chance(front(known, OBJECTIVES, beliefs=beliefs)))
    assert np.mean(after) < 0.35 < 0.5 < np.mean(before)


def chance(members: list[FrontMember]) -> float:
    return {member.trial.number: member.p_front for member in members}.get(40, 0.0)


def lucky_twin(trial: Trial, value: float) -> Trial:
    """The same network of the other operator, dearer by a thousandth."""
    metrics = {
        "val_loss": Metric("val_loss", value, "trained", value - 0.03, value + 0.03, SPENT),
        "macs": Metric("macs", trial.metrics["macs"].value * 1.001, "counted"),
    }
    point = {**dict(trial.architecture), "operator": "a"}
    return Trial(40, "complete", Architecture(tuple(point.items())), metrics)


@pytest.mark.parametrize("count", [ENOUGH - 1, 30])
def test_nothing_is_believed_beyond_what_was_counted_or_of_too_few(count: int) -> None:
    """Exact objectives are what they are; below five trials nothing is learnt from others."""
    trials, _, _ = noisy_run(1, count, 0)
    if count >= ENOUGH:
        values = [trial.metrics["val_loss"].value for trial in trials]
        exact = [Metric("val_loss", value, "table") for value in values]
        trials = [t.with_metrics({"val_loss": m}) for t, m in zip(trials, exact, strict=True)]
    assert believe(trials, OBJECTIVES, {}) is None


def test_the_same_is_believed_of_an_accuracy_as_of_its_error() -> None:
    trials, _, _ = noisy_run(2)
    losses = [trial.metrics["val_loss"].value for trial in trials]
    errors = [percent(t, "error", 100 * v) for t, v in zip(trials, losses, strict=True)]
    top1s = [percent(t, "top1", 100 - 100 * v) for t, v in zip(trials, losses, strict=True)]
    error = believe(errors, {"error": "minimize", "macs": "minimize"}, {})
    top1 = believe(top1s, {"top1": "maximize", "macs": "minimize"}, {})
    assert error is not None
    assert top1 is not None
    for number in range(0, 30, 7):
        one, other = error.of(number)["error"], top1.of(number)["top1"]
        assert other.low < other.value < other.high
        assert 100 - other.value == pytest.approx(one.value, abs=0.05)


def percent(trial: Trial, name: str, value: float) -> Trial:
    return trial.with_metrics({name: Metric(name, value, "trained", value - 5, value + 5, SPENT)})


def test_a_function_that_is_noisy_is_believed_from_what_was_repeated() -> None:
    """Its values have no interval; the trials that were evaluated twice say how far off one is."""
    trials, further, loss = noisy_run(3)
    plain = [t.with_metrics({"val_loss": evaluated(t.metrics)}) for t in trials]
    again = [Replicate(r.number, r.seed, {"val_loss": evaluated(r.metrics)}) for r in further]
    known = folded(plain, again)
    beliefs = believe(known, OBJECTIVES, {})
    assert beliefs is not None
    values = np.array([beliefs.of(n)["val_loss"].value for n in range(30)])
    seen = np.array([trial.metrics["val_loss"].value for trial in known])
    assert np.std(values - loss) < np.std(seen - loss)


def evaluated(metrics: Mapping[str, Metric]) -> Metric:
    return Metric("val_loss", metrics["val_loss"].value, "evaluated")


def test_a_run_tells_its_beliefs_alike_in_front_csv_in_python_and_as_json(tmp_path: Path) -> None:
    trials, further, _ = noisy_run(4)
    folder = RunFolder(tmp_path / "run")
    folder.create(SPACE)
    folder.append_trials(trials)
    for one in further:
        folder.append_replicate(one)
    written = folder.write_front(folder.trials(), OBJECTIVES)
    run = load_run(folder.path)
    assert [(m.trial.number, m.p_front) for m in written] == [
        (m.trial.number, m.p_front) for m in run.members
    ]
    rows = list(csv.DictReader(folder.front_path.read_text().splitlines()))
    table, told = run.front(), run.outcome()["front"]
    assert [int(row["trial"]) for row in rows] == table["number"].tolist()
    for row, belief, plain in zip(rows, table["val_loss_belief"], told, strict=True):
        assert float(row["val_loss_belief"]) == belief == plain["beliefs"]["val_loss"]["value"]
        assert float(row["val_loss_belief_low"]) < belief < float(row["val_loss_belief_high"])
        exact = {row[f"macs{end}"] for end in ("", "_belief", "_belief_low", "_belief_high")}
        assert len(set(map(float, exact))) == 1
    assert run.frame()["val_loss_belief"].notna().all()
    assert [trial.number for trial in run.border]


@pytest.mark.parametrize("wild", [1e300, -1e300, 1e150])
def test_a_value_that_no_model_can_hold_ends_nothing(wild: float) -> None:
    """A diverged training is finite and enormous; the front is still there."""
    trials, further, _ = noisy_run(6)
    metric = Metric("val_loss", wild, "trained", wild - 1, wild + abs(wild) / 2, SPENT)
    trials[10] = trials[10].with_metrics({"val_loss": metric})
    known = folded(trials, further)
    beliefs = believe(known, OBJECTIVES, seed_values(trials, further))
    members = front(known, OBJECTIVES, beliefs=beliefs)
    assert all(0 <= member.p_front <= 1 for member in members)


def test_what_is_believed_does_not_depend_on_the_order_of_the_log() -> None:
    """A resumed run, or one whose workers end otherwise, believes the same."""
    trials, further, _ = noisy_run(5)
    seeds: Seeds = seed_values(trials, further)
    one, other = (believe(ts, OBJECTIVES, seeds) for ts in (trials, sorted(trials, key=hash_of)))
    assert one is not None
    assert other is not None
    for number in range(30):
        first, second = one.of(number)["val_loss"], other.of(number)["val_loss"]
        assert first.value == pytest.approx(second.value, rel=1e-3)


def hash_of(trial: Trial) -> int:
    return trial.number * 7919 % 31
