"""What the models see of a long search, and that a short one is theirs as a whole."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from invsearch.search.sampler import CostAwareSampler
from invsearch.search.sampler.boxes import non_dominated
from invsearch.search.sampler.history import History, Record
from invsearch.search.sampler.subset import MODELLED, modelled
from invsearch.surrogate import gp

SPACE = {f"p{i}": CategoricalDistribution((0, 1, 2, 3)) for i in range(8)}


def history(evaluated: int, stopped: int = 0, failed: int = 0, objectives: int = 2) -> History:
    rng = np.random.default_rng(0)

    def records(count: int, state: TrialState) -> list[Record]:
        values = rng.random((count, objectives))
        return [
            Record(n, state, np.array([n, len(state.name)], float), v, np.zeros(objectives))
            for n, v in enumerate(values)
        ]

    kinds = (
        records(evaluated, TrialState.COMPLETE),
        records(failed, TrialState.FAIL),
        records(stopped, TrialState.PRUNED),
    )
    everything = [record for kind in kinds for record in kind]
    return History(*kinds, np.empty((0, 2)), everything, {r.key for r in everything}, {})


def test_a_short_search_is_modelled_as_a_whole() -> None:
    """The contests of the README, of at most 300 trials, are what they were."""
    short = history(MODELLED, stopped=MODELLED, failed=MODELLED)
    assert modelled(short) is short


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_of_a_long_search_the_front_and_the_latest_are_kept(objectives: int) -> None:
    long = history(3000, stopped=2000, failed=2000, objectives=objectives)
    part = modelled(long)
    assert (len(part.evaluated), len(part.stopped), len(part.failed)) == (600, 300, 300)
    assert part.seen == long.seen
    assert part.everything == long.everything
    kept = {record.number for record in part.evaluated}
    front = np.flatnonzero(non_dominated(np.array([r.values for r in long.evaluated])))
    assert kept >= set(front.tolist())
    assert kept >= set(range(3000 - 150, 3000))
    gaps = np.diff(sorted(kept | {0, 2999}))
    assert gaps.max() < 60, "some part of the search is not seen at all"


def test_a_front_larger_than_the_part_is_seen_evenly() -> None:
    """Every trial is on the front: none of its ends is cut off."""
    long = history(2000)
    line = [np.array([i, -i], float) for i in range(2000)]
    records = [Record(r.number, r.state, r.row, v, r.sigma) for r, v in zip(long.evaluated, line)]  # noqa: B905
    part = modelled(History(records, [], [], long.pending, records, long.seen, {}))
    numbers = [record.number for record in part.evaluated]
    assert len(numbers) <= MODELLED
    assert numbers[0] == 0
    assert np.diff(numbers).max() < 20


def test_no_matrix_grows_with_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of trials that ended in every way: what is factorised stays small."""
    sizes, factorise = [], gp.factor

    def watched(k: gp.Array) -> gp.Array:
        sizes.append(len(k))
        return factorise(k)

    monkeypatch.setattr(gp, "factor", watched)
    sampler = CostAwareSampler(SPACE, costs=lambda p: {1: float(sum(p.values()))}, seed=0)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    rng = np.random.default_rng(0)
    for number in range(2400):
        params = {name: int(rng.integers(4)) for name in SPACE}
        if number % 3 == 2:
            trial = create_trial(params=params, distributions=SPACE, state=TrialState.FAIL)
        else:
            values = [1 + float(rng.random()) * params["p0"], float(sum(params.values()))]
            trial = create_trial(params=params, distributions=SPACE, values=values)
        study.add_trial(trial)
    study.ask(SPACE)
    assert 0 < max(sizes) <= 2 * MODELLED


def test_the_models_learn_on_when_their_part_is_full() -> None:
    """Hyperparameters are fitted anew with each ended trial, not once for all at the limit."""
    sampler = CostAwareSampler(SPACE, costs=lambda p: {1: float(sum(p.values()))}, seed=0)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    rng = np.random.default_rng(0)
    for _ in range(MODELLED + 50):
        params = {name: int(rng.integers(4)) for name in SPACE}
        values = [1 + float(rng.random()) * params["p0"], float(sum(params.values()))]
        study.add_trial(create_trial(params=params, distributions=SPACE, values=values))
    fitted = []
    for _ in range(2):
        asked = study.ask(SPACE)
        fitted.append(study.trials[asked.number].system_attrs["invsearch:hyperparameters"])
        study.tell(asked, [1.5, float(sum(asked.params.values()))])
    assert fitted[0] != fitted[1]
    assert fitted[1]["count"] == [MODELLED + 51.0]
