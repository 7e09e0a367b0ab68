"""A search writes over nothing that no run made, and says what is in its way in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import invsearch, one_line, passed, trial_lines, write_space

SERIAL = ("--executor", "serial", "--trials", 2)


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("resume", [(), ("--resume",)], ids=["new", "resume"])
@pytest.mark.parametrize(
    "foreign",
    [
        ["space.yaml"],
        ["front.csv", "checkpoints/0/mine.pt"],
        ["environment.json"],
        ["trials.jsonl"],
        ["study.journal"],
        ["replicates.jsonl"],
        ["latency_table.json"],
        ["sources/ev.py"],
        [".lock"],
    ],
    ids=lambda names: names[0],
)
def test_files_of_others_are_refused_by_name_and_stay(
    tmp_path: Path, foreign: list[str], resume: tuple[str, ...]
) -> None:
    space = write_space(tmp_path)
    project = tmp_path / "project"
    for name in foreign:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text('{"id": "mine"}\n')
    before = content_of(project)
    result = invsearch(project, "run", space, *SERIAL, "--out", ".", *resume)
    one_line(result, "--out", *(name.split("/")[0] for name in foreign))
    assert content_of(project) == before
    assert {path.name for path in project.iterdir()} == {name.split("/")[0] for name in foreign}


def test_other_files_are_no_matter_and_stay(tmp_path: Path) -> None:
    """A run may live in the folder of its space file; empty files of our names hold nothing."""
    space = write_space(tmp_path)
    (tmp_path / "notes.md").write_text("mine")
    (tmp_path / "front.csv").touch()
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", "."))
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", ".", "--resume", "--trials", 3))
    assert len(trial_lines(tmp_path)) == 3
    assert (tmp_path / "notes.md").read_text() == "mine"


def test_a_run_that_lost_its_mark_is_known_by_its_journal(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    passed(invsearch(tmp_path, "run", space, *SERIAL, "--out", "run"))
    (tmp_path / "run" / "environment.json").unlink()
    result = passed(invsearch(tmp_path, "run", space, "--resume", "--trials", 3, "--out", "run",
                              "--executor", "serial"))  # fmt: skip
    assert "environment.json" in result.stderr
    assert len(trial_lines(tmp_path / "run")) == 3


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("x" * 300, ["too long"]),
        ("a/" + "y" * 300 + "/b", ["too long"]),
        ("toy.yaml", ["is a file"]),
        ("toy.yaml/run", ["toy.yaml/run"]),
        ("dangling", ["is a link to", "not there"]),
        ("dangling/run", ["dangling"]),
        ("circle", ["circle"]),
        ("a\nb", ["control character"]),
        ("a\x1b[31m", ["control character"]),
        ("/", ["no name"]),
        ("...", ["no name"]),
        ("/proc/run", ["/proc/run"]),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_places_that_are_no_folder(tmp_path: Path, out: str, words: list[str]) -> None:
    space = write_space(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    line = one_line(invsearch(tmp_path, "run", space, *SERIAL, "--out", out), *words)
    assert len(line) < 500


@pytest.mark.parametrize("out", ["\N{ROCKET}" * 20, "[exp1]", "[/red]", " ", "-x", "%s{}"])
def test_odd_names_are_names(tmp_path: Path, out: str) -> None:
    space = write_space(tmp_path)
    result = passed(invsearch(tmp_path, "run", space, *SERIAL, f"--out={out}"))
    assert out in result.stdout
    assert len(trial_lines(tmp_path / out)) == 2


def test_a_link_to_a_folder_is_the_folder(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    passed(invsearch(tmp_path, "run", write_space(tmp_path), *SERIAL, "--out", "link"))
    assert len(trial_lines(tmp_path / "disk")) == 2
