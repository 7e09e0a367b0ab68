"""Laws that every study with the sampler keeps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from invsearch.search.sampler import CostAwareSampler, SpaceExhaustedError
from invsearch.search.sampler.proposer import Proposer
from invsearch.surrogate.surrogate import log_offset

optuna.logging.set_verbosity(optuna.logging.ERROR)

Params = Mapping[str, Any]
SPACE: dict[str, BaseDistribution] = {
    f"op{i}": CategoricalDistribution(["a", "b", "c"]) for i in range(4)
}
BIG: dict[str, BaseDistribution] = {
    f"op{i}": CategoricalDistribution(["a", "b", "c", "d"]) for i in range(20)
}
COST = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0}


def cost(params: Params) -> float:
    return sum(COST[v] * (1 + i % 3) for i, v in enumerate(params.values()))


def error(params: Params) -> float:
    return 5.0 + 50.0 / (1.0 + sum(COST[v] ** 0.5 for v in params.values())) + len(params["op0"])


def both(params: Params) -> list[float]:
    return [error(params), cost(params)]


def known(params: Params) -> dict[int, float]:
    return {1: cost(params)}


def create(sampler: CostAwareSampler, objectives: int = 2) -> optuna.Study:
    return optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)


def run(
    study: optuna.Study,
    space: Mapping[str, BaseDistribution],
    trials: int,
    values: Callable[[Params], list[float]] = both,
) -> list[tuple[Any, ...]]:
    for _ in range(trials):
        trial = study.ask(dict(space))
        study.tell(trial, values(trial.params))
    return points(study)


def points(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [tuple(t.params.items()) for t in study.trials]


def import_trials(study: optuna.Study, count: int, **kwargs: Any) -> None:
    grid = itertools.product("abc", repeat=4)
    for values in itertools.islice(grid, count):
        params = dict(zip(SPACE, values, strict=True))
        study.add_trial(
            create_trial(params=params, distributions=SPACE, values=both(params), **kwargs)
        )


@pytest.mark.parametrize("costs", [known, None])
def test_every_point_once_until_the_space_is_exhausted(
    costs: Callable[[Params], dict[int, float]] | None,
) -> None:
    """Each of 9 points comes once; then front members come again, and ``propose`` says why."""
    space = dict(list(SPACE.items())[:2])
    study = create(CostAwareSampler(space, costs=costs, seed=0))
    assert len(set(run(study, space, 9))) == 9
    with pytest.raises(SpaceExhaustedError, match="all 9 valid points"):
        study.sampler.propose(study)  # type: ignore[attr-defined]
    assert len(set(run(study, space, 3))) == 9


def test_the_ends_come_first() -> None:
    """The cheapest and the dearest point are the first two, however large the space."""
    for space, dearest in ((SPACE, "c"), (BIG, "d")):
        study = create(CostAwareSampler(space, costs=known, seed=4))
        run(study, space, 2)
        assert set(study.trials[0].params.values()) == {"a"}
        assert set(study.trials[1].params.values()) == {dearest}


@pytest.mark.parametrize("space", [SPACE, BIG])
def test_same_seed_same_proposals(space: dict[str, BaseDistribution]) -> None:
    """The seed decides everything; in a large space another seed decides otherwise."""
    runs = [run(create(CostAwareSampler(space, costs=known, seed=s)), space, 10) for s in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert space is SPACE or runs[0] != runs[2]


@pytest.mark.parametrize("space", [SPACE, BIG])
@pytest.mark.parametrize("costs", [known, None, lambda p: dict(enumerate(both(p)))])
def test_resume_continues_as_if_uninterrupted(
    space: dict[str, BaseDistribution], costs: Callable[[Params], dict[int, float]] | None
) -> None:
    """A new sampler on the stored study goes on with the very same proposals."""
    storage = optuna.storages.InMemoryStorage()
    whole = run(create(CostAwareSampler(space, costs=costs, seed=2)), space, 16)
    for trials in (3, 8, 5):
        study = optuna.create_study(
            directions=["minimize"] * 2,
            sampler=CostAwareSampler(space, costs=costs, seed=2),
            storage=storage,
            study_name="resumed",
            load_if_exists=True,
        )
        resumed = run(study, space, trials)
    assert resumed == whole


@pytest.mark.parametrize("cut", [60, 100, 118])
def test_counted_search_resumes_within_and_between_blocks(cut: int) -> None:
    """Where everything is counted, too, the next point depends on the study alone."""

    def costs(params: Params) -> dict[int, float]:
        return dict(enumerate(both(params)))

    whole = run(create(CostAwareSampler(BIG, costs=costs, seed=2)), BIG, 125)
    assert len(set(whole)) == 125
    study = create(CostAwareSampler(BIG, costs=costs, seed=2))
    for params in whole[:cut]:
        study.add_trial(
            create_trial(params=dict(params), distributions=BIG, values=both(dict(params)))
        )
    assert run(study, BIG, 125 - cut) == whole


def test_reading_again_is_reading_anew() -> None:
    """What is kept of finished trials is what a fresh reading gives, whatever finishes first."""
    sampler = CostAwareSampler(SPACE, costs=known, seed=0)
    study = create(sampler)
    rng = np.random.default_rng(0)
    running: list[optuna.Trial] = []
    for number in range(40):
        running.append(study.ask(SPACE))
        if number > 3:
            trial = running.pop(rng.integers(len(running)))
            attributes: dict[str, Any] = [{"orphan": True}, {"retry_of": number - 3}, {}][
                number % 3
            ]
            for name, value in attributes.items():
                trial.set_user_attr(name, value)
            if number % 4 == 0:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, both(trial.params))
        trials = study.get_trials(deepcopy=False)
        kept = sampler._prepared(study, SPACE, trials).read(trials, {})
        anew = CostAwareSampler(SPACE, costs=known)._prepared(study, SPACE, trials).read(trials, {})
        for name in ("evaluated", "failed", "stopped", "everything"):
            numbers = [[r.number for r in getattr(h, name)] for h in (kept, anew)]
            assert numbers[0] == numbers[1]
        assert kept.seen == anew.seen
        assert kept.hyperparameters == anew.hyperparameters
        np.testing.assert_array_equal(kept.pending, anew.pending)


def test_never_a_known_infeasible_point() -> None:
    """``feasible`` is a promise, in listed spaces and in pools."""
    for space in (SPACE, BIG):
        limit = 0.6 * cost(dict.fromkeys(space, "c"))
        sampler = CostAwareSampler(
            space, costs=known, feasible=lambda p, limit=limit: cost(p) <= limit, seed=0
        )
        study = create(sampler)
        run(study, space, 14)
        assert all(t.values[1] <= limit for t in study.trials)


def test_a_space_without_a_valid_point_is_an_error() -> None:
    study = create(CostAwareSampler(SPACE, feasible=lambda p: False, seed=0))
    with pytest.raises(SpaceExhaustedError, match="no valid point"):
        study.ask(SPACE)


def test_parallel_asks_are_distinct() -> None:
    """Pending trials are fantasies: 12 asks before any tell give 12 points."""
    study = create(CostAwareSampler(SPACE, costs=known, seed=0))
    run(study, SPACE, 6)
    trials = [study.ask(SPACE) for _ in range(12)]
    assert len({tuple(t.params.items()) for t in trials}) == 12


def test_propose_gives_a_batch_without_creating_trials() -> None:
    sampler = CostAwareSampler(SPACE, costs=known, seed=0)
    study = create(sampler)
    run(study, SPACE, 8)
    batch = sampler.propose(study, 5)
    assert len({tuple(p.items()) for p in batch}) == 5
    assert not {tuple(p.items()) for p in batch} & set(points(study))
    assert len(study.trials) == 8


def test_enqueued_and_partly_fixed_points_are_respected() -> None:
    """Baselines run as given, half-given ones are completed, neither is proposed again."""
    study = create(CostAwareSampler(SPACE, costs=known, seed=0))
    study.enqueue_trial(dict.fromkeys(SPACE, "b"))
    study.enqueue_trial({"op1": "c", "op2": "a"})
    found = run(study, SPACE, 12)
    assert set(dict(found[0]).values()) == {"b"}
    assert (dict(found[1])["op1"], dict(found[1])["op2"]) == ("c", "a")
    assert len(set(found)) == 12


def test_imported_trials_are_used_and_not_repeated() -> None:
    study = create(CostAwareSampler(SPACE, costs=known, seed=0))
    import_trials(study, 40)
    assert len(set(run(study, SPACE, 10))) == 50


def test_nan_infinite_and_failed_trials() -> None:
    """NaN (told as failed), infinity and exceptions end nothing and are not proposed again."""
    study = create(CostAwareSampler(SPACE, costs=known, seed=0))
    for i in range(18):
        trial = study.ask(SPACE)
        if i % 3 == 0:
            study.tell(trial, state=TrialState.FAIL)
        elif i % 3 == 1 and i > 6:
            study.tell(trial, [float("inf"), cost(trial.params)])
        else:
            study.tell(trial, both(trial.params))
    assert len(set(points(study))) == 18


def test_a_study_of_failures_alone_goes_on() -> None:
    study = create(CostAwareSampler(SPACE, costs=known, seed=0))
    for _ in range(12):
        study.tell(study.ask(SPACE), state=TrialState.FAIL)
    assert len(set(points(study))) == 12


def test_failures_are_avoided() -> None:
    """When one choice always fails the search turns to the others."""
    study = create(CostAwareSampler(SPACE, costs=known, seed=0))
    noise = np.random.default_rng(0).lognormal(0.0, 0.2, size=30)
    for factor in noise:
        trial = study.ask(SPACE)
        if trial.params["op3"] == "b":
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, [factor * error(trial.params), cost(trial.params)])
    late = [t.params["op3"] == "b" for t in study.trials[15:]]
    assert sum(late) <= 2


def test_measured_constraints_are_learnt() -> None:
    """Two thirds of the space violate a bound that shows only on evaluation."""
    study = create(CostAwareSampler(SPACE, costs=known, seed=0))
    for _ in range(24):
        trial = study.ask(SPACE)
        trial.set_constraint("latency", {"a": -1.0, "b": 0.5, "c": 2.0}[trial.params["op2"]])
        study.tell(trial, both(trial.params))
    late = [t.params["op2"] != "a" for t in study.trials[10:]]
    assert sum(late) <= 4


def test_an_orphan_may_be_tried_again() -> None:
    """A trial whose process was killed says nothing about its point; a failed one does."""
    space = dict(list(SPACE.items())[:1])
    for attributes, expected in (({"orphan": True}, 3), ({}, 2)):
        study = create(CostAwareSampler(space, seed=0))
        study.add_trial(
            create_trial(
                state=TrialState.FAIL,
                params={"op0": "a"},
                distributions=space,
                user_attrs=attributes,
            )
        )
        proposed = study.sampler.propose(study, 5)  # type: ignore[attr-defined]
        assert len(proposed) == expected


def test_constant_objectives() -> None:
    """No spread to learn from: still distinct points, no warning, no error."""
    study = create(CostAwareSampler(SPACE, seed=0))
    assert len(set(run(study, SPACE, 14, lambda p: [3.0, 0.0]))) == 14


def test_one_point_space() -> None:
    space = {"op": CategoricalDistribution(["only"]), "k": IntDistribution(3, 3)}
    study = create(CostAwareSampler(space, seed=0), 1)
    run(study, space, 3, lambda p: [1.0])
    assert len(set(points(study))) == 1


def test_twenty_categorical_parameters() -> None:
    """A space of 4^20 points goes through the pool, without repetition."""
    study = create(CostAwareSampler(BIG, costs=known, seed=0))
    assert len(set(run(study, BIG, 16))) == 16


def test_continuous_parameters_approach_the_optimum() -> None:
    space = {"x": FloatDistribution(-5, 5), "y": FloatDistribution(1e-3, 1e3, log=True)}
    study = create(CostAwareSampler(space, seed=0), 1)

    def value(params: Params) -> list[float]:
        return [0.1 + (params["x"] - 2.0) ** 2 + np.log10(params["y"]) ** 2]

    run(study, space, 30, value)
    assert study.best_value < 0.2


def test_every_objective_counted_finds_the_front_first() -> None:
    """Without anything unknown the first proposals are the exact front."""
    values = {
        tuple(p): (error(dict(zip(SPACE, p, strict=True))), cost(dict(zip(SPACE, p, strict=True))))
        for p in itertools.product("abc", repeat=4)
    }
    front = {
        p
        for p, v in values.items()
        if not any(w[0] <= v[0] and w[1] <= v[1] and w != v for w in values.values())
    }
    front_values = {values[p] for p in front}
    study = create(CostAwareSampler(SPACE, costs=lambda p: dict(enumerate(both(p))), seed=0))
    run(study, SPACE, len(front_values))
    assert {tuple(t.values) for t in study.trials} == front_values


@pytest.mark.parametrize("sign", [1, -1], ids=["minimised", "maximised"])
def test_stopped_trials_inform_through_their_rungs(sign: int) -> None:
    """A stopped trial's value counts as what complete trials made of the same rung.

    Errors halve between the rung and the end; an accuracy is modelled by its error.
    """

    def told(lost: float, params: Params) -> list[float]:
        return [lost if sign > 0 else 1.0 - lost, cost(params)]

    def lost(params: Params) -> float:
        return 0.01 * error(params)

    sampler = CostAwareSampler(SPACE, costs=known, seed=0)
    study = optuna.create_study(
        directions=["minimize" if sign > 0 else "maximize", "minimize"], sampler=sampler
    )
    for i in range(16):
        trial = study.ask(SPACE)
        early = told(2.0 * lost(trial.params), trial.params)
        if i > 6 and i % 2:
            trial.set_user_attr("partial", {"fidelity": 0.5, "values": early})
            study.tell(trial, state=TrialState.PRUNED)
        else:
            trial.set_user_attr("rungs", {"0.5": early})
            study.tell(trial, told(lost(trial.params), trial.params))
    history = sampler._prepared(study, SPACE, study.trials).read(study.trials, {})
    offset = log_offset(np.array([r.values[0] for r in history.evaluated]), maximised=sign < 0)
    rows, values, variances = history.stopped_values(0, 0.0 if sign > 0 else offset)
    expected = [
        told(lost(t.params), t.params)[0] for t in study.trials if t.state == TrialState.PRUNED
    ]
    assert len(rows) == len(expected) == 5
    np.testing.assert_allclose(sign * values, expected, rtol=1e-6)
    np.testing.assert_allclose(variances, 0.0, atol=1e-9)


def test_costs_must_be_consistent_and_finite() -> None:
    """A cost function that changes its mind, or gives NaN, is named with the point."""
    odd = CostAwareSampler(SPACE, costs=lambda p: known(p) if p["op0"] == "a" else {0: 1.0}, seed=0)
    with pytest.raises(ValueError, match="it must always give the same"):
        create(odd).ask(SPACE)
    with pytest.raises(ValueError, match="not finite"):
        create(CostAwareSampler(SPACE, costs=lambda p: {1: float("nan")}, seed=0)).ask(SPACE)
    with pytest.raises(ValueError, match="the study has 0 to 1"):
        create(CostAwareSampler(SPACE, costs=lambda p: {2: 1.0}, seed=0)).ask(SPACE)


def test_hints_help_where_they_are_right() -> None:
    """The predictions of a related run lead to the best point at once."""
    table = {p: float(np.random.default_rng(hash(p) % 2**32).lognormal()) for p in range(81)}
    grid = list(itertools.product("abc", repeat=4))
    index = {p: i for i, p in enumerate(grid)}

    def value(params: Params) -> float:
        return table[index[tuple(params.values())]]

    sampler = CostAwareSampler(SPACE, hints=lambda p: [np.log(value(p))], seed=0)
    study = create(sampler, 1)
    run(study, SPACE, 12, lambda p: [value(p)])
    assert study.best_value == min(table.values())


def test_candidates_given_as_points_or_as_a_function() -> None:
    """Only the given points are proposed."""
    given = [dict(zip(SPACE, p, strict=True)) for p in itertools.product("ab", repeat=4)]
    study = create(CostAwareSampler(SPACE, costs=known, candidates=given, seed=0))
    run(study, SPACE, 12)
    assert all("c" not in t.params.values() for t in study.trials)
    drawn = CostAwareSampler(
        SPACE, candidates=lambda rng, n: rng.choices(given, k=n), feasible=lambda p: p in given,
        whole=0, seed=0,
    )  # fmt: skip
    study = create(drawn)
    run(study, SPACE, 12)
    assert all("c" not in t.params.values() for t in study.trials)


def test_one_sampler_serves_several_studies() -> None:
    """Nothing of one study leaks into the next."""
    sampler = CostAwareSampler(SPACE, costs=known, seed=0)
    assert run(create(sampler), SPACE, 9) == run(create(sampler), SPACE, 9)


def test_a_trial_that_stopped_twice_informs_by_its_last_rung_alone() -> None:
    """A promotion is a further trial of the same point, which may stop again."""
    study = optuna.create_study(directions=["minimize"])
    space = {"x": optuna.distributions.IntDistribution(0, 9)}
    for fidelity, value in ((0.1, 5.0), (0.5, 3.0)):
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.PRUNED,
                params={"x": 4},
                distributions=space,
                user_attrs={"partial": {"fidelity": fidelity, "values": [value]}},
            )
        )
    proposer = Proposer(space, np.ones(1), 0)
    (record,) = proposer.read(study.get_trials(), {}).stopped
    assert record.partial is not None
    assert record.partial[0] == 0.5
