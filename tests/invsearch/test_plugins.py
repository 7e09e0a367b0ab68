"""What may be named comes from a table: ours, added at run time, or from a distribution."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from toy import invsearch, one_line, passed, trial_lines, write_space

from invsearch.bench import contests
from invsearch.data import Dataset, load_dataset
from invsearch.errors import InputError
from invsearch.plugins import DATASETS, EXECUTORS, STRATEGIES, PluginError, Table
from invsearch.search.executors import Executor
from invsearch.search.strategies import Strategy
from invsearch.space import json_schema

DOCS = Path(__file__).parents[2] / "docs"

SOURCE = """
import torch
from optuna.samplers import RandomSampler

from invsearch.data import Dataset, ImageData, standardise, stratified_subset
from invsearch.search.executors import Executor
from invsearch.search.executors.serial import SERIAL
from invsearch.search.strategies import Strategy
from invsearch.train.augment import Augmentation

HILL = Strategy(lambda problem: lambda seed: RandomSampler(seed=seed + 1))
HERE = Executor(SERIAL.open)


def _stripes(wanted):
    side = wanted.resolution or 8
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(96) % 2
    images = torch.rand(96, 1, side, side, generator=rng)
    images[labels == 1, :, ::2] += 2
    kept = stratified_subset(labels[:64], wanted.data_fraction, wanted.seed)
    train, val = standardise(images[:64][kept], images[64:])
    return ImageData(train, labels[:64][kept], val, labels[64:], 2, "stripes",
                     data_fraction=wanted.data_fraction)


def _fog(strength, about):
    return lambda images, targets, generator: (images * (1 - strength), targets)


STRIPES = Dataset(_stripes)
FOG = Augmentation(_fog)
NONSENSE = 3
"""
ENTRY_POINTS = """
[invsearch.strategies]
hill = mountains:HILL
nonsense = mountains:NONSENSE
gone = mountains:GONE
[invsearch.executors]
here = mountains:HERE
[invsearch.datasets]
stripes = mountains:STRIPES
[invsearch.augmentations]
fog = mountains:FOG
"""
BROKEN = """
[invsearch.strategies]
doomed = doomed:HILL
[invsearch.datasets]
doomed = doomed:DATA
[invsearch.executors]
doomed = doomed:HERE
"""


def install(folder: Path, name: str, source: str, entry_points: str) -> None:
    """A distribution, as pip leaves one in a folder of the path."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good distribution and a broken one."""
    site = tmp_path / "site"
    install(site, "mountains", SOURCE, ENTRY_POINTS)
    install(site, "doomed", "raise RuntimeError('no such device')\n", BROKEN)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    return site


def test_a_distributions_strategy_and_executor_run_a_space(tmp_path: Path, installed: Path) -> None:
    space = write_space(tmp_path, search="{strategy: hill, trials: 6, seed: 1}")
    passed(invsearch(tmp_path, "run", space, "--executor", "here"))
    assert len(trial_lines(tmp_path / "results" / "toy")) == 6


def test_a_distributions_data_set_is_trained_on(tmp_path: Path, installed: Path) -> None:
    """By the name in a space file; its two classes and one channel are the networks'.

    So is its augmentation.
    """
    text = (
        "name: mine\nobjectives: {val_loss: minimize, macs: minimize}\n"
        "model: {family: rednet, resolution: 32}\nspace: {depth: 26, width: {choice: [0.5, 1.0]}}\n"
        "accuracy: {dataset: stripes, epochs: 1, batch_size: 32, baselines: false,"
        " augmentations: {fog: 0.3}}\n"
        "search: {strategy: hill, trials: 1}\n"
    )
    (tmp_path / "mine.yaml").write_text(text)
    passed(invsearch(tmp_path, "run", "mine.yaml", "--executor", "serial"))
    trial = trial_lines(tmp_path / "results" / "mine")[0]
    assert trial["state"] == "complete", trial["error"]
    assert trial["metrics"]["val_loss"]["fidelity"]["dataset"] == "stripes"
    assert load_dataset("stripes", resolution=12).resolution == 12
    (tmp_path / "mine.yaml").write_text(text.replace("fog", "frog"))
    one_line(invsearch(tmp_path, "explain", "mine.yaml"), "frog", "did you mean 'fog'")


def test_help_schema_and_contests_list_it(tmp_path: Path, installed: Path) -> None:
    """In a process of its own, as the shell would ask."""
    site = str(installed)
    shown = passed(invsearch(tmp_path, "run", "--help", MOUNTAINS=site)).stdout
    assert all(word in shown.replace("\n", " ") for word in ("hill", "here", "stripes"))
    shown = passed(invsearch(tmp_path, "bench-search", "--help", MOUNTAINS=site)).stdout
    assert "hill" in shown
    properties = json_schema()["$defs"]["Search"]["properties"]
    assert "hill" in properties["strategy"]["enum"]
    write_space(tmp_path, costs="toy_evaluator:costs")
    contest = ("bench-search", "toy.yaml", "--seeds", 1, "--trials", 18, "--json")
    result = passed(invsearch(tmp_path, *contest, "--strategies", "hill", OMP_NUM_THREADS="1"))
    assert json.loads(result.stdout)["standings"][0]["mean"] == pytest.approx(1)


