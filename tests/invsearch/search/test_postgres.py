"""A study on a real PostgreSQL server, which this file starts: one driver, several, dead ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer, postgres
from toy import command, invsearch, one_line, passed, trial_lines, without_times, write_space

BATCHES = ("--executor", "serial", "--deterministic", "--trials", 12)
ALONE = ("--executor", "serial", "--trials", 12)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as found:
        yield found


@pytest.fixture(autouse=True)
def password(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", server.password)


def space_of(folder: Path, **replaced: str) -> Path:
    """A toy space under a name of its own: studies are told apart by the space's name."""
    return write_space(folder, name=f"toy {folder.name}", **replaced)


@pytest.mark.parametrize("strategy", ["cost_aware", "nsga2", "tpe"])
@pytest.mark.parametrize("options", [BATCHES, ALONE], ids=["batches", "one by one"])
def test_results_are_the_journals(
    tmp_path: Path, server: PostgresServer, strategy: str, options: tuple[object, ...]
) -> None:
    space = space_of(tmp_path, search=f"{{strategy: {strategy}, seed: 4}}")
    passed(invsearch(tmp_path, "run", space, *options, "--out", "journal"))
    passed(invsearch(tmp_path, "run", space, *options, "--out", "sql", "--storage", server.url))
    found = [without_times(trial_lines(tmp_path / name)) for name in ("sql", "journal")]
    assert found[0] == found[1]
    assert (tmp_path / "sql" / "front.csv").read_text() == (
        tmp_path / "journal" / "front.csv"
    ).read_text()
    assert not (tmp_path / "sql" / "study.journal").exists()


def started(
    folder: Path, space: Path, *arguments: object, seconds: float = 0.15
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("run", space, *arguments),
        cwd=folder,
        env={**os.environ, "TOY_SECONDS": str(seconds)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_lines(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    log = folder / "trials.jsonl"
    while not log.exists() or log.read_text().count("\n") < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the run did not get so far"
        time.sleep(0.01)


def test_a_kill_changes_nothing(tmp_path: Path, server: PostgresServer) -> None:
    """And the folder knows where its study is."""
    space = space_of(tmp_path)
    out = (*BATCHES, "--out", "killed")
    process = started(tmp_path, space, *out, "--storage", server.url)
    wait_for_lines(tmp_path / "killed", 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    passed(invsearch(tmp_path, "run", space, *out, "--resume"))
    passed(invsearch(tmp_path, "run", space, *BATCHES, "--out", "whole"))
    resumed = trial_lines(tmp_path / "killed")
    for trial in resumed:  # an orphan is evaluated again, and says so
        trial["origin"] = "sampler"
    assert without_times(resumed) == without_times(trial_lines(tmp_path / "whole"))


def test_two_drivers_share_a_budget(tmp_path: Path, server: PostgresServer) -> None:
    """No number and no architecture twice; each folder ends with every trial of the study."""
    space = space_of(tmp_path)
    shared = (*ALONE, "--storage", server.url)
    drivers = [started(tmp_path, space, *shared, "--out", name) for name in "ab"]
    for driver in drivers:
        assert driver.wait(timeout=120) == 0, driver.communicate()[1]
        driver.communicate()
    for name in "ab":
        passed(invsearch(tmp_path, "run", space, *ALONE, "--resume", "--out", name))
        trials = trial_lines(tmp_path / name)
        assert sorted(trial["number"] for trial in trials) == list(range(12))
        assert len({json.dumps(trial["architecture"]) for trial in trials}) == 12
    logs = [{t["number"]: t for t in trial_lines(tmp_path / name)} for name in "ab"]
    assert logs[0] == logs[1]
    assert (tmp_path / "a" / "front.csv").read_text() == (tmp_path / "b" / "front.csv").read_text()


def test_a_dead_drivers_trials_go_on_elsewhere(tmp_path: Path, server: PostgresServer) -> None:
    """The second driver finishes what the first was at, and nothing of it is lost."""
    space = space_of(tmp_path)
    shared = (*ALONE, "--storage", server.url)
    first = started(tmp_path, space, *shared, "--out", "first", seconds=1.0)
    wait_for_lines(tmp_path / "first", 2, first)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    passed(invsearch(tmp_path, "run", space, *shared, "--out", "second"))
    trials = trial_lines(tmp_path / "second")
    assert sorted(trial["number"] for trial in trials) == list(range(12))
    assert sum(trial["origin"] == "retry" for trial in trials) <= 1
    done = trial_lines(tmp_path / "first")
    assert [trial for trial in trials if trial["number"] < len(done)][: len(done)] == done


def test_a_deterministic_driver_is_alone(tmp_path: Path, server: PostgresServer) -> None:
    space = space_of(tmp_path)
    first = started(tmp_path, space, *ALONE, "--storage", server.url, "--out", "first", seconds=1)
    try:
        wait_for_lines(tmp_path / "first", 1, first)
        again = ("run", space, *BATCHES, "--storage", server.url, "--out", "second")
        one_line(invsearch(tmp_path, *again), "another driver", "--deterministic")
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()


def test_a_password_is_kept_nowhere(
    tmp_path: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given in the URL it opens the study, and no file and no message has it."""
    monkeypatch.delenv("PGPASSWORD")
    space = space_of(tmp_path)
    run = ("run", space, "--executor", "serial", "--trials", 2, "--out", "run")
    said = passed(invsearch(tmp_path, *run, "--storage", server.with_password))
    wrong = server.with_password + "x"  # another database
    refused = invsearch(tmp_path, *run[:-1], "other", "--storage", wrong)
    one_line(refused, "postgresx", code=1)
    inside = invsearch(tmp_path, *run, "--set", f"search.storage={server.with_password}")
    one_line(inside, "PGPASSWORD")
    for result in (said, refused, inside):
        assert server.password not in result.stderr + result.stdout
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or server.password not in path.read_text(errors="replace"), path


def test_a_lost_server_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    space = space_of(tmp_path)
    with postgres() as own:
        os.environ["PGPASSWORD"] = own.password
        run = started(tmp_path, space, *ALONE, "--storage", own.url, "--out", "run")
        wait_for_lines(tmp_path / "run", 2, run)
        own.stop()
        errors = run.communicate(timeout=60)[1]
    assert run.returncode == 1, errors
    assert "Traceback" not in errors
    assert "--resume" in errors.strip().splitlines()[-1]


def test_another_space_of_the_same_name_is_refused(tmp_path: Path, server: PostgresServer) -> None:
    shared = ("--executor", "serial", "--trials", 1, "--storage", server.url, "--out")
    passed(invsearch(tmp_path, "run", space_of(tmp_path), *shared, "one"))
    other = space_of(tmp_path, objectives="{size: minimize}")
    one_line(invsearch(tmp_path, "run", other, *shared, "two"), "another space", "objectives")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me@here/db", ("--storage", "postgresql://")),
        ("postgres", ("--storage", "postgresql://")),
    ],
)
def test_other_urls_are_refused(tmp_path: Path, url: str, words: tuple[str, ...]) -> None:
    run = ("run", space_of(tmp_path), "--executor", "serial", "--storage", url)
    one_line(invsearch(tmp_path, *run), *words)


def test_without_the_extra_it_is_named(
    tmp_path: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    run = ("run", space_of(tmp_path), "--executor", "serial", "--storage", server.url)
    one_line(invsearch(tmp_path, *run), "psycopg", "invsearch[postgres]")
