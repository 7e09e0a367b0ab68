"""A network on disk: ``config.json``, and ``model.safetensors`` where it is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from invsearch import cost
from invsearch.cost.module_count import module_count
from invsearch.errors import InputError
from invsearch.metrics import Metric
from invsearch.models import ModuleSpec, SearchedSpec, TaskSpec, build_searched, spec_from_json
from invsearch.models.checkpoint import read_checkpoint
from invsearch.runs.files import dump_json
from invsearch.runs.outputs import write_checked
from invsearch.space.referred import beside_module
from invsearch.space.sources import SOURCES
from invsearch.takeaway.card import CARD, model_card
from invsearch.takeaway.operators import require_operators

__all__ = ["CONFIG", "WEIGHTS", "SavedNetwork", "config_of", "costs", "load_network"]
__all__ += ["save_network", "write_bytes"]

FORMAT, SCHEMA = "invsearch-network", 2  # of config.json
_PARAMETERS = "parameters"  # of the architecture; in schema 1 they were called architecture
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class SavedNetwork:
    """A saved network.

    Attributes:
        path: Its folder.
        config: ``config.json``.
        file: The file that is read from: ``config.json``, or what ``invsearch export`` wrote.
    """

    path: Path
    config: Mapping[str, Any]
    file: Path | None = None

    @property
    def spec(self) -> SearchedSpec:
        spec = spec_from_json(self.config["network"])
        if isinstance(spec, ModuleSpec):  # its module is kept beside it
            return spec.at(self.path.resolve() / SOURCES, Path.cwd())
        return spec

    @property
    def training(self) -> Mapping[str, Any]:
        """How it was trained: ``recipe``, ``seed``, ``dataset``, ...; empty if it is not."""
        training: Mapping[str, Any] = self.config["training"] or {}
        return training

    @property
    def resolution(self) -> int:
        """Side of its images in pixels."""
        return int(self.config["input_shape"][-1])

    @property
    def origin(self) -> dict[str, Any]:
        """Where the network comes from, as ``config.json`` has it."""
        known = ("run", "trial", "operators")
        there = {name: self.config[name] for name in known if name in self.config}
        return {**there, "architecture": self.config[_PARAMETERS]}

    @property
    def metrics(self) -> dict[str, Metric]:
        found = self.config["metrics"]
        return {name: Metric.from_json(name, data) for name, data in found.items()}

    @classmethod
    def open(cls, folder: str | Path) -> SavedNetwork:
        """Read a folder's ``config.json``.

        Args:
            folder: The folder; or the file, such as the spec that ``invsearch export`` wrote.

        Raises:
            InputError: If there is none, or it is not one of ours.
        """
        path = Path(folder)
        file, path = (path, path.parent) if path.is_file() else (path / CONFIG, path)
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(_missing(path)) from None
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read: {error}") from None
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise InputError(f"{file} was not written by `invsearch train`")
        if config.get("schema") == 1:
            config = {**config, _PARAMETERS: config.get("architecture")}
        elif config.get("schema") != SCHEMA:
            raise InputError(
                f"{file} has schema {config.get('schema')!r}; this version reads 1 and {SCHEMA}"
            )
        return cls(path, config, file)

    def network(self) -> nn.Module:
        """Build the network and load its weights.

        Returns:
            The network in eval mode.

        Raises:
            InputError: If an operator is not registered, or the weights do not fit.
        """
        network = self.fresh()
        weights = read_checkpoint(self.path / WEIGHTS)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{self.path / WEIGHTS} does not fit {CONFIG}: {reason}") from None
        return network.eval()

    def fresh(self) -> nn.Module:
        """Build the network without its weights.

        Raises:
            InputError: If an operator is not registered.
        """
        require_operators(self.spec, self.config.get("operators", []), self.path)
        return build_searched(self.spec)


def load_network(folder: str | Path) -> nn.Module:
    """Load a network that ``invsearch train -o FOLDER`` saved.

    Returns:
        The network in eval mode; forward takes images (B, C, H, W), each channel of mean 0 and
        deviation 1 over the training set, to logits (B, classes), a segmenter's (B, classes, H, W).

    Raises:
        InputError: If the folder holds no such network, or an operator of it is not registered.
    """
    return SavedNetwork.open(folder).network()


def config_of(
    origin: Mapping[str, Any],
    spec: SearchedSpec,
    resolution: int | tuple[int, int],
    *,
    metrics: Mapping[str, Metric],
    training: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is written beside a network.

    Args:
        origin: Where it comes from: ``run``, ``trial``, ``architecture`` and ``operators``.
        spec: The network itself.
        resolution: Side of its images in pixels, or (height, width).
        metrics: Its own metrics; what it costs is counted and added.
        training: How it was trained; None if it is not.
    """
    found = {**costs(spec, resolution), **metrics}
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "run": origin["run"],
        "trial": origin["trial"],
        _PARAMETERS: origin["architecture"],
        "network": spec.to_json(),
        "input_shape": [1, spec.in_channels, *_sides(resolution)],
        "operators": list(origin["operators"]),
        "training": training,
        "metrics": {name: metric.to_json() for name, metric in found.items()},
    }


def costs(spec: SearchedSpec, resolution: int | tuple[int, int]) -> dict[str, Metric]:
    """Parameters and multiply-adds of a network, for images of a side or of (height, width)."""
    size = _sides(resolution)
    if isinstance(spec, ModuleSpec):
        counts = module_count(spec, size)
    elif isinstance(spec, TaskSpec):
        counts = cost.task_count(spec, resolution=size, convention="fvcore")
    else:
        counts = cost.count(spec, resolution=size, convention="fvcore")
    side = size[0] if size[0] == size[1] else list(size)
    detail = {"convention": "fvcore", "resolution": side}
    return {
        "params": Metric("params", counts.params, "counted"),
        "macs": Metric("macs", counts.macs, "counted", detail=detail),
    }


def _sides(resolution: int | tuple[int, int]) -> tuple[int, int]:
    return (resolution, resolution) if isinstance(resolution, int) else resolution


def save_network(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write weights, a builder's module, the card, then the config: with that a folder is whole."""
    from safetensors.torch import save

    spec = spec_from_json(config["network"])
    if isinstance(spec, ModuleSpec) and spec.module_name:
        for found in beside_module(spec.module_name):
            write_bytes(folder / SOURCES / found.file, found.origin.read_bytes())
    metrics = {name: Metric.from_json(name, data) for name, data in config["metrics"].items()}
    write_bytes(folder / CARD, model_card(config, spec, metrics).encode())
    write_bytes(folder / WEIGHTS, save(dict(weights), {"format": "pt"}))
    write_bytes(folder / CONFIG, (dump_json(config, indent=2) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a whole file; its folder is made where it is missing.

    Raises:
        InputError: If it cannot be written, or is a part of a run.
    """
    write_checked(path, data)


def _missing(path: Path) -> str:
    if not path.is_dir():
        return f"there is no folder {str(path)!r}: make one with `invsearch train RUN TRIAL -o`"
    inside = sorted(found.parent.name for found in path.glob(f"*/{CONFIG}"))
    if inside:
        return f"{path} holds several networks: name one of {', '.join(inside)} in it"
    if (path / "checkpoint.pt").is_file():
        return f"{path} holds a training that is not finished: the same `train` command goes on"
    return f"{path} holds no network: no {CONFIG}; make one with `invsearch train RUN TRIAL -o`"
