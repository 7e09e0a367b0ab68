"""A third party's operator whose settings must divide the width: fitted, or refused beforehand."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from toy import invsearch, one_line, passed

from invsearch.runs import load_run
from ops import registry

OPERATOR = """
import torch
import ops

def macs(shape, *, stride, groups, kernel_size):
    pixels = shape[0] * -(-shape[2] // stride) * -(-shape[3] // stride)
    return pixels * shape[1] * (shape[1] // groups) * kernel_size**2

def params(channels, *, groups, kernel_size):
    return channels * (channels // groups) * kernel_size**2

@ops.register(
    "{name}",
    hyperparameters={{"groups": {groups}, "kernel_size": (3, 5)}},
    macs=macs,
    params=params,
    {more}
)
def grouped(channels, *, stride, groups, kernel_size):
    padding = kernel_size // 2
    return torch.nn.Conv2d(
        channels, channels, kernel_size, stride, padding, groups=groups, bias=False
    )
"""

SPACE = """
name: grouped
objectives: {val_loss: minimize, macs: minimize}
model: {family: FAMILY, resolution: 32, operators: [grouped.py], operator: NAME, depth: custom}
space:
  width: 0.5
  groups: {choice: [4, 32]}
  stage: {blocks: 1}
accuracy: {epochs: 1, data_fraction: 0.1, baselines: false, proxy: {width: 0.125, resolution: 8}}
search: {strategy: exhaustive, trials: 2}
"""

DECLARED = "ops.Hyperparameter(4, allowed=(1, 2, 4, 8, 32), divides_channels=True)"
CHECK = (
    "check=lambda channels, settings: None if channels % settings['groups'] == 0 "
    "else f\"groups = {settings['groups']} does not divide {channels}\","
)


NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_OPERATORS", dict(registry._OPERATORS))


def write(folder: Path, groups: str, more: str = "", family: str = "resnet") -> None:
    """Under a name of its own: what is known of an operator is kept by its name."""
    name = f"grouped_{next(NUMBERS)}"
    (folder / "grouped.py").write_text(OPERATOR.format(name=name, groups=groups, more=more))
    (folder / "grouped.yaml").write_text(SPACE.replace("FAMILY", family).replace("NAME", name))


@pytest.mark.parametrize("family", ["resnet", "mobilenet"])
def test_what_it_says_divides_the_width_is_fitted(tmp_path: Path, family: str) -> None:
    """Checked, counted, and every trial trained at a proxy's width that 32 does not divide."""
    write(tmp_path, DECLARED, family=family)
    if family == "mobilenet":  # 16 channels inside the first stage: 32 groups are impossible there
        text = (tmp_path / "grouped.yaml").read_text().replace("[4, 32]", "[4, 8]")
        (tmp_path / "grouped.yaml").write_text(text)
    passed(invsearch(tmp_path, "explain", "grouped.yaml"))
    passed(invsearch(tmp_path, "run", "grouped.yaml", "--executor", "serial"))
    trials = load_run(tmp_path / "results" / "grouped").trials
    assert [trial.state for trial in trials] == ["complete", "complete"]


@pytest.mark.parametrize(
    ("groups", "more", "words"),
    [
        ("(4, 32)", CHECK, ["at the proxy's width", "groups = 32 does not divide 4"]),
        ("(4, 32)", "", ["grouped", "'groups': 32", "channels"]),
    ],
    ids=["checked", "silent"],
)
def test_what_it_does_not_say_is_refused_before_the_search(
    tmp_path: Path, groups: str, more: str, words: list[str]
) -> None:
    """An operator with a check alone, or with nothing: one line, and no trial that fails."""
    write(tmp_path, groups, more)
    one_line(invsearch(tmp_path, "run", "grouped.yaml", "--executor", "serial"), *words)
    assert not (tmp_path / "results" / "grouped" / "trials.jsonl").exists()


def test_a_width_that_nothing_divides_is_refused_by_the_space(tmp_path: Path) -> None:
    write(tmp_path, "ops.Hyperparameter(4, allowed=(3, 4, 32), divides_channels=True)")
    text = (tmp_path / "grouped.yaml").read_text().replace("[4, 32]", "[4, 3]")
    (tmp_path / "grouped.yaml").write_text(text)
    words = ["grouped.yaml:7", "groups = 3 does not divide channels = 32"]
    one_line(invsearch(tmp_path, "explain", "grouped.yaml"), *words)
