"""A run's data for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invsearch.runs import RunData, Trial, load_run
from invsearch.runs.files import dump_json
from invsearch.runs.outputs import write_checked

__all__ = ["write_csv", "write_json"]


def write_csv(run_paths: Sequence[str | Path], output: Path) -> Path:
    """Write every trial of the runs as one table; a first column ``run`` where there are several.

    Raises:
        InputError: If a run does not exist or is damaged, or the file cannot be written.
    """
    import pandas as pd

    frames = []
    for path in run_paths:
        run = load_run(path)
        frame = run.frame()
        if len(run_paths) > 1:
            frame.insert(0, "run", run.path.name)
        frames.append(frame)
    whole = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return _write(output, whole.to_csv(index=False, lineterminator="\n"))


def write_json(run_paths: Sequence[str | Path], output: Path) -> Path:
    """Write the runs as ``{"runs": [...]}``: what was searched, the trials, the front.

    Raises:
        InputError: As :func:`write_csv`.
    """
    data = {"schema": 1, "runs": [_plain(load_run(path)) for path in run_paths]}
    return _write(output, dump_json(data, indent=1) + "\n")


def _plain(run: RunData) -> dict[str, Any]:
    return {
        "name": run.name,
        "path": str(run.path),
        "objectives": dict(run.objectives),
        "constraints": {name: dict(bounds) for name, bounds in run.constraints.items()},
        "environment": dict(run.environment),
        "notices": list(run.notices),
        "trials": [_trial(run, trial) for trial in run.trials],
        "front": [
            {"trial": member.trial.number, "p_front": member.p_front} for member in run.members
        ],
        "hypervolume": [{"trial": number, "share": share} for number, share in run.hypervolume],
    }


def _trial(run: RunData, trial: Trial) -> dict[str, Any]:
    """A trial as it is logged, with what is believed of its objectives where they are noisy."""
    believed = run.believed(trial.number)
    return {**trial.to_json(), **({"beliefs": believed} if believed else {})}


def _write(output: Path, text: str) -> Path:
    write_checked(output, text)
    return output
