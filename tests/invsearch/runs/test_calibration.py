"""Whether the search's model knew what it did not know, on truths of which that is known."""

from __future__ import annotations

import numpy as np

from invsearch.metrics import Direction, Metric
from invsearch.runs import Trial
from invsearch.runs.calibration import Calibration, calibrations
from invsearch.space.architecture import Architecture

OBJECTIVES: dict[str, Direction] = {"error": "minimize", "macs": "minimize"}


def found(seed: int, *, surprising: bool, count: int = 60) -> list[Trial]:
    """Trials of a sum over four choices with noise; one of five far off, where surprising."""
    rng = np.random.default_rng(seed)
    worth = rng.standard_normal((4, 3))
    trials = []
    for number in range(count):
        point = rng.integers(3, size=4)
        value = 3.0 + 0.2 * (worth[np.arange(4), point].sum() + 0.3 * rng.standard_normal())
        value += 4.0 * (surprising and number % 5 == 4)
        metrics = {
            "error": Metric("error", float(np.exp(value)), "evaluated"),
            "macs": Metric("macs", 1e6 * (1 + float(point.sum())), "counted"),
        }
        architecture = Architecture(tuple((f"p{j}", "abc"[k]) for j, k in enumerate(point)))
        trials.append(Trial(number, "complete", architecture, metrics, seed=number))
    return trials


def pooled(*, surprising: bool) -> Calibration:
    each = [calibrations(found(seed, surprising=surprising), OBJECTIVES)[0] for seed in range(6)]
    half, most = (float(np.mean([getattr(c, name) for c in each])) for name in ("half", "most"))
    return Calibration(each[0].metric, half, most, sum(c.n for c in each))


def test_intervals_hold_as_often_as_they_say() -> None:
    """Of 300 predictions of a function like the model's: .5 and .95, within three deviations."""
    told = pooled(surprising=False)
    assert told.n == 300
    assert abs(told.half - 0.5) < 3 * (0.25 / 300) ** 0.5
    assert abs(told.most - 0.95) < 3 * (0.95 * 0.05 / 300) ** 0.5


def test_a_truth_unlike_the_model_shows() -> None:
    """Values that jump without a reason leave the middle of the intervals fuller than it says."""
    assert abs(pooled(surprising=True).half - 0.5) > 3 * (0.25 / 300) ** 0.5


def test_what_is_known_beforehand_is_not_judged() -> None:
    told = calibrations(found(0, surprising=False), OBJECTIVES)
    assert [one.metric for one in told] == ["error"]
    assert "50 trials" in str(told[0])


def test_few_trials_say_nothing() -> None:
    assert calibrations(found(0, surprising=False, count=19), OBJECTIVES) == []
    assert calibrations([], OBJECTIVES) == []
