"""``python -m invsearch.bench.beliefs``: does the front of beliefs beat the front as observed?

Searches over a table whose whole truth is known observe it with noise of the size that seeds have
on the default space. Each run is then read twice: as it was observed, and as it is believed. Who
goes by it picks, for every budget of cost that a trial sets, the best network within it; the regret
is what that network's true error is above the least true error within that budget.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from invsearch.bench import nas_bench_macro
from invsearch.metrics import Direction, Metric
from invsearch.problem.kinds import problem_of
from invsearch.runs import Replicate, RunFolder, Trial, describe, front, hypervolume
from invsearch.runs.beliefs import Beliefs, believe
from invsearch.runs.files import dump_json, write_atomic
from invsearch.runs.front import non_dominated, oriented
from invsearch.runs.reliability import seed_values
from invsearch.runs.replicates import fold
from invsearch.search.executors.serial import run_serial
from invsearch.search.session import Session
from invsearch.space import load_space_file

__all__ = ["OUTPUT", "SETTINGS", "Read", "Setting", "main", "noisy", "read_runs", "summary"]

Array = NDArray[np.float64]

OUTPUT = Path("results/beliefs.json")
OBJECTIVES: Mapping[str, Direction] = {"error": "minimize", "flops": "minimize"}
RATIO = 0.57  # seeds' deviation over architectures': .016 / .028 on 14 px Fashion-MNIST, two seeds
_TWICE = 6  # trials with a second seed: search.early_replicates of spaces/rednet.yaml
_BINS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # of p_front, finer where it decides
_NORMAL = {"50": 0.67449, "95": 1.959964}  # standard deviations to the end of a central interval


@dataclass(frozen=True)
class Setting:
    """Searches that are compared.

    Attributes:
        name: What they are called.
        trials: Of each.
        strategy: By which they propose.
    """

    name: str
    trials: int
    strategy: str


SETTINGS = (  # the main job's budget, a longer search, and trials that no model has chosen
    Setting("32 trials", 32, "cost_aware"),
    Setting("100 trials", 100, "cost_aware"),
    Setting("32 trials at random", 32, "random"),
)


@cache
def noise() -> float:
    """The deviation of the noise, in points of error; that of architectures is by quartiles.

    A twelfth of the table are networks of almost no layers, which no search looks at twice and
    which would double their standard deviation.
    """
    low, high = np.percentile([100 - e["mean_acc"] for e in nas_bench_macro.table().values()],
                              [25, 75])  # fmt: skip
    return RATIO * float(high - low) / 1.349  # quartiles of the normal are 1.349 deviations apart


def noisy(values: Mapping[str, Any], context: Any) -> dict[str, float]:
    """The table's error with a seed's luck, and its costs: the evaluator of the searches."""
    found = nas_bench_macro.evaluate(values)
    luck = noise() * float(np.random.default_rng(context.seed).standard_normal())
    return {**found, "error": found["error"] + luck, "true_error": found["error"]}


@dataclass(frozen=True)
class Read:
    """One run, read one way.

    Attributes:
        regret: Mean over budgets, in points of error.
        share: Of the hypervolume of the trials' true front, by whom it picks for any budget.
        p_front: Of each member.
        truly: Whether each is on the trials' true front.
        inside: By level of interval, the share of trials whose true error is inside.
    """

    regret: float
    share: float
    p_front: tuple[float, ...]
    truly: tuple[bool, ...]
    inside: Mapping[str, float]


def read_runs(setting: Setting, seed: int) -> dict[str, Read]:
    """Search once and read the run as observed and as believed."""
    trials, replicates = _searched(setting, seed)
    folded = [fold(t, [r for r in replicates if r.number == t.number]) for t in trials]
    beliefs = believe(folded, OBJECTIVES, seed_values(trials, replicates))
    return {"observed": _read(folded, None), "believed": _read(folded, beliefs)}


def _searched(setting: Setting, seed: int) -> tuple[list[Trial], list[Replicate]]:
    """A run's trials, said to be trained, and second seeds of the first of them."""
    overrides = [
        f"evaluator={__spec__.name if __spec__ else __name__}:noisy",
        f"search.strategy={setting.strategy}",
        f"search.seed={seed}",
    ]
    problem = problem_of(load_space_file("nas-bench-macro", overrides))
    with tempfile.TemporaryDirectory() as folder:
        session = Session(
            problem, RunFolder(Path(folder)), environment="", trials=setting.trials, capacity=1
        )
        run_serial(session)
        session.close()
    trials = [_trained(trial) for trial in session.trials if trial.state == "complete"]
    rng = np.random.default_rng([seed, setting.trials])
    return trials, [
        Replicate(t.number, 1, {"error": _again(t.metrics, rng)}) for t in trials[:_TWICE]
    ]


def _trained(trial: Trial) -> Trial:
    """Every value with the interval that its noise has, which a run cannot know so well."""
    value, half = trial.metrics["error"].value, _NORMAL["95"] * noise()
    return trial.with_metrics(
        {"error": Metric("error", value, "trained", value - half, value + half)}
    )


def _again(metrics: Mapping[str, Metric], rng: np.random.Generator) -> Metric:
    value = metrics["true_error"].value + noise() * float(rng.standard_normal())
    half = _NORMAL["95"] * noise()
    return replace(metrics["error"], value=value, low=value - half, high=value + half)


