"""What happens before the first training: kernels, a check of the operator, timed steps."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, replace
from typing import Any

from invsearch.bench.cifar10.plan import StudySetting
from invsearch.bench.cifar10.process import LateError, WorkerProcess
from invsearch.bench.cifar10.study import Study
from invsearch.errors import TrialError

__all__ = ["Preparation"]


class Preparation:
    """The time before the first training: kernels, a check of the operator, timed steps.

    On a thread of its own while the images are decoded. What turns out not to work is left out:
    CUDA graphs first, then the CUDA back end.
    """

    def __init__(self, study: Study) -> None:
        self._study, self._wrong = study, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until it is over."""
        self._thread.join()

    def _run(self) -> None:
        study = self._study
        for setting in _fallbacks(study.setting):
            if self._wrong and setting.backend is None:
                continue
            with study.lock:
                study.setting = setting
                study.timings.clear()
            try:
                if self._try():
                    return
            except TrialError as error:
                study.note(f"preparing failed: {error}")
                if isinstance(error, LateError) and time.monotonic() >= study.deadline:
                    return
        study.note("no way to prepare worked: training without estimates")

    def _try(self) -> bool:
        study, worker = self._study, WorkerProcess()
        networks = {training.network: training for training in study.trainings}
        request = {
            "do": "prepare",
            "setting": study.setting.as_dict(),
            "trainings": [asdict(one) for one in networks.values()],
        }
        try:
            last = worker.ask(request, study.deadline, self._heard)
        finally:
            worker.end()
        if last["event"] == "failed":
            study.note(f"preparing failed: {last['reason']}")
            return False
        if self._wrong and study.setting.backend is None:
            study.note("the CUDA back end is left out: its layer is too far from fp32")
            return False
        if any(e["event"] == "graph" and not e["good"] for e in study.prepared):
            study.note("graphs are left out: they failed, or train otherwise than single launches")
            study.setting = replace(study.setting, graphs=False)
        return True

    def _heard(self, event: dict[str, Any]) -> None:
        study, kind = self._study, event["event"]
        with study.lock:
            if kind == "environment":
                study.environment, study.backends = event["environment"], event["backends"]
                machine = event["environment"]
                study.say(f"{machine.get('gpu') or machine.get('cpu_model')}")
            elif kind == "timed":
                study.timings.append({k: v for k, v in event.items() if k != "event"})
                how = "graphs" if event["graphs"] else "eager"
                speed = f"{event['step_ms']:.1f} ms a step, {event['images_per_s']:.0f} images/s"
                study.say(f"{event['network']} alone, {how}: {speed}")
            elif kind not in ("ready", "done"):
                study.prepared.append(event)
                if kind == "checked":
                    self._wrong = not event["error"] <= event["allowed"]
                study.say(str(event))
        study.save()


def _fallbacks(setting: StudySetting) -> list[StudySetting]:
    """The setting, then the same with less and less that may not work."""
    found = [setting]
    if setting.graphs:
        found.append(replace(setting, graphs=False))
    if setting.backend is None and setting.device != "cpu":
        found.append(replace(setting, graphs=False, backend="torch"))
    return found
