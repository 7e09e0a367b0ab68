"""Paired statements: planted differences are found, none is claimed where there is none."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from invsearch.metrics import Fidelity, Metric
from invsearch.problem.kinds import problem_of
from invsearch.runs import RunData, Trial
from invsearch.runs.baselines import baseline_names
from invsearch.runs.versus import between, paired_lines, per_kind
from invsearch.space import load_space_file
from invsearch.space.architecture import Architecture, Value

SPACE = "objectives: {val_loss: minimize, macs: minimize}\nmodel: {family: rednet}\n"
STAGES = range(1, 5)


def trial(number: int, loss: float, macs: float, half: float = 0.01, **values: Value) -> Trial:
    spent = Fidelity(5, 5, 14, dataset="fashion_mnist")
    metrics = {
        "val_loss": Metric("val_loss", loss, "trained", loss - half, loss + half, spent),
        "macs": Metric("macs", macs, "counted"),
    }
    items = [(name.replace("_", "."), value) for name, value in values.items()]
    origin = "baseline" if number < 0 else "sampler"
    return Trial(abs(number), "complete", Architecture(tuple(items)), metrics, origin=origin)


def run_of(trials: list[Trial], space: str = SPACE) -> RunData:
    return RunData(Path("run"), tuple(trials), space_text=space)


def searched(seed: int, effect: float, noise: float = 0.01) -> RunData:
    """Networks whose operator changes the loss by an effect and the cost by a third."""
    rng, trials = np.random.default_rng(seed), []
    for number in range(30):
        operators = rng.choice(["convolution", "involution"], 4)
        share = float(np.mean(operators == "involution"))
        macs = math.exp(rng.uniform(0, 3) - 0.4 * share)
        loss = 1.0 - 0.1 * math.log(macs) + effect * share + noise * rng.standard_normal()
        values = {f"stage{i}_operator": str(o) for i, o in zip(STAGES, operators, strict=True)}
        trials.append(trial(number, loss, 1e9 * macs, **values))
    return run_of(trials)


@pytest.mark.parametrize("name", ["rednet", "mobilenet", "operators"])
def test_baselines_are_called_as_the_search_called_them(name: str) -> None:
    """From the trials' parameters alone, without building anything."""
    file = load_space_file(name)
    known = problem_of(file).baselines()
    assert known
    trials = [
        Trial(number, "complete", architecture, origin="baseline")
        for number, architecture in enumerate(known.values())
    ]
    assert list(baseline_names(run_of(trials, file.text)).values()) == list(known)


def test_two_networks_are_compared_by_the_normal_difference() -> None:
    """P(better) = Phi(difference / (sqrt(2) sigma)) where intervals are all that is known."""
    half = 1.959964 * 0.02
    one, other = trial(0, 0.50, 1e9, half, a=1), trial(1, 0.53, 2e9, half, a=2)
    run = run_of([one, other])
    found = between(run, one, other, "val_loss")
    assert found is not None
    assert found.probability == pytest.approx(0.5 * (1 + math.erf(0.03 / 0.02 / 2)), abs=0.01)
    assert found.value == pytest.approx(-0.03, abs=0.002)
    back = between(run, other, one, "val_loss")
    assert back is not None
    assert back.probability == pytest.approx(1 - found.probability, abs=0.02)


@pytest.mark.parametrize("effect", [-0.05, 0.05])
def test_an_operator_is_better_at_equal_cost_by_what_was_planted(effect: float) -> None:
    """Its own cost is taken out: involution is cheaper here, and cheaper is worse."""
    run, inside = searched(0, effect), 0
    (line,) = paired_lines(run)
    winner = "involution is better than convolution" if effect < 0 else "convolution is better"
    assert line.startswith(f"validation loss at equal MACs: {winner}")
    assert "with probability over .99" in line
    assert "30 networks, MACs regressed out" in line
    for seed in range(40):
        run = searched(seed, effect)
        ((_, one, other, found, _),) = per_kind(run, run.trials, "val_loss", "macs")
        assert (one, other) == ("convolution", "involution")
        inside += found.low <= -effect <= found.high
    assert inside >= 34  # of 40 intervals of 95 %


def test_where_nothing_differs_it_says_so_as_often_as_it_should() -> None:
    """Without an effect a probability is uniform: nine to one is reached in a fifth of the runs."""
    lines = [paired_lines(searched(seed, 0.0))[0] for seed in range(60)]
    clear = [line for line in lines if "cannot tell" not in line]
    assert 4 <= len(clear) <= 22
    unsure = next(line for line in lines if "cannot tell" in line)
    assert "is better with probability ." in unsure


def test_a_pair_of_baselines_is_a_sentence_with_its_cost() -> None:
    """Named, better or not to be told apart, at which part of the cost, and how surely."""
    red = {f"stage{i}_operator": "involution" for i in STAGES}
    res = {f"stage{i}_operator": "convolution" for i in STAGES}
    first = trial(-1, 0.40, 1.73e9, 0.02, depth=26, stem="involution", width=1.0, **red)
    for loss, start in (
        (0.47, "RedNet-26 is better than ResNet-26 at .73 of the MACs with prob"),
        (0.33, "ResNet-26 is better than RedNet-26 at 1.37 times the MACs with"),
        (0.405, "cannot tell RedNet-26 from ResNet-26 at .73 of the MACs:"),
    ):
        other = trial(-2, loss, 2.37e9, 0.02, depth=26, stem="convolution", width=1.0, **res)
        (line,) = paired_lines(run_of([first, other]))
        assert line.startswith(f"validation loss: {start}")
        assert "on this data (difference " in line
        assert line.endswith(") nats)")


def test_nothing_is_compared_of_too_few_or_of_a_function() -> None:
    few = searched(0, 0.05)
    assert paired_lines(run_of(list(few.trials[:4]))) == []
    assert paired_lines(run_of(list(few.trials), SPACE.replace("model", "other"))) == []