def _read(trials: Sequence[Trial], beliefs: Beliefs | None) -> Read:
    true = np.array([trial.metrics["true_error"].value for trial in trials])
    cost = np.array([trial.metrics["flops"].value for trial in trials])
    seen = (
        oriented(trials, OBJECTIVES)[:, 0]
        if beliefs is None
        else beliefs.cloud(trials).centre[:, 0]
    )
    members = front(trials, OBJECTIVES, beliefs=beliefs)
    on = dict(
        zip((t.number for t in trials), non_dominated(np.stack([true, cost], 1)), strict=True)
    )
    return Read(
        *_picking(seen, true, cost),
        tuple(member.p_front for member in members),
        tuple(bool(on[member.trial.number]) for member in members),
        _inside(trials, beliefs, true),
    )


def _picking(seen: Array, true: Array, cost: Array) -> tuple[float, float]:
    """The regret of who picks by ``seen`` within every budget, and the share of the volume."""
    chosen = [
        within[np.argmin(seen[within])] for within in map(np.flatnonzero, cost <= cost[:, None])
    ]
    least = [true[cost <= budget].min() for budget in cost]
    points = np.stack([true, np.log(cost)], axis=1)
    worst = points.max(axis=0)
    share = hypervolume(points[chosen], worst) / hypervolume(points, worst)
    return float(np.mean(true[chosen] - least)), share


def _inside(trials: Sequence[Trial], beliefs: Beliefs | None, true: Array) -> dict[str, float]:
    found = {}
    for level, deviations in _NORMAL.items():
        if beliefs is None:
            metrics = [trial.metrics["error"] for trial in trials]
            ends = [
                (m.value - deviations * m.sigma, m.value + deviations * m.sigma) for m in metrics
            ]
            low, high = np.array(ends).T
        else:
            low, high = (end[:, 0] for end in beliefs.cloud(trials).ends(deviations))
        found[level] = float(np.mean((low <= true) & (true <= high)))
    return found


def summary(reads: Sequence[Mapping[str, Read]]) -> dict[str, Any]:
    """Means over seeds, and the difference between the two ways with its 95 % interval."""
    found: dict[str, Any] = {way: _mean([read[way] for read in reads]) for way in reads[0]}
    for name in ("regret", "share"):
        gains = [getattr(r["believed"], name) - getattr(r["observed"], name) for r in reads]
        mean, half = (
            float(np.mean(gains)),
            _NORMAL["95"] * float(np.std(gains, ddof=1)) / len(gains) ** 0.5,
        )
        found[f"{name}_difference"] = {"value": mean, "low": mean - half, "high": mean + half}
    return found


def _mean(reads: Sequence[Read]) -> dict[str, Any]:
    chances = np.concatenate([read.p_front for read in reads])
    truly = np.concatenate([read.truly for read in reads])
    return {
        "regret": float(np.mean([read.regret for read in reads])),
        "share": float(np.mean([read.share for read in reads])),
        "coverage": {level: float(np.mean([r.inside[level] for r in reads])) for level in _NORMAL},
        "members": len(chances),
        "brier": float(np.mean((chances - truly) ** 2)),
        "solid_truly_on_the_front": _share(truly[chances >= 0.5]),
        "hollow_truly_on_the_front": _share(truly[chances < 0.5]),
        "calibration": [_bin(chances, truly, *ends) for ends in itertools.pairwise(_BINS)],
    }


def _bin(chances: Array, truly: NDArray[np.bool_], low: float, high: float) -> dict[str, Any]:
    there = (chances >= low) & ((chances < high) | (high == 1))
    mean = float(chances[there].mean()) if there.any() else None
    return {
        "from": low,
        "to": high,
        "n": int(there.sum()),
        "p_front": mean,
        "truly": _share(truly[there]),
    }


def _share(truly: NDArray[np.bool_]) -> float | None:
    return float(truly.mean()) if len(truly) else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, write the file, and tell whether believing was better everywhere."""
    parser = argparse.ArgumentParser(prog="python -m invsearch.bench.beliefs", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="searches of each setting")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    began, settings = time.process_time(), []
    for setting in SETTINGS:
        found = summary([read_runs(setting, seed) for seed in range(options.seeds)])
        settings.append({"setting": setting.name, "trials": setting.trials, **found})
        print(_line(setting, found), file=sys.stderr)
    document = {
        "kind": "beliefs",
        "command": ["python", "-m", "invsearch.bench.beliefs", "--seeds", str(options.seeds)],
        "environment": describe(),
        "cpu_seconds": time.process_time() - began,
        "seeds": options.seeds,
        "noise_points": noise(),
        "settings": settings,
    }
    write_atomic(options.output, dump_json(document, indent=1) + "\n")
    print(json.dumps({"written": os.fspath(options.output)}))
    return int(any(one["regret_difference"]["high"] >= 0 for one in settings))


def _line(setting: Setting, found: Mapping[str, Any]) -> str:
    old, new, gain = found["observed"], found["believed"], found["regret_difference"]
    return (
        f"{setting.name}: regret {old['regret']:.3f} observed, {new['regret']:.3f} believed"
        f" ({gain['value']:+.3f}, {gain['low']:+.3f} to {gain['high']:+.3f}); hypervolume"
        f" {old['share']:.4f}, {new['share']:.4f};"
        f" intervals of 50 and 95 % hold {new['coverage']['50']:.2f}, {new['coverage']['95']:.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
