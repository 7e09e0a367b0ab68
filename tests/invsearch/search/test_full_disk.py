"""A disk that is full, read-only or not ours: one line, and nothing lost once that is mended."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import command, invsearch, one_line, passed, trial_lines, without_times, write_space

SERIAL = ("--executor", "serial", "--deterministic", "--trials", 8)


def limited(folder: Path, size: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run with a limit on the size of a file: a write beyond it fails as on a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return subprocess.run(
        command(*arguments), cwd=folder, preexec_fn=limit, capture_output=True, text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, timeout=240, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def small_disk(place: Path, kib: int, *options: str) -> Iterator[None]:
    """A real file system of so many KiB, where this user may mount one."""
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={kib}k", *options]), "none", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def check_story(result: subprocess.CompletedProcess[str]) -> None:
    """The run ended in one line after the lines of its trials."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    *trials, last = result.stderr.strip().splitlines()
    assert last.startswith("invsearch: ")
    assert all("trial" in line or "starting the run" in line for line in trials), result.stderr


@pytest.mark.sampled(2)
@pytest.mark.parametrize("size", [100, 1500, 5000, 9000])
def test_a_run_that_meets_a_limit_goes_on_as_if_it_had_not(tmp_path: Path, size: int) -> None:
    """At the mark of the folder, in the space file's copy, in the journal early and late."""
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", "whole"))
    result = limited(tmp_path, size, "run", space, *SERIAL, "--out", "cut")
    check_story(result)
    assert "File too large" in result.stderr
    again = limited(tmp_path, size, "run", space, *SERIAL, "--out", "cut", "--resume")
    check_story(again)
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", "cut", "--resume"))
    resumed, whole = (trial_lines(tmp_path / name) for name in ("cut", "whole"))
    for trial in resumed:
        trial["origin"] = "sampler"
    assert without_times(resumed) == without_times(whole)
    fronts = [(tmp_path / name / "front.csv").read_text() for name in ("cut", "whole")]
    assert fronts[0] == fronts[1]


def test_a_full_disk_loses_nothing_once_there_is_room(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", "whole"))
    disk = tmp_path / "disk"
    with small_disk(disk, 64):
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(28 * 1024))
        resume = ("run", space, *SERIAL, "--out", disk / "run", "--resume")
        for _ in range(2):
            result = invsearch(tmp_path, *resume, PYTHONDONTWRITEBYTECODE="1")
            assert result.returncode == 2, result.stderr
            assert "No space left" in result.stderr.strip().splitlines()[-1]
            assert "--resume goes on" in result.stderr.strip().splitlines()[-1]
        ballast.unlink()
        passed(invsearch(tmp_path, *resume))
        resumed, whole = trial_lines(disk / "run"), trial_lines(tmp_path / "whole")
        for trial in resumed:
            trial["origin"] = "sampler"
        assert without_times(resumed) == without_times(whole)
        (disk / "more").write_bytes(b"0")
        with contextlib.suppress(OSError):
            (disk / "more").write_bytes(bytes(64 * 1024))
        refused = invsearch(tmp_path, "report", disk / "run", "-o", disk / "page.html")
        one_line(refused, "page.html", "No space left")
        assert not list(disk.glob("*.tmp"))
        assert not list(disk.glob(".*.tmp"))


def test_a_read_only_disk_is_read_and_not_written(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    disk = tmp_path / "disk"
    with small_disk(disk, 256):
        passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", disk / "run"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        one_line(invsearch(tmp_path, "run", space, "--out", disk / "new"), "Read-only", "--out")
        resume = ("run", space, *SERIAL, "--resume", "--out", disk / "run")
        one_line(invsearch(tmp_path, *resume), "Read-only")
        passed(invsearch(tmp_path, "report", disk / "run", "-o", "page.html"))
        one_line(invsearch(tmp_path, "report", disk / "run", "-o", disk / "p.html"), "Read-only")


QUICK = ("run", "quick", "--deterministic", "--trials", 2)
SMALL = ("--set", "accuracy.epochs=2", "--set", "accuracy.data_fraction=0.2")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("limits", [(), ("--set", "search.trial_timeout=200")])
def test_checkpoints_that_do_not_fit_end_the_run_and_fail_no_trial(
    tmp_path: Path, limits: tuple[str, ...]
) -> None:
    """Training on a full disk: the trial in flight is evaluated again, not recorded as failed.

    With a limit of time it is trained in a process apart.
    """
    quick = (*QUICK, "--executor", "serial", *limits)
    small = (*SMALL, "--out", "run")
    result = limited(tmp_path, 40_000, *quick, *small)
    check_story(result)
    log = tmp_path / "run" / "trials.jsonl"
    assert not log.exists() or not log.read_text()
    passed(invsearch(tmp_path, *quick, *small, "--resume"))
    assert [trial["state"] for trial in trial_lines(tmp_path / "run")] == ["complete"] * 2


@pytest.mark.slow
def test_checkpoints_that_do_not_fit_end_a_run_on_ray_too(tmp_path: Path) -> None:
    """A worker's disk is no fault of a trial, and Tune does not try it again."""
    disk = tmp_path / "disk"
    with small_disk(disk, 32 * 1024):
        ballast = disk / "ballast"
        ballast.write_bytes(bytes((32 * 1024 - 160) * 1024))  # what is left holds no checkpoint
        run = (*QUICK, *SMALL, "--executor", "ray", "--out", disk / "run", "--resume")
        result = invsearch(tmp_path, *run)
        assert result.returncode == 2, result.stderr
        last = result.stderr.strip().splitlines()[-1]
        assert "No space left" in last
        assert "node " in last
        assert "--resume goes on" in last
        log = disk / "run" / "trials.jsonl"
        assert not log.exists() or not log.read_text()
        ballast.unlink()
        passed(invsearch(tmp_path, *run))
        assert [trial["state"] for trial in trial_lines(disk / "run")] == ["complete"] * 2
