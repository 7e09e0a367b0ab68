"""Bad input to ``invsearch run`` ends in one clear line and exit code 2."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from toy import SPACE, invsearch, one_line, write_space

RUN = ("run", "toy.yaml", "--executor", "serial")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("objectives:", "objectivs:", ["toy.yaml:2:1", "objectivs", "objectives"]),
        ("\nevaluator:", "\nname: again\nevaluator:", ["toy.yaml", "name", "twice"]),
        ("[1, 9]", "[9, 1]", ["toy.yaml", "9", "1"]),
        ("[a, b]", "[]", ["toy.yaml:5", "choice"]),
        ("toy_evaluator:evaluate", "no_such_module:evaluate", ["no_such_module"]),
        ("toy_evaluator:evaluate", "toy_evaluator:evaluat", ["evaluat", "evaluate"]),
        ("trials: 8", "trials: 0", ["toy.yaml", "0"]),
        ("trials: 8,", "strategy: tpee, trials: 8,", ["tpee", "tpe"]),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    write_space(tmp_path, SPACE.replace(old, new))
    one_line(invsearch(tmp_path, *RUN), *words)
    assert not (tmp_path / "results").exists(), "a refused run leaves nothing behind"


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text("")
    one_line(invsearch(tmp_path, *RUN), "toy.yaml", "empty")


def test_missing_file(tmp_path: Path) -> None:
    one_line(invsearch(tmp_path, "run", "nowhere.yaml"), "nowhere.yaml")


def test_misspelt_shipped_space(tmp_path: Path) -> None:
    one_line(invsearch(tmp_path, "run", "rednt"), "rednt", "rednet")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("search.trails=3", ["search.trails", "trials"]),
        ("accuracy.dataset=/nowhere/at/all", ["/nowhere/at/all"]),
        ("space.stage.kernel_size=4", ["4", "odd"]),
        ("space.stage.group_channels=7", ["group_channels", "7"]),
        ("accuracy.epochs=-1", ["accuracy.epochs", "-1"]),
    ],
)
def test_impossible_settings_of_a_network_space(
    tmp_path: Path, override: str, words: list[str]
) -> None:
    one_line(invsearch(tmp_path, "run", "rednet", "--set", override), *words)


def test_cluster_that_nobody_runs(tmp_path: Path) -> None:
    write_space(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    one_line(
        invsearch(tmp_path, "run", "toy.yaml", "--address", f"127.0.0.1:{port}"),
        f"127.0.0.1:{port}",
        "no Ray cluster answers",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--address", "ray://head:10001"], ["ray://", "ray job submit"]),
        (["--address", "nonsense"], ["nonsense", "HOST:PORT"]),
        (["--executor", "spark"], ["spark", "serial"]),
        (["--trials", "0"], ["trials"]),
        (["--no-such-option"], ["no-such-option"]),
    ],
)
def test_options(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    write_space(tmp_path)
    one_line(invsearch(tmp_path, "run", "toy.yaml", *arguments), *words)


def test_out_is_a_file(tmp_path: Path) -> None:
    write_space(tmp_path)
    (tmp_path / "taken").write_text("")
    one_line(invsearch(tmp_path, *RUN, "--out", "taken"), "taken", "--out")


def test_report_of_a_missing_run(tmp_path: Path) -> None:
    one_line(invsearch(tmp_path, "report", "nowhere"), "nowhere")
