"""Who follows a search hears of every trial and can end none; Optuna's dashboard reads it too."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from toy import EVALUATOR, invsearch, one_line, passed, trial_lines, write_space

RUN = ("run", "toy.yaml", "--executor", "serial", "--out", "r")
FOLLOWERS = '''
class Noting:
    """No base class: whoever has on_trial will do."""

    def on_trial(self, trial):
        self.note([trial.number, trial.state, trial.architecture.to_json()])

    def on_start(self, plan):
        self.plan = plan
        self.note([plan.name, dict(plan.objectives), plan.done, plan.folder.name])

    def close(self):
        self.note(["closed"])

    def note(self, what):
        import json
        with open("noted", "a") as file:
            file.write(json.dumps(what) + chr(10))


class Failing(Noting):
    def on_trial(self, trial):
        if trial.number != 1:
            raise SystemExit("enough")
        super().on_trial(trial)


class Changing:
    def on_trial(self, trial):
        import os, sys, signal
        os.chdir("/")
        sys.stdout = None
        trial.metrics.clear()
        raise BaseException("bottom")


class Nothing:
    pass


class Missing:
    def __init__(self):
        import no_such_package
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_space(tmp_path, search="{strategy: random, trials: 6, seed: 1}")
    (tmp_path / "toy_evaluator.py").write_text(EVALUATOR + FOLLOWERS)
    return tmp_path


def noted(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "noted").read_text().splitlines()]


def test_ones_own_class_hears_of_every_trial_once(folder: Path) -> None:
    passed(invsearch(folder, *RUN, "--callback", "toy_evaluator:Noting"))
    first, *trials, last = noted(folder)
    assert first == ["toy", {"error": "minimize", "size": "minimize"}, 0, "r"]
    assert trials == [
        [t["number"], t["state"], t["architecture"]] for t in trial_lines(folder / "r")
    ]
    assert last == ["closed"]
    (folder / "noted").unlink()
    named = (
        "--set",
        "search.callbacks=[toy_evaluator:Noting]",
        "--callback",
        "toy_evaluator:Noting",
    )
    passed(invsearch(folder, *RUN, *named, "--resume", "--trials", 8))
    assert noted(folder)[0][2] == 6
    assert [one[0] for one in noted(folder)[1:-1]] == [6, 7], "once, though it is named twice"


def test_a_callback_that_fails_is_a_warning_and_every_trial_counts(folder: Path) -> None:
    both = ("--callback", "toy_evaluator:Failing", "--callback", "toy_evaluator:Changing")
    result = passed(invsearch(folder, *RUN, *both))
    trials = trial_lines(folder / "r")
    assert [t["state"] for t in trials] == ["complete"] * 6
    assert all(t["metrics"] for t in trials)
    assert "warning: the callback toy_evaluator:Failing failed in on_trial: SystemExit: enough" in (
        result.stderr
    )
    assert result.stderr.count("toy_evaluator:Failing failed") == 4, "one between, then three"
    assert result.stderr.count("is not called again") == 2
    assert result.stderr.count("BaseException: bottom") == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tensorbord", ["did you mean 'tensorboard'", "package.module:Class"]),
        ("toy_evaluator:Nothing", ["has no on_trial(trial)"]),
        ("toy_evaluator:Notin", ["--callback", "did you mean"]),
        ("os:path", ["--callback 'os:path' is no function"]),
        ("no_such_module:Class", ["--callback 'no_such_module:Class' cannot be imported"]),
        ("toy_evaluator:Missing", ["needs the package no_such_package"]),
    ],
)
def test_what_is_no_callback_is_one_line_before_anything_is_made(
    folder: Path, name: str, words: list[str]
) -> None:
    one_line(invsearch(folder, *RUN, "--callback", name), *words)
    assert not (folder / "r").exists()


def test_tensorboard_has_each_trials_metrics_and_parameters(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # tensorboardX's, about NumPy
        passed(invsearch(folder, *RUN, "--callback", "tensorboard"))
    events = b"".join(p.read_bytes() for p in (folder / "r" / "tensorboard").rglob("events*"))
    for tag in (b"error", b"size", b"hypervolume", b"kind"):
        assert tag in events
    assert len(list((folder / "r" / "tensorboard").glob("trial-*"))) == 6


def stored(folder: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(folder / "r" / "study.journal")))


def test_optuna_reads_the_names_the_sources_and_the_rungs(folder: Path) -> None:
    reporting = (
        "\ndef reporting(values, context):\n"
        "    for step in range(1, 4):\n"
        "        if context.report(step, {'error': 9.0 / step, 'size': 1.0}):\n"
        "            return None\n"
        "    return evaluate(values)\n"
    )
    write_space(
        folder,
        name="'A name: with ünicode'",
        evaluator="toy_evaluator:reporting",
        search="{strategy: random, trials: 5, rungs: [2]}",
    )
    (folder / "toy_evaluator.py").write_text(EVALUATOR + reporting)
    passed(invsearch(folder, *RUN))
    study = optuna.load_study(study_name="A name: with ünicode", storage=stored(folder))
    assert study.metric_names == ["error", "size"]
    ended = [trial for trial in study.trials if "record" in trial.user_attrs]
    assert len(ended) == 5
    for trial in ended:
        assert trial.user_attrs["sources"] == {"error": "evaluated", "size": "evaluated"}
        assert trial.user_attrs["rung:2"]["error"]["value"] == 4.5
    passed(invsearch(folder, *RUN, "--set", "name=another", "--resume", "--trials", 6))
    assert optuna.get_all_study_names(stored(folder)) == ["A name: with ünicode"]


@pytest.mark.skipif(
    importlib.util.find_spec("optuna_dashboard") is None, reason="optuna-dashboard is not installed"
)
def test_the_dashboard_opens_the_journal(folder: Path) -> None:
    passed(invsearch(folder, *RUN))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from optuna_dashboard import wsgi

        app = wsgi(stored(folder))
        (summary,) = asked(app, "/api/studies")["study_summaries"]
        assert summary["study_name"] == "toy"
        detail = asked(app, f"/api/studies/{summary['study_id']}")
    assert detail["objective_names"] == ["error", "size"]
    ended = [t for t in detail["trials"] if any(a["key"] == "record" for a in t["user_attrs"])]
    assert len(ended) == 6
    named = {attr["key"] for attr in ended[0]["user_attrs"]}
    assert {"sources", "number", "architecture"} <= named


def asked(app: Any, path: str) -> Any:
    environment: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environment)
    status: list[str] = []
    body = b"".join(app(environment, lambda code, *rest: status.append(f"{code} {rest}")))
    assert status[0].startswith("200"), status
    return json.loads(body)
