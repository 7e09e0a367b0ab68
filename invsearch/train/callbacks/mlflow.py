"""MLflow: a training as a run of the tracking server that MLflow's own settings name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from invsearch.metrics import Metric
from invsearch.train.callbacks.callback import Callback, EpochRecord, Plan

__all__ = ["MLflow"]

_RUN = "mlflow-run"  # the file that has the run's id, for a training that goes on
_LONGEST = 500  # characters of a parameter that every tracking server takes


class MLflow(Callback):
    """Logs the configuration, a point an epoch and the final metrics; goes on in the same run.

    ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` say where, as for any use of MLflow.
    """

    def __init__(self) -> None:
        import mlflow

        self._mlflow: Any = mlflow
        self._open = False

    def on_start(self, plan: Plan) -> None:
        known = plan.folder / _RUN
        if known.is_file():
            self._mlflow.start_run(run_id=known.read_text(encoding="utf-8").strip())
        else:
            run = self._mlflow.start_run(run_name=plan.name)
            known.write_text(run.info.run_id + "\n", encoding="utf-8")
            self._mlflow.log_params(_parameters(plan.config))
        self._open = True

    def on_epoch(self, record: EpochRecord) -> None:
        self._mlflow.log_metrics(record.numbers(), step=record.step)

    def on_end(self, metrics: Mapping[str, Metric]) -> None:
        self._mlflow.log_metrics({f"final_{name}": one.value for name, one in metrics.items()})
        self._mlflow.end_run()
        self._open = False

    def close(self) -> None:
        if self._open:
            self._mlflow.end_run("FAILED")


def _parameters(config: Mapping[str, Any]) -> dict[str, str]:
    flat = {}
    for name, value in config.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        for key, one in inner.items():
            text = one if isinstance(one, str) else json.dumps(one)
            flat[f"{name}.{key}".strip(".")] = text[:_LONGEST]
    return flat
