"""MLflow: a search as a run of the tracking server that MLflow's own settings name."""

from __future__ import annotations

from typing import Any

from invsearch.runs.trial import Trial
from invsearch.search.callbacks.callback import SearchCallback, SearchPlan, numbers_of

__all__ = ["MLflow"]

_RUN = "mlflow-run"  # the file that has the run's id, for a search that goes on


class MLflow(SearchCallback):
    """Logs each trial as a run nested in the search's, with its parameters, metrics and sources.

    ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` say where, as for any use of MLflow.
    """

    def __init__(self) -> None:
        import mlflow

        self._mlflow: Any = mlflow
        self._open = False

    def on_start(self, plan: SearchPlan) -> None:
        known = plan.folder / _RUN
        if known.is_file():
            self._mlflow.start_run(run_id=known.read_text(encoding="utf-8").strip())
        else:
            run = self._mlflow.start_run(run_name=plan.name)
            known.write_text(run.info.run_id + "\n", encoding="utf-8")
            self._mlflow.log_params({f"objectives.{k}": v for k, v in plan.objectives.items()})
        self._open = True

    def on_trial(self, trial: Trial) -> None:
        with self._mlflow.start_run(run_name=f"trial {trial.number}", nested=True):
            self._mlflow.log_params(trial.architecture.to_json())
            self._mlflow.log_metrics(
                {name.replace("@", "/"): value for name, value in numbers_of(trial).items()}
            )
            sources = {f"source.{n}": metric.source for n, metric in trial.metrics.items()}
            self._mlflow.set_tags({"state": trial.state, "origin": trial.origin, **sources})

    def close(self) -> None:
        if self._open:
            self._mlflow.end_run()
