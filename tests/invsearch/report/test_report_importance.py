"""Importance: what matters is found, what does not is near zero, conditions are respected."""

from __future__ import annotations

import random

from synthetic_runs import make_trials

from invsearch.metrics import Metric
from invsearch.report.importance import ENOUGH, Importance, importances
from invsearch.report.plot.importance import importance_figure, ranked_parameters
from invsearch.runs import Trial
from invsearch.space.architecture import Architecture, Value


def _trials(count: int) -> list[Trial]:
    """Loss depends on ``a`` and, where it is there, on ``b``; cost on nothing but ``a``."""
    rng = random.Random(1)
    trials = []
    for number in range(count):
        a, noise = rng.choice([1, 2, 3, 4]), rng.choice(["x", "y", "z"])
        items: list[tuple[str, Value]] = [("a", a), ("noise", noise), ("fixed", 5)]
        b = rng.choice([10, 20]) if a > 2 else None
        items += [("b", b)] if b else []
        loss = 3.0 * a + (b or 0) / 4 + rng.gauss(0, 0.05)
        metrics = {
            "loss": Metric("loss", loss, "evaluated"),
            "cost": Metric("cost", float(a), "evaluated"),
        }
        trials.append(Trial(number, "complete", Architecture(tuple(items)), metrics))
    return trials


def test_what_matters_is_found_and_what_does_not_is_near_zero() -> None:
    """Each with an interval around it; a parameter that never varies has none."""
    found = {
        (one.parameter, one.objective): one
        for one in importances(_trials(120), {"loss": "minimize", "cost": "minimize"})
    }
    assert {name for name, _ in found} == {"a", "b", "noise"}
    assert found["a", "loss"].value > 0.5
    assert found["b", "loss"].low > 0
    assert found["b", "cost"].value < 0.05
    assert abs(found["noise", "loss"].value) < 0.05
    assert all(one.low <= one.value <= one.high for one in found.values())
    assert ranked_parameters(list(found.values()))[0] == "a"


def test_the_same_trials_give_the_same_numbers() -> None:
    """A report written twice is the same."""
    trials = _trials(20)
    assert importances(trials, {"loss": "minimize"}) == importances(trials, {"loss": "minimize"})


def test_little_is_not_judged() -> None:
    """Too few comparable trials, or nothing that varies: no number."""
    assert importances(_trials(ENOUGH - 1), {"loss": "minimize"}) == []
    assert importances([], {"loss": "minimize"}) == []
    same = [
        Trial(n, "complete", Architecture((("a", 1),)), {"loss": Metric("loss", n, "evaluated")})
        for n in range(20)
    ]
    assert importances(same, {"loss": "minimize"}) == []
    flat = [
        Trial(n, "complete", Architecture((("a", n),)), {"loss": Metric("loss", 1, "evaluated")})
        for n in range(20)
    ]
    assert importances(flat, {"loss": "minimize"}) == []


def test_the_figure_names_its_rows_and_says_what_it_is() -> None:
    """Names as annotations, escaped; an interval for each mark; the method in the caption."""
    found = importances(make_trials(40), {"val_loss": "minimize", "macs": "minimize"})
    figure = importance_figure(found, known=True)
    assert figure is not None
    assert [entry.text for entry in figure.legend] == ["for validation loss", "for MACs"]
    assert len(figure.layout["annotations"]) == len(figure.data[0]["x"]) <= 12
    assert len(figure.data[0]["error_x"]["array"]) == len(figure.data[0]["x"])
    assert "random forest" in figure.caption
    assert importance_figure([], known=True) is None


def test_more_objectives_than_symbols_are_drawn() -> None:
    """Shapes come round again; five objectives are rare and no reason to lose the figure."""
    names = [f"objective{place}" for place in range(6)]
    found = [Importance("depth", name, 0.5, 0.4, 0.6) for name in names]
    figure = importance_figure(found, known=False)
    assert figure is not None
    assert len(figure.data) == 6
