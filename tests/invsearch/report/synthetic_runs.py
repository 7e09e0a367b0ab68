"""Synthetic runs, written through RunFolder, that look like what a search leaves."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from invsearch.metrics import Fidelity, Metric, Source
from invsearch.paper import networks
from invsearch.report import PaperPoint
from invsearch.runs import RunFolder, Trial
from invsearch.space.architecture import Architecture, Value

Writer = Callable[..., Path]
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ENVIRONMENT = {
    "id": "4f2a9c01be77",
    "python": "3.11.9",
    "machine": {"cpu": "Example CPU 2.6 GHz", "cores": 2, "threads": 1},
    "versions": {"invsearch": "0.1.0", "torch": "2.13.0", "optuna": "5.0.0"},
    "commit": "0123456789abcdef",
    "command": ["run", "spaces/rednet.yaml", "--trials", "28", "--seed", "3", "--out", "results/r"],
}
SPACE = """\
name: {name}
objectives: {{{objectives}}}
constraints: {{macs: {{max: 6G}}}}
model: {{family: rednet, resolution: 224, num_classes: 1000}}
space:
  depth: {{choice: [26, 38, 50]}}
  width: {{choice: [0.5, 0.75, 1.0]}}
  stage:
    operator: {{choice: [involution, convolution]}}
    kernel_size: {{choice: [3, 5, 7]}}
accuracy: {{dataset: digits, epochs: 6}}
search: {{strategy: nsga2, trials: 32, seed: 0}}
"""


def _architecture(rng: random.Random) -> Architecture:
    depths: list[Value] = [26, 38, 50]
    items: list[tuple[str, Value]] = [("depth", rng.choice(depths))]
    items.append(("width", rng.choice([0.5, 0.75, 1.0])))
    for stage in range(1, 5):
        items.append((f"stage{stage}.operator", rng.choice(["involution", "convolution"])))
        items.append((f"stage{stage}.kernel_size", rng.choice([3, 5, 7])))
    return Architecture(tuple(items))


def _metrics(rng: random.Random, state: str, source: Source) -> dict[str, Metric]:
    size = rng.uniform(0.1, 1.0)
    macs, params = 0.3e9 * 18**size, 2e6 * 15**size
    found = {
        "macs": Metric("macs", round(macs), "counted", detail={"convention": "fvcore"}),
        "params": Metric("params", round(params), "counted"),
    }
    if state in ("failed", "infeasible"):
        return found
    loss = 0.28 - 0.16 * math.sqrt(size) + rng.gauss(0, 0.03) + (state == "stopped") * 0.4
    spent = Fidelity(2 if state == "stopped" else 6, 6, 8, width=0.25, dataset="digits")
    error = 3 + 20 * loss
    ms = 4 + 30 * size**2 + rng.gauss(0, 0.5)
    found["val_loss"] = Metric("val_loss", loss, source, loss - 0.02, loss + 0.02, spent)
    found["error"] = Metric("error", error, source, error - 1.4, error + 1.5, spent)
    found["top1"] = Metric("top1", 100 - error, source, 98.5 - error, 101.4 - error, spent)
    found["latency_ms"] = Metric("latency_ms", ms, "measured", ms * 0.99, ms * 1.02)
    return found


_LINE = {
    "row": "RedNet-50", "quantity": "macs_g", "unit": "MACs (G)", "published": 2.71,
    "reproduced": 2.713, "difference_percent": 0.12, "tolerance_percent": 0.1, "verdict": "equal",
    "status": "published", "known": "", "fvcore": 2.697,
}  # fmt: skip
PAPER: dict[str, Any] = {
    "tables": [
        {"name": "classification", "lines": [_LINE, {**_LINE, "verdict": "differs"}]},
        {"name": "detection", "lines": [{**_LINE, "verdict": "differs", "known": "cause unknown"}]},
    ],
    "figures": [
        {
            "title": "Published accuracy against MACs",
            "x_label": "MACs (G)",
            "y_label": "top-1 (%)",
            "series": [
                {
                    "name": name,
                    "family": name.lower(),
                    "source": "published",
                    "points": [{"label": f"{name}-50", "x": 2.7, "y": 78.4, "status": "published"}],
                }
                for name in ("RedNet", "ResNet", "SAN pairwise")
            ],
        }
    ],
}
"""What ``invsearch.paper.section`` gives, in little."""

REASONS = {
    "failed": "training loss is nan at epoch 2, step 7",
    "infeasible": "stage 3: group_channels 32 divides none of 48 channels",
    "complete": None,
    "stopped": None,
}


def make_trials(count: int, *, seed: int = 0, source: Source = "trained") -> list[Trial]:
    """Return trials in every state, five of them baselines."""
    rng = random.Random(seed)
    trials = []
    for number in range(count):
        state = {9: "infeasible", 12: "failed"}.get(number % 20, "complete")
        state = "stopped" if number % 7 == 6 else state
        start = START + timedelta(seconds=11 * number)
        fields: dict[str, Any] = {"state": state}
        trials.append(
            Trial(
                number=number,
                architecture=_architecture(rng),
                metrics=_metrics(rng, state, source),
                origin="baseline" if number < 5 else "sampler",
                seed=1000 + number,
                started=start.isoformat(),
                finished=(start + timedelta(seconds=9)).isoformat(),
                environment="4f2a9c01be77",
                error=REASONS[state],
                **fields,
            )
        )
    return trials


def write_run(
    path: Path, trials: list[Trial], objectives: str, *, name: str = "RedNet, digits"
) -> Path:
    """Write a run folder as a search would."""
    folder = RunFolder(path)
    folder.create(SPACE.format(name=name, objectives=objectives), None, ENVIRONMENT)
    for trial in trials:
        folder.append_trials([trial])
    return path


def make_paper() -> list[PaperPoint]:
    """Return the paper's points with the published costs, as if counted."""
    return [
        PaperPoint(network, network.params_m * 1e6, network.macs_g * 1e9, "fvcore")
        for network in networks()
    ]
