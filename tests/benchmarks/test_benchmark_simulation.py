"""Wall-clock of a real search against the simulator's: within 15 % of one another.

The evaluator sleeps, so that what is left is the search's own time. Alone::

    python -m pytest tests/benchmarks/test_benchmark_simulation.py --benchmark-only
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from toy import invsearch, passed, trial_lines, write_space

SLEEP_S = 1.0  # ten times what the driver needs for a trial on a busy machine


@pytest.mark.parametrize(("executor", "workers"), [("serial", 1), ("ray", 4)])
def test_wall_clock(benchmark: Any, tmp_path: Path, executor: str, workers: int) -> None:
    search = f"{{trials: 16, seed: 1, parallel: {workers}}}"
    space = write_space(tmp_path, search=search, costs="toy_evaluator:costs")
    run = ("run", space, "--executor", executor)
    environment = {"TOY_SECONDS": str(SLEEP_S), "HOME": str(tmp_path)}
    benchmark.pedantic(lambda: passed(invsearch(tmp_path, *run, **environment)), rounds=1)
    trials = trial_lines(tmp_path / "results" / "toy")
    ends = [[datetime.fromisoformat(trial[end]) for trial in trials] for end in KEYS]
    real_s = (max(ends[1]) - min(ends[0])).total_seconds()
    again = ("simulate", "results/toy", "--workers", workers, "--seeds", 1, "--json")
    (row,) = json.loads(passed(invsearch(tmp_path, *again)).stdout)["rows"]
    benchmark.extra_info |= {"real_s": real_s, "simulated_s": row["wall_clock_s"]}
    assert row["wall_clock_s"] == pytest.approx(real_s, rel=0.15)


KEYS = ("started", "finished")
