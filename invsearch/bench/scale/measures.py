"""What is measured, with the limit of each figure."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Row", "asking", "on_ray", "the_page", "writing"]

_PARAMETERS = 23  # of a RedNet space
_WINDOW = 100  # trials that a figure is the mean of
_RAY_TRIALS = 150  # of a tenth of a second's CPU together: beside them a clock's tick is nothing
_LAUNCHES = 30  # trials on Ray before its workers are there

_RUN = """
import json, os, sys
from pathlib import Path
from rich.console import Console
from invsearch.bench.scale import evaluator
from invsearch.search.run import RunOptions, run_search
from invsearch.space import load_space_file
evaluator.count_syncs()
space, out, executor = sys.argv[1:]
options = RunOptions(out=Path(out), executor=executor)
with open(os.devnull, "w") as nowhere:
    run_search(load_space_file(Path(space)), options, Console(file=nowhere))
print(json.dumps([vars(mark) for mark in evaluator.MARKS]))
"""


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: What it is, its unit at the end.
        value: What was measured; None where the machine cannot measure it.
        limit: The most it may be; None where it has none.
    """

    name: str
    value: float | None
    limit: float | None = None

    @property
    def kept(self) -> bool | None:
        """Whether it keeps its limit; None where nothing can be said."""
        if self.value is None or self.limit is None:
            return None
        return self.value <= self.limit

    def __str__(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:.4g}"
        return f"{self.name}: {value}" + (f" (at most {self.limit:g})" if self.limit else "")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "kept": self.kept}


def writing(trials: int, folder: Path) -> Iterator[Row]:
    """Waits for the disk, CPU and memory of a trial in a run in one process."""
    for parameters in (3, 30):
        marks = _run(folder / f"few{parameters}", 60, parameters)
        yield Row(f"fsyncs a trial, {parameters} parameters", _each(marks, "syncs", 10, 60), 2)
    marks = _run(folder / "long", trials, _PARAMETERS)
    yield Row("CPU a trial at trial 100, ms", 1e3 * _each(marks, "cpu_s", 50, 150), 3)
    late = 1e3 * _each(marks, "cpu_s", trials - 10 * _WINDOW, trials)
    yield Row(f"CPU a trial at trial {trials:,}, ms", late, 6)
    yield Row("memory a trial, KiB", _each(marks, "memory_kib", 1000, trials), 20)


def asking(trials: int, folder: Path) -> Iterator[Row]:
    """CPU of a ``cost_aware`` proposal after many trials."""
    for count, limit in ((300, None), (2_000, 130), (trials, 400)):
        yield Row(f"CPU of a cost_aware ask at {count:,} trials, ms", _ask_ms(count), limit)


def on_ray(trials: int, folder: Path) -> Iterator[Row]:
    """CPU that the driver needs for a trial on Ray, one worker at a time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = []
    for count in (_LAUNCHES, _LAUNCHES + _RAY_TRIALS):
        out = folder / f"ray{count}"
        _run(out, count, _PARAMETERS, executor="ray")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        before = after
    yield Row("CPU a trial on Ray, ms", 1e3 * (seconds[1] - seconds[0]) / _RAY_TRIALS, 40)


def the_page(trials: int, folder: Path) -> Iterator[Row]:
    """The page of the long run: its making, its size, and how long it takes to open."""
    page = folder / "page.html"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-m", "invsearch", "report", str(folder / "long"), "-o", str(page)]
    subprocess.run(command, check=True, capture_output=True, env=_environment())
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    yield Row(f"CPU to write the page of {trials:,} trials, s", used)
    yield Row("size of the page, MB", page.stat().st_size / 1e6)
    yield Row("the page opens in, s", _opening_s(page), 5)


def _run(out: Path, trials: int, parameters: int, executor: str = "serial") -> list[dict[str, Any]]:
    """A random search in a process of its own; where it stood at each evaluation."""
    space = out.with_suffix(".yaml")
    document = {
        "name": "scale",
        "objectives": {"error": "minimize", "size": "minimize"},
        "params": {f"p{place}": {"choice": [1, 2, 3, 4]} for place in range(parameters)},
        "evaluator": "invsearch.bench.scale.evaluator:evaluate",
        "search": {"strategy": "random", "trials": trials, "parallel": 1},
    }
    space.write_text(json.dumps(document))  # JSON is YAML
    command = [sys.executable, "-c", _RUN, str(space), str(out), executor]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=_environment())
    marks: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return marks


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def _each(marks: list[dict[str, Any]], name: str, begin: int, end: int) -> float:
    last = min(end, len(marks)) - 1
    begin = min(begin, last - 1)
    return float(marks[last][name] - marks[begin][name]) / (last - begin)


def _ask_ms(count: int) -> float:
    """Mean CPU of three proposals of a space of 20 parameters, one objective known beforehand."""
    import numpy as np
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution
    from optuna.trial import create_trial

    from invsearch.search.sampler import CostAwareSampler

    choice = CategoricalDistribution((0, 1, 2, 3))
    space: dict[str, BaseDistribution] = {f"p{place}": choice for place in range(20)}
    effects = np.random.default_rng(0).standard_normal((20, 4))
    rng = np.random.default_rng(1)

    def values(params: dict[str, Any]) -> list[float]:
        total = sum(float(effects[place, level]) for place, level in enumerate(params.values()))
        return [5.0 + 20.0 * float(np.exp(-0.25 * total)), 1.0 + sum(params.values())]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = CostAwareSampler(space, costs=lambda p: {1: 1.0 + sum(p.values())}, seed=0)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    drawn = [{name: int(rng.integers(4)) for name in space} for _ in range(count)]
    study.add_trials(
        create_trial(params=params, distributions=space, values=values(params)) for params in drawn
    )
    study.tell(study.ask(space), [50.0, 50.0])  # the first reads the study and fits from nothing
    begun = time.process_time()
    for _ in range(3):
        asked = study.ask(space)
        study.tell(asked, values(asked.params))
    return 1e3 * (time.process_time() - begun) / 3


def _opening_s(page: Path) -> float | None:
    """Until the page's script is done, in a headless Chromium; the best of three."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    seconds = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(3):
            tab, begun = browser.new_page(), time.perf_counter()
            tab.goto(page.as_uri())
            tab.wait_for_selector("html[data-ready]")
            seconds.append(time.perf_counter() - begun)
        browser.close()
    return min(seconds)
