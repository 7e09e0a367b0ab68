"""The suite that every strategy passes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase

from invsearch.plugins import STRATEGIES
from invsearch.search.strategies import Strategy
from invsearch.space.architecture import Architecture
from invsearch.testing.curves import Curves
from invsearch.testing.problems import CONTINUOUS, FINITE, landscape, searched, told

__all__ = ["StrategyConformance"]

_CUTS = 12  # each is a search of a third of a second
_DIRECTIONS = [
    {"error": "minimize"},
    {"reach": "maximize"},
    {"error": "minimize", "reach": "maximize"},
    {"error": "minimize", "size": "minimize", "waste": "minimize"},
    {"error": "minimize", "size": "maximize", "waste": "minimize", "reach": "maximize"},
]


class StrategyConformance(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """What a search asks of its strategy, and Optuna's own cases for samplers.

    Inherit it, in a class whose name starts with ``Test``, and name the strategy::

        class TestHill(StrategyConformance):
            strategy = "hill"
    """

    strategy = ""

    @pytest.fixture(autouse=True)
    def _unsynced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Do not wait for the disk: what is cut here is cut by hand."""
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    @pytest.fixture
    def sampler(self, tmp_path: Path) -> Callable[[], BaseSampler]:
        """What Optuna's cases test: the sampler of a problem, in a study of other parameters."""
        samplers = self._row().samplers(landscape(tmp_path, params=CONTINUOUS, counted=False))

        def make() -> BaseSampler:
            with warnings.catch_warnings():  # of Optuna's, chosen knowingly: a search ignores them
                warnings.simplefilter("ignore", ExperimentalWarning)
                return samplers(0)

        return make

    def test_it_is_the_row_of_its_name(self) -> None:
        """The name is one that a space file may have, and no other's."""
        assert self.strategy in STRATEGIES
        assert isinstance(self._row(), Strategy)

    @pytest.mark.parametrize("capacity", [1, 3])
    def test_equal_seeds_are_equal_searches(self, tmp_path: Path, capacity: int) -> None:
        """Also where several trials are asked before one is told."""
        found = [self._search(tmp_path, name, 12, capacity=capacity) for name in ("one", "two")]
        assert found[0] == found[1]
        assert len(found[0]) == 12

    def test_another_seed_is_another_search(self, tmp_path: Path) -> None:
        """Unless every architecture is taken in turn."""
        found = [self._search(tmp_path, str(seed), 12, seed=seed) for seed in (0, 1)]
        same = [trial.architecture for trial in found[0]] == [t.architecture for t in found[1]]
        assert same == self._row().enumerates

    def test_a_kill_at_any_record_changes_nothing(self, tmp_path: Path) -> None:
        """A journal cut after any record, or within one, goes on to the same end."""

        def finished(folder: Path) -> list[Any]:
            problem = Curves(tmp_path, limit=16.0, rungs=(1, 3), strategy=self.strategy)
            return told(searched(problem, folder, 10, capacity=3))

        whole = finished(tmp_path / "whole")
        assert "stopped" in {trial.state for trial in whole}
        journal = (tmp_path / "whole" / "study.journal").read_bytes().splitlines(keepends=True)
        for cut in range(3, len(journal), len(journal) // _CUTS | 1):  # odd: all kinds of records
            folder = tmp_path / f"cut{cut}"
            folder.mkdir()
            torn = journal[cut][: cut % 2 * 20]
            (folder / "study.journal").write_bytes(b"".join([*journal[:cut], torn]))
            assert finished(folder) == whole, f"cut after {cut} records"

    def test_a_larger_budget_goes_on_as_one_search_would(self, tmp_path: Path) -> None:
        """What comes next depends on what is in the study, not on how often it was opened."""
        problem = landscape(tmp_path, strategy=self.strategy)
        searched(problem, tmp_path / "split", 6)
        split = told(searched(problem, tmp_path / "split", 12))
        assert split == told(searched(problem, tmp_path / "whole", 12))

    @pytest.mark.parametrize("counted", [True, False])
    def test_every_architecture_is_found_once(self, tmp_path: Path, counted: bool) -> None:
        """Nothing is evaluated twice, and a search of a whole space ends with all of it."""
        problem = landscape(tmp_path, strategy=self.strategy, counted=counted)
        everything = {one.key for one in problem.space.enumerate()}
        trials = searched(problem, tmp_path / "run", 2 * len(everything))
        found = [trial.architecture.key for trial in trials]
        assert len(found) == len(set(found))
        assert set(found) == everything
        assert {trial.state for trial in trials} == {"complete"}

    @pytest.mark.parametrize("objectives", _DIRECTIONS, ids=lambda each: "-".join(each))
    def test_one_to_four_objectives(self, tmp_path: Path, objectives: dict[str, str]) -> None:
        """Both directions, with a continuous parameter where the strategy has use for one."""
        params = FINITE if self._row().enumerates else CONTINUOUS
        problem = landscape(tmp_path, params=params, objectives=objectives, strategy=self.strategy)
        trials = searched(problem, tmp_path / "run", 14)
        assert {trial.state for trial in trials} == {"complete"}
        for trial in trials:
            assert trial.architecture in problem.space
            assert problem.space.problem(trial.architecture) is None

    def test_what_breaks_a_bound_is_not_evaluated(self, tmp_path: Path) -> None:
        """A size above the bound is known beforehand; all that keeps it is found."""
        problem = landscape(tmp_path, strategy=self.strategy, limit=30.0)
        trials = searched(problem, tmp_path / "run", 100)
        complete = {t.architecture.key for t in trials if t.state == "complete"}
        sizes = {one.key: problem.known(one)["size"].value for one in problem.space.enumerate()}
        assert complete == {key for key, size in sizes.items() if size <= 30}
        assert {t.state for t in trials} <= {"complete", "infeasible"}
        assert all("error" not in t.metrics for t in trials if t.state == "infeasible")

    def test_a_search_survives_its_failures(self, tmp_path: Path) -> None:
        """Two thirds of the evaluations raise, run out of memory or give no number."""
        problem = landscape(tmp_path, evaluator="troubled", counted=False, strategy=self.strategy)
        trials = searched(problem, tmp_path / "run", 100)
        assert len(trials) == problem.space.size()
        assert {t.architecture["depth"] for t in trials if t.state == "complete"} == {5, 6}
        assert all(t.error for t in trials if t.state == "failed")

    def test_where_trials_fail_it_seldom_goes_again(self, tmp_path: Path) -> None:
        """Half of the space fails: at most a quarter of the second half of the trials."""
        if self._row().enumerates:
            pytest.skip("it takes every architecture in turn")
        problem = landscape(
            tmp_path, params=CONTINUOUS, evaluator="cornered", strategy=self.strategy
        )
        trials = searched(problem, tmp_path / "run", 40)
        assert sum(trial.state == "failed" for trial in trials[20:]) <= 5

    def test_baselines_come_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is enqueued is evaluated as it is, before anything of the strategy's own."""
        problem = landscape(tmp_path, strategy=self.strategy)
        wanted = problem.space.canonical({"op": "inv", "groups": 8, "depth": 4})
        baselines: dict[str, Architecture] = {"reference": wanted}
        monkeypatch.setattr(problem, "baselines", lambda: baselines)
        trials = searched(problem, tmp_path / "run", 8)
        assert trials[0].architecture == wanted
        assert [trial.origin for trial in trials] == ["baseline", *["sampler"] * 7]

    def _row(self) -> Strategy:
        return STRATEGIES.get(self.strategy, Strategy)

    def _search(
        self, folder: Path, name: str, trials: int, *, capacity: int = 2, **search: Any
    ) -> list[Any]:
        problem = landscape(folder, strategy=self.strategy, **search)
        return told(searched(problem, folder / name, trials, capacity=capacity))
