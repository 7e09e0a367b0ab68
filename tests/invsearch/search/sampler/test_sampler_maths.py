"""The mathematics under the sampler against brute force and sampling."""

from __future__ import annotations

import numpy as np
import pytest

from invsearch.search.sampler.acquisition import Acquisition, undominated_region
from invsearch.search.sampler.boxes import UndominatedBoxes, hypervolume, non_dominated
from invsearch.search.sampler.counted import best_first
from invsearch.search.sampler.ehvi import Marginal, expected_gain
from invsearch.surrogate.kernel import Features, Hyperparameters
from invsearch.surrogate.surrogate import Surrogate


def front(objectives: int, n: int, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).random((n, objectives))
    return points[non_dominated(points)]


def covered(points: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return np.any([np.all(samples >= p, axis=1) for p in points], axis=0)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_boxes_partition_what_the_front_leaves(objectives: int) -> None:
    """Every undominated point lies in exactly one box, every dominated one in none."""
    members = front(objectives, 40)
    samples = np.random.default_rng(1).random((2000, objectives))
    boxes = UndominatedBoxes(np.ones(objectives), members)
    inside = [np.all((samples >= lo) & (samples < up), axis=1)
              for lo, up in zip(boxes.lower, boxes.upper, strict=True)]  # fmt: skip
    assert np.array_equal(np.sum(inside, axis=0), (~covered(members, samples)).astype(int))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_gain_is_the_difference_of_hypervolumes(objectives: int) -> None:
    members, reference = front(objectives, 30), np.ones(objectives)
    new = np.random.default_rng(2).random((20, objectives))
    before = hypervolume(members, reference)
    gains = [hypervolume(np.vstack([members, p]), reference) - before for p in new]
    np.testing.assert_allclose(UndominatedBoxes(reference, members).gain(new), gains, atol=1e-12)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_fewer_boxes_bound_the_gain_from_above(objectives: int) -> None:
    """A region of few boxes contains the exact one: no candidate looks worse than it is."""
    members, reference = front(objectives, 200), np.ones(objectives)
    exact, coarse = (
        UndominatedBoxes(reference, members),
        UndominatedBoxes(reference, members).coarse(4),
    )
    new = np.random.default_rng(2).random((50, objectives))
    assert len(coarse) < len(exact)
    assert np.all(coarse.gain(new) >= exact.gain(new) - 1e-12)


def test_hypervolume_of_known_shapes() -> None:
    assert hypervolume(np.array([[0.25, 0.5]]), np.ones(2)) == pytest.approx(0.375)
    assert hypervolume(np.array([[0.5] * 4, [0.25, 1, 1, 1]]), np.ones(4)) == pytest.approx(1 / 16)
    assert hypervolume(np.array([[2.0, 0.5]]), np.ones(2)) == 0.0


def test_non_dominated_against_brute_force() -> None:
    points = np.random.default_rng(0).integers(0, 5, (60, 3)).astype(float)
    keep = points[non_dominated(points)]
    brute = {tuple(p) for p in points if not any(np.all(q <= p) and np.any(q < p) for q in points)}
    assert {tuple(p) for p in keep} == brute
    assert len(keep) == len(brute)


@pytest.mark.parametrize(("objectives", "known"), [(1, ()), (2, (1,)), (2, ()), (3, (0, 2)),
                                                   (3, (1,)), (4, (1, 2, 3)), (4, ())])  # fmt: skip
def test_expected_gain_against_sampling(objectives: int, known: tuple[int, ...]) -> None:
    """Closed form = the mean exact gain over draws, for every mixture of known and predicted."""
    rng = np.random.default_rng(3)
    boxes = UndominatedBoxes(np.ones(objectives), front(objectives, 15))
    mean, sd = rng.random((4, objectives)), 0.2 + 0.2 * rng.random((4, objectives))
    costs = {m: mean[:, m] for m in known}
    predicted = {m: Marginal(mean[:, m], sd[:, m]) for m in range(objectives) if m not in known}
    closed = expected_gain(boxes, costs, predicted)
    for i in range(4):
        draws = mean[i] + sd[i] * rng.standard_normal((20_000, objectives))
        draws[:, list(known)] = mean[i, list(known)]
        gains = boxes.gain(draws)
        assert abs(closed[i] - gains.mean()) < 5 * gains.std() / np.sqrt(len(gains)) + 1e-12


def test_tiny_improvements_keep_their_order() -> None:
    """30 deviations below the mean the expectation is still positive and increasing."""
    found = Marginal(np.zeros(1), np.ones(1)).improvement(np.array([-30.0, -29.0, -5.0, 0.0, 50]))
    assert np.all(found > 0)
    assert np.all(np.diff(found[0]) > 0)
    assert found[0, 3] == pytest.approx(1 / np.sqrt(2 * np.pi))
    assert found[0, 4] == pytest.approx(50.0)


def features(n: int, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    choices = rng.integers(0, 3, (n, 4))
    columns = np.concatenate([np.eye(3)[choices[:, j]] for j in range(4)], axis=1) * np.sqrt(0.5)
    return Features(columns, rng.standard_normal((n, 1)), np.repeat(np.arange(4), 3))


@pytest.mark.parametrize("unknown", [1, 2])
def test_staged_scores_find_the_best_candidate(unknown: int) -> None:
    """Of many candidates few get exact scores, and the best of all is among them."""
    x, at = features(250), features(4000, seed=3)
    rng = np.random.default_rng(0)
    effects = rng.standard_normal((12, 2))
    y = np.exp(0.3 * (x.columns @ effects) + 0.1 * rng.standard_normal((250, 2)))
    start = Hyperparameters.prior(x)
    models = {
        m: Surrogate(x, y[:, m], np.zeros(250), offset=0.0, start=start, iterations=0)
        for m in range(unknown)
    }
    incumbents = {m: models[m].estimates() if m in models else x.linear[:, 0] for m in range(2)}
    reference = np.array([values.max() for values in incumbents.values()])
    acquisition = Acquisition(undominated_region(incumbents, reference), models, at[:0], limits=[])
    known = dict.fromkeys(range(unknown, 2), at.linear[:, 0])
    raw = {m: Marginal(*model.process.predict(at)) for m, model in models.items()}
    exact = expected_gain(acquisition.boxes, known, raw)
    scores = acquisition.scores(at, known)
    assert (scores >= 0).sum() < 300
    assert np.argmax(scores) == np.argmax(exact)
    assert scores.max() == pytest.approx(exact.max())


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_best_first_is_greedy(objectives: int) -> None:
    """Each point adds at least as much hypervolume as any other would."""
    values = np.random.default_rng(0).random((40, objectives))
    order = list(best_first(values, np.empty((0, objectives))))
    assert sorted(order) == list(range(40))
    reference = values.max(axis=0) + 1e-3 * np.ptp(values, axis=0)
    for k in range(1, 6):
        boxes = UndominatedBoxes(reference, values[order[:k]])
        gains = boxes.gain(values)
        assert gains[order[k]] == pytest.approx(gains.max())
