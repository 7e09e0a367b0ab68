"""What the documentation tells a reader to type is what the product takes; tutorials run whole."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from documentation import Block, blocks, make_photos, run_page

from invsearch.cli import app
from invsearch.space import load_space_file

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
NEEDS = {"own-photos": ("onnx", "onnxruntime"), "deploy": ("onnx", "onnxruntime")}
"""Packages without which a tutorial's last steps cannot be done."""

HERE = "here"
OWN = "tests/invsearch/search/test_own_model.py"
DEPLOY = "the tutorial deploy does it, with a network that was kept"
PROOFS = {
    "README.md": (
        "it installs into the reader's environment",
        "it is what runs this",
        HERE,
        "the tutorial first-search reads a run so",
    ),
    "docs/cluster.md": ("tests/invsearch/search/test_cluster_docs.py",),
    "docs/fidelity.md": ("a line that a run wrote",),
    "docs/models.md": ("tests/invsearch/models/test_models_docs.py",),
    "docs/operators.md": (*["tests/invsearch/test_end_to_end.py"] * 2, DEPLOY),
    "docs/own-model.md": (OWN,) * 4,
    "docs/plugins.md": (HERE, "test_plugins.py installs one of this form", HERE),
    "docs/sampler.md": ("tests/invsearch/search/sampler/test_sampler_docs.py",),
    "docs/sources.md": (HERE, HERE),
    "docs/space-files.md": (
        *(HERE, HERE),
        *("its module is the reader's own", "a fragment: the training is left out"),
    ),
    "docs/take-home.md": (DEPLOY, "tests/invsearch/takeaway/test_take_export.py", DEPLOY, DEPLOY),
    "docs/training.md": (HERE, "it trains for a minute; test_take_named.py follows one alike"),
}
"""By page, of each of its blocks: who runs it, or why nobody does. Tutorials are run whole."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def all_blocks() -> list[tuple[str, Block]]:
    return [(named(page), block) for page in PAGES for block in blocks(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_fence_is_closed_and_found(page: Path) -> None:
    fences = re.findall(r"^```", page.read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(list(blocks(page.read_text())))


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TUTORIALS], ids=named)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    proofs, found = PROOFS.get(named(page), ()), list(blocks(page.read_text()))
    assert len(proofs) == len(found), [block.text for block in found]
    for proof in proofs:
        if proof.startswith("tests/"):
            text = (ROOT / proof).read_text()
            assert page.name in text, f"{proof} does not read {page.name}"
        elif proof != HERE:
            assert len(proof.split()) > 3, "a reason"


@pytest.mark.parametrize("page", TUTORIALS, ids=named)
def test_of_a_tutorial_everything_is_run(page: Path) -> None:
    for block in blocks(page.read_text()):
        assert block.language in {"sh", "python", "yaml"}
        assert not block.mark or len(block.why.split()) > 3, "a reason"


@pytest.mark.parametrize(
    ("page", "place"),
    [(p, place) for p, proofs in PROOFS.items() for place, how in enumerate(proofs) if how == HERE],
)
def test_examples_run(page: str, place: int, tmp_path: Path) -> None:
    """Python in a process of its own; a space file is loaded, a part of one within another."""
    block = list(blocks((ROOT / page).read_text()))[place]
    if block.language == "python":
        (tmp_path / "results").symlink_to(ROOT / "results")
        done = subprocess.run(
            [sys.executable, "-c", block.text], cwd=tmp_path, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return
    make_photos(tmp_path / "photos")
    within = yaml.safe_load((ROOT / "spaces" / "quick.yaml").read_text())
    given = yaml.safe_load(block.text)
    path = tmp_path / "given.yaml"
    path.write_text(yaml.safe_dump(given if "name" in given else {**within, **given}))
    load_space_file(str(path), [])


@pytest.mark.parametrize(("page", "block"), all_blocks())
def test_every_block_is_of_its_language(page: str, block: Block) -> None:
    reader = {
        "python": ast.parse, "yaml": yaml.safe_load, "toml": tomllib.loads,
        "json": lambda text: [json.loads(line) for line in text.splitlines()],
        "sh": lambda text: [shlex.split(line) for line in text.splitlines()],
    }[block.language]  # fmt: skip
    reader(block.text)


def commands(text: str) -> Iterator[list[str]]:
    """Every command line of ours in a page's blocks: fenced, or four spaces in."""
    lines = [line for block in blocks(text) if block.language == "sh" for line in
             re.sub(r"\\\n\s*", " ", block.text).splitlines()]  # fmt: skip
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"\n {8,}", " ", plain)  # goes on with the line before
    lines += re.findall(r"^ {4}(\S.*)", plain, re.MULTILINE)
    for line in lines:
        for part in re.split(r"&&|\s{2,}", re.sub(r"\s#.*|\s{3,}\(.*", "", line)):
            found = re.search(r"(?:^|-m )invsearch ((?!\[)[a-z].*)", part.strip())
            if found is not None:
                yield shlex.split(re.split(r"\s[>&|]", found[1])[0])


def all_commands() -> list[tuple[str, list[str]]]:
    return [(named(page), words) for page in PAGES for words in commands(page.read_text())]


def test_there_are_commands() -> None:
    assert len(all_commands()) > 60


@pytest.mark.parametrize(
    ("page", "words"),
    all_commands(),
    ids=lambda one: one if isinstance(one, str) else " ".join(one),
)
def test_options_and_arguments_are_ours(page: str, words: list[str]) -> None:
    command = typer.main.get_command(app)
    context = typer.Context(command)
    while isinstance(command, typer.core.TyperGroup):
        assert words[0] in command.commands, f"{page}: no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
        context = typer.Context(command, parent=context)
    _, left, _ = command.make_parser(context).parse_args(list(words))  # raises of one unknown
    takes = [one for one in command.params if one.param_type_name == "argument"]
    assert not left or any(one.nargs == -1 for one in takes), f"{page}: too many arguments {left}"


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_word_for_word(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in NEEDS.get(page.stem, ()):
        pytest.importorskip(package)
    make_photos(tmp_path / "photos")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "invsearch").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m invsearch "$@"\n')
    (bin_folder / "invsearch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert len(list(run_page(page, tmp_path))) > 3
