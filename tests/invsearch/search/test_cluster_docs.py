"""docs/cluster.md and its files: what they tell a stranger to type is what the command takes."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from invsearch.cli import app
from invsearch.space import load_space_file

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "cluster.md"
FILES = sorted((DOCS / "cluster").iterdir())
PLACEHOLDERS = {"$SPACE": "rednet", "${SPACE}": "rednet", "SPACE": "rednet"}
PLACEHOLDERS["$SLURM_CPUS_PER_TASK"] = "8"


def commands(text: str) -> Iterator[list[str]]:
    """Every `invsearch ...` that a line of a text is or quotes, as words."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        before, found, after = line.partition("invsearch ")
        ours = after.startswith(("run ", "work ")) and "`" not in line
        if found and ours and (not before.strip() or before[-1] in ' "'):
            quoted = before.count('"') % 2 == 1
            words = after.partition('"')[0] if quoted else after
            yield shlex.split(re.split(r"\s(?:[>&|#]|\d>)", words)[0])


def all_commands() -> list[list[str]]:
    manifest = yaml.safe_load((DOCS / "cluster" / "rayjob.yaml").read_text())
    texts = [PAGE.read_text(), manifest["spec"]["entrypoint"]]
    texts += [path.read_text() for path in FILES if path.suffix == ".sh"]
    return [words for text in texts for words in commands(text)]


def test_there_are_commands() -> None:
    assert len(all_commands()) >= 8


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_commands_are_ours(words: list[str]) -> None:
    """Options exist, and the settings they make are valid for the space."""
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    own = command.commands[words[0]]
    context = own.make_context(words[0], [PLACEHOLDERS.get(word, word) for word in words[1:]])
    if words[0] == "run":
        load_space_file(context.params["space"], context.params["overrides"] or [])


def test_the_space_file_example_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    sections: dict[str, dict[str, Any]] = yaml.safe_load(example)
    settings = [
        f"{section}.{key}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}"
        for section, content in sections.items()
        for key, value in content.items()
    ]
    found = load_space_file("rednet", settings)
    assert found.cluster.gpus_per_trial == 0.5
    assert found.cluster.resources == {"a100": 0.5}


def test_every_file_is_named_by_the_page() -> None:
    for path in FILES:
        assert f"cluster/{path.name}" in PAGE.read_text()


def test_manifests_hold_what_ray_asks_for() -> None:
    job = yaml.safe_load((DOCS / "cluster" / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} == {one["name"] for one in container["env"]}
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["volumes"]}
    scaler = yaml.safe_load((DOCS / "cluster" / "autoscaler.yaml").read_text())
    assert scaler["head_node_type"] in scaler["available_node_types"]
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(scaler))


@pytest.mark.parametrize("name", ["slurm.sh", "workers.sh"])
def test_the_slurm_scripts_are_sound_shell(name: str) -> None:
    script = DOCS / "cluster" / name
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
