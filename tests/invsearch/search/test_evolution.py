"""Regularised evolution breeds from what exceeds its bounds least."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution
from toy import write_space

from invsearch.search.strategies.evolution import EvolutionSampler
from invsearch.space import load_space_file


@pytest.mark.parametrize(
    ("excess", "parent"),
    [
        ([3.0, 2.0, 1.0, 4.0, 5.0, 0.0], 5),  # the one that keeps its bound, though it is the worst
        ([3.0, 2.0, 1.0, 4.0, 5.0, 2.0], 2),  # none does
        ([-1.0, -9.0, 0.0, -5.0, 0.0, -2.0], 0),  # all do: how well is nobody's concern
    ],
)
def test_the_parent_of_a_whole_tournament(tmp_path: Path, excess: list[float], parent: int) -> None:
    space = load_space_file(write_space(tmp_path)).space
    distributions: dict[str, BaseDistribution] = {
        one.name: one.distribution() for one in space.parameters
    }
    points = list(space.enumerate())[: len(excess)]
    study = optuna.create_study()
    for error, (point, over) in enumerate(zip(points, excess, strict=True)):
        study.add_trial(
            optuna.trial.create_trial(
                params=point.to_json(),
                distributions=distributions,
                value=float(error),
                constraints={"memory": over},
            )
        )
    for seed in range(10):
        sampler = EvolutionSampler(space, seed, tournament=len(points))
        child = sampler.sample_relative(study, study.trials[0], distributions)
        changed = [name for name, value in child.items() if points[parent][name] != value]
        assert len(changed) <= 1, "a child differs from its parent in one parameter"
