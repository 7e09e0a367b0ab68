"""`-o`: as with any tool, but a run's own files and what people write by hand are kept."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_runs import make_trials, write_run
from toy import command, invsearch, one_line, passed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a run in it, called ``run``."""
    write_run(tmp_path / "run", make_trials(4), "error: minimize, macs: minimize")
    return tmp_path


def csv_of(folder: Path) -> bytes:
    passed(invsearch(folder, "report", "run", "--format", "csv", "-o", "plain.csv"))
    return (folder / "plain.csv").read_bytes()


def test_a_link_is_followed_and_stays_one(folder: Path) -> None:
    whole = csv_of(folder)
    (folder / "disk").mkdir()
    (folder / "disk" / "target.csv").write_text("old")
    (folder / "disk" / "target.csv").chmod(0o640)
    (folder / "link.csv").symlink_to("disk/target.csv")
    (folder / "chain.csv").symlink_to("link.csv")
    (folder / "new.csv").symlink_to("disk/not-yet.csv")
    for name in ("link.csv", "chain.csv", "new.csv"):
        result = passed(invsearch(folder, "report", "run", "--format", "csv", "-o", name))
        assert result.stdout == f"{name}\n"
        assert (folder / name).is_symlink()
        assert (folder / name).read_bytes() == whole
    assert (folder / "disk" / "target.csv").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in (folder / "disk").iterdir()) == [
        "not-yet.csv", "target.csv",
    ]  # fmt: skip


def test_standard_output_holds_the_report_alone(folder: Path) -> None:
    whole = csv_of(folder)
    result = passed(invsearch(folder, "report", "run", "--format", "csv", "-o", "-"))
    assert result.stdout.encode() == whole
    for name in ("-", "/dev/stdout", "/dev/fd/1"):
        done = subprocess.run(
            command("report", "run", "--format", "csv", "-o", name),
            cwd=folder,
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            check=True,
        )
        assert done.stdout == whole
        assert done.stderr == b""
    with (folder / "log").open("w") as log:
        log.write("before\n")
        log.flush()
        arguments = command("report", "run", "--format", "csv", "-o", "/dev/stdout")
        subprocess.run(arguments, cwd=folder, stdout=log, check=True)
    assert (folder / "log").read_bytes() == b"before\n" + whole
    page = passed(invsearch(folder, "report", "run", "-o", "-")).stdout
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")


def test_a_pipe_and_a_device_are_written_to(folder: Path) -> None:
    whole, received = csv_of(folder), list[bytes]()
    os.mkfifo(folder / "pipe")
    reader = threading.Thread(target=lambda: received.append((folder / "pipe").read_bytes()))
    reader.start()
    passed(invsearch(folder, "report", "run", "--format", "csv", "-o", "pipe"))
    reader.join(timeout=60)
    assert received == [whole]
    assert (folder / "pipe").is_fifo()
    passed(invsearch(folder, "report", "run", "-o", "/dev/null"))
    assert not Path("/dev/null").is_file()
    one_line(invsearch(folder, "report", "run", "-o", "/dev/full"), "/dev/full", "No space left")


@pytest.mark.parametrize(
    "name",
    ["space.yaml", "trials.jsonl", "environment.json", "front.csv", "checkpoints/0/page.html",
     "study.journal", "sources/page.html", ".lock"],
)  # fmt: skip
@pytest.mark.parametrize("through", [lambda path: path, lambda path: Path("link") / path.name])
def test_a_runs_own_files_are_never_written_over(
    folder: Path, name: str, through: Callable[[Path], Path]
) -> None:
    own = folder / "run" / name
    before = own.read_bytes() if own.exists() else None
    (folder / "link").symlink_to(own.parent)
    line = one_line(invsearch(folder, "report", "run", "-o", through(own)), "part of the run")
    assert str(folder / "run") in line
    assert (own.read_bytes() if own.exists() else None) == before


@pytest.mark.parametrize("name", ["space.yaml", "ev.py", "a.yml"])
def test_what_people_write_by_hand_is_kept(folder: Path, name: str) -> None:
    (folder / name).write_text("mine\n")
    one_line(invsearch(folder, "report", "run", "-o", name), name, "remove it first")
    one_line(invsearch(folder, "report", "run", "-o", name, "--format", "csv"), name)
    assert (folder / name).read_text() == "mine\n"


def test_anything_else_is_written_over(folder: Path) -> None:
    for name in ("page.html", "run/page.html", "notes.txt", "front.csv"):
        (folder / name).write_text("old")
        passed(invsearch(folder, "report", "run", "-o", name))
        assert (folder / name).read_text().startswith("<!doctype html>")
    long = "n" * 250
    passed(invsearch(folder, "report", "run", "-o", f"{long}.htm"))
    passed(invsearch(folder, "report", "run", "-o", "new/deep/page.html"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run", ["run: cannot be written", "folder"]),
        ("", ["cannot be written", "folder"]),
        ("x" * 300, ["too long"]),
        ("space.txt/page.html", ["space.txt/page.html"]),
        ("circle", ["circle"]),
        ("dangling", ["dangling", "No such file"]),
        ("/proc/page.html", ["/proc/page.html"]),
    ],
    ids=lambda value: str(value)[:12],
)
def test_where_nothing_can_be_written_is_one_line(
    folder: Path, name: str, words: list[str]
) -> None:
    (folder / "space.txt").write_text("")
    (folder / "circle").symlink_to("circle")
    (folder / "dangling").symlink_to("gone/page.html")
    one_line(invsearch(folder, "report", "run", "-o", name), *words)


def test_several_files_need_names(folder: Path) -> None:
    one_line(invsearch(folder, "report", "run", "-o", "-", "--plotlyjs", "directory"), "names")
    one_line(invsearch(folder, "report", "run", "-o", "-", "--format", "png"), "names")


def test_what_reading_dropped_is_said(folder: Path) -> None:
    log = folder / "run" / "trials.jsonl"
    log.write_bytes(log.read_bytes()[:-10])
    result = passed(invsearch(folder, "report", "run", "-o", "page.html"))
    assert "trials.jsonl:4: the last line is torn" in result.stderr
