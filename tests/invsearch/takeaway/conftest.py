"""A small run that trained real networks, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toy import invsearch, passed

SPACE = """
name: small
objectives: {val_loss: minimize, macs: minimize}
model: {family: rednet, resolution: 32}
space:
  width: 0.5
  stage:
    blocks: 1
    operator: [involution, convolution, involution, convolution]
    kernel_size: {choice: [3, 5]}
accuracy: {epochs: 2, data_fraction: 0.1, baselines: false, proxy: {resolution: 8}}
search: {strategy: random, trials: 2}
"""


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``results/small``; copy it before writing."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(SPACE)
    passed(invsearch(folder, "run", "small.yaml", "--executor", "serial"))
    return folder


@pytest.fixture
def small(made_run: Path, tmp_path: Path) -> Path:
    """A folder of the test's own with ``results/small``, a run of two complete trials."""
    shutil.copytree(made_run, tmp_path, dirs_exist_ok=True)
    return tmp_path