def test_a_broken_plug_in_is_one_line_that_names_its_distribution(
    tmp_path: Path, installed: Path
) -> None:
    """Where it is asked for, and nowhere else."""
    words = ("doomed 1.2", "RuntimeError: no such device")
    space = write_space(tmp_path, search="{strategy: doomed, trials: 2}")
    one_line(invsearch(tmp_path, "run", space, "--executor", "serial"), *words)
    space = write_space(tmp_path)
    one_line(invsearch(tmp_path, "run", space, "--executor", "doomed"), *words)
    one_line(invsearch(tmp_path, "run", "quick", "--set", "accuracy.dataset=doomed"), *words)
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    passed(invsearch(tmp_path, "explain", "quick"))


def test_what_a_plug_in_is_not(installed: Path) -> None:
    with pytest.raises(PluginError, match=r"'nonsense' of mountains 1\.2 .* is a int, not a Strat"):
        STRATEGIES.get("nonsense", Strategy)
    with pytest.raises(PluginError, match=r"mountains 1\.2 .*cannot be loaded: AttributeError"):
        STRATEGIES.get("gone", Strategy)


def test_two_distributions_of_one_name_are_refused(tmp_path: Path, installed: Path) -> None:
    install(installed, "hills", SOURCE, "[invsearch.strategies]\nhill = hills:HILL\n")
    table = Table("strategy", "invsearch.strategies", {})
    STRATEGIES.forget_found()
    try:
        with pytest.raises(PluginError, match=r"hills 1\.2 and mountains 1\.2: uninstall one"):
            table.get("hill", Strategy)
    finally:
        STRATEGIES.forget_found()


def test_a_distribution_cannot_take_a_name_of_ours(installed: Path) -> None:
    (installed / "mountains-1.2.dist-info" / "entry_points.txt").write_text(
        "[invsearch.strategies]\ntpe = mountains:HILL\n"
    )
    STRATEGIES.forget_found()
    from invsearch.search.strategies.tpe import TPE

    assert STRATEGIES.get("tpe", Strategy) is TPE
    assert STRATEGIES.names().count("tpe") == 1
    STRATEGIES.forget_found()


@pytest.fixture
def added() -> Iterator[None]:
    """One row more in two tables, for the length of a test."""
    STRATEGIES.add("luck", STRATEGIES.get("random", Strategy))
    DATASETS.add("more_digits", DATASETS.get("digits", Dataset))
    yield
    STRATEGIES.remove("luck")
    DATASETS.remove("more_digits")


def test_one_row_is_all_it_takes(tmp_path: Path, added: None) -> None:
    """A row that is added is in the schema, in space files, in contests and in messages."""
    from invsearch.bench.contests import known_strategies

    definitions = json_schema()["$defs"]
    assert "luck" in definitions["Search"]["properties"]["strategy"]["enum"]
    assert "more_digits" in definitions["Accuracy"]["properties"]["dataset"]["examples"]
    assert "luck" in known_strategies("")
    space = write_space(tmp_path, search="{strategy: luck, trials: 3}")
    passed(invsearch(tmp_path, "run", space, "--executor", "serial"))
    wrong = invsearch(tmp_path, "run", space, "--set", "search.strategy=lukc")
    one_line(wrong, "did you mean 'luck'", "allowed: cost_aware")
    assert load_dataset("more_digits").num_classes == 10
    with pytest.raises(InputError, match="more_digits"):
        load_dataset("more_digit")
    with pytest.raises(ValueError, match="'luck' already"):
        STRATEGIES.add("luck", None)


def test_every_row_is_in_the_documentation() -> None:
    text = (DOCS / "space-files.md").read_text()
    for table in (STRATEGIES, DATASETS, EXECUTORS):
        for name in table:
            assert f"`{name}`" in text, f"docs/space-files.md does not name {name}"


def test_every_row_of_ours_is_what_its_table_holds() -> None:
    for table, kind in ((STRATEGIES, Strategy), (DATASETS, Dataset), (EXECUTORS, Executor)):
        for name in table:
            if name != "botorch" or find_spec("botorch"):
                assert isinstance(table.get(name, kind), kind)


def test_a_strategy_whose_package_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botorch", None)
    monkeypatch.delitem(sys.modules, "invsearch.search.strategies.botorch", raising=False)
    with pytest.raises(PluginError, match=r"pip install 'invsearch\[botorch\]'") as caught:
        STRATEGIES.get("botorch", Strategy)
    assert "\n" not in str(caught.value)
    assert "botorch" not in contests.known_strategies("")
