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
from invsearch.runs.equal_cost import per_kind
from invsearch.runs.versus import between, paired_lines
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
        (compared,) = per_kind(run, run.trials, "val_loss", "macs")
        found = compared.differences["convolution", "involution"]
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


EFFECTS = {
    "convolution": 0.0,
    "involution": 0.05,
    "depthwise_convolution": 0.1,
    "self_attention": 0.1,
}


def throughout(
    seed: int, effects: dict[str, float], count: int = 32, noise: float = 0.01, stems: int = 2
) -> RunData:
    """Networks of one operator each, by turns, in front of them one of two stems."""
    rng, trials = np.random.default_rng(seed), []
    for number in range(count):
        operator = list(effects)[number % len(effects)]
        stem = ("convolution", "involution")[number // len(effects) % stems]
        macs = math.exp(rng.uniform(0, 1))
        loss = 1.0 - 0.1 * math.log(macs) + effects[operator] + noise * rng.standard_normal()
        loss += 0.2 * (stem == "involution")
        trials.append(trial(number, loss, 1e9 * macs, stem=stem, operator=operator))
    return run_of(trials)


def test_four_operators_are_ranked_in_one_line() -> None:
    """As they were planted: two steps that are clear, and two that are alike."""
    stem, line = paired_lines(throughout(1, EFFECTS))
    start = "validation loss at equal MACs"
    assert stem.startswith(f"{start}: convolution is better than involution as")
    start += " throughout the stages, the best first: convolution is better than involution"
    assert line.startswith(f"{start} (over .99), which is better than ")
    ties = [f"{one} (over .99), which cannot be told from {other} (." for one, other in (
        ("depthwise_convolution", "self_attention"), ("self_attention", "depthwise_convolution")
    )]  # fmt: skip
    assert any(tie in line for tie in ties)
    assert "32 networks, MACs regressed out" in line
    assert "\n" not in line


def test_where_four_operators_do_not_differ_no_chain_claims_it() -> None:
    """A clear link is rare, since neighbours of a ranking are close; so are ends that differ."""
    none = dict.fromkeys(EFFECTS, 0.0)
    lines = [paired_lines(throughout(seed, none))[-1] for seed in range(60)]
    links = sum(line.partition("; yet ")[0].count("is better than") for line in lines)
    assert links <= 18  # of 180
    assert sum("; yet " in line for line in lines) <= 12  # a tenth of 60
    assert all("cannot be told from" in line for line in lines)


def test_small_steps_that_add_up_are_said_to() -> None:
    """No operator is told from the next, and the first is from the last."""
    steps = {name: 0.006 * place for place, name in enumerate(EFFECTS)}
    lines = [paired_lines(throughout(seed, steps, noise=0.012))[-1] for seed in range(20)]
    over = [line for line in lines if "; yet " in line]
    assert over
    for line in over:
        assert line.count("cannot be told from") >= 2


def test_a_maximised_metric_is_ranked_from_the_top() -> None:
    run = throughout(2, EFFECTS)
    run = run_of(list(run.trials), SPACE.replace("val_loss: minimize", "val_loss: maximize"))
    middle = (
        "which is better than involution (over .99), which is better than convolution (over .99)"
    )
    assert middle in paired_lines(run)[-1]


def test_many_operators_need_many_networks_and_two_stems_do_not() -> None:
    """Of nine networks the stem is told and the four operators are not; of seven values nothing."""
    (line,) = paired_lines(throughout(3, EFFECTS, count=8))
    assert "as the stem" in line
    seven = dict.fromkeys(map(str, range(7)), 0.0)
    assert all("throughout" not in line for line in paired_lines(throughout(0, seven, count=60)))
