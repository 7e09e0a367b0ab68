"""Start: the weights that a training starts from, whoever trained them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from invsearch.errors import InputError
from invsearch.models import NetworkSpec, from_official
from invsearch.models.checkpoint import read_checkpoint, state_of
from invsearch.models.official import is_official
from invsearch.takeaway.saved import CONFIG, WEIGHTS

__all__ = ["Start", "weights_file"]

Told = Callable[[str], None]

_HEAD, _STEM = "head.", "stem.0.weight"


def weights_file(path: Path) -> Path:
    """The file with the weights, where a kept folder or its ``config.json`` is named.

    Raises:
        InputError: If there is no such file.
    """
    if path.name == CONFIG:
        path = path.parent
    if path.is_dir():
        path = path / WEIGHTS
    if not path.is_file():
        raise InputError(f"{path}: no such file; name a kept folder or a checkpoint")
    return path


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    Attributes:
        path: A kept folder, a released checkpoint or a state dict of ours.
        tell: Takes a line where the head is left fresh.
    """

    path: Path
    tell: Told = field(default=print, compare=False)

    def describe(self) -> dict[str, Any]:
        """The name and the digest of the file, as JSON has it."""
        file = weights_file(self.path)
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return {"name": self.path.name, "sha256": digest}

    @property
    def official(self) -> bool:
        """Whether these are the weights of a released checkpoint."""
        return is_official(read_checkpoint(weights_file(self.path)))

    def stem_of(self, spec: NetworkSpec) -> NetworkSpec:
        """A network's spec with the stem of a released checkpoint, of which there are two."""
        checkpoint = read_checkpoint(weights_file(self.path))
        if not is_official(checkpoint):
            return spec
        released = from_official(checkpoint).spec
        return replace(spec, stem=released.stem) if released.stages == spec.stages else spec

    def fitting(self, spec: NetworkSpec) -> NetworkSpec:
        """A network's spec with the stem, classes and channels that these weights are of."""
        spec, state = self.stem_of(spec), self._state()
        stem = state.get(_STEM)
        channels = spec.in_channels if stem is None else stem.shape[1]
        classes = _classes({n: v for n, v in state.items() if n.startswith(_HEAD)})
        return replace(spec, num_classes=classes or spec.num_classes, in_channels=channels)

    def load_into(self, network: nn.Module) -> None:
        """Load them into a network; a head of other classes stays as it is, and is told of.

        Raises:
            InputError: If they are of another network.
        """
        state = self._state()
        own = network.state_dict()
        head = [name for name in own if name.startswith(_HEAD)]
        kept = {name: value for name, value in state.items() if name.startswith(_HEAD)}
        if head and {n: v.shape for n, v in kept.items()} != {n: own[n].shape for n in head}:
            there = _classes(kept)
            found = f"a head of {there} classes" if there else "no head"
            self.tell(
                f"{self.path} has {found}: that of the network, of {_classes(own)}, is freshly "
                "initialised"
            )
            state = {n: v for n, v in state.items() if not n.startswith(_HEAD)}
            state |= {name: own[name] for name in head}
        self._check(own, state)
        network.load_state_dict(state)

    def _state(self) -> dict[str, Tensor]:
        checkpoint = read_checkpoint(weights_file(self.path))
        if is_official(checkpoint):
            official = from_official(checkpoint)
            return dict(official.state_dict())
        return state_of(checkpoint)

    def _check(self, own: dict[str, Tensor], state: dict[str, Tensor]) -> None:
        """Name the first difference; two networks have no more in common than their stems."""
        for name in sorted(own.keys() ^ state.keys()):
            where = "the network has" if name in own else f"{self.path} has"
            raise InputError(
                f"{self.path} is of another network: {where} {name!r}, and the other does not"
            )
        for name, value in own.items():
            if not isinstance(state[name], Tensor) or state[name].shape != value.shape:
                shape = tuple(getattr(state[name], "shape", ()))
                raise InputError(
                    f"{self.path} is of another network: {name!r} is {shape} there and "
                    f"{tuple(value.shape)} here{_hint(name, shape, tuple(value.shape))}"
                )


def _classes(state: Mapping[str, Tensor]) -> int:
    """Classes of the head; 0 without one."""
    biases = [value for name, value in state.items() if name.startswith(_HEAD) and value.ndim == 1]
    return len(biases[-1]) if biases else 0


def _hint(name: str, there: tuple[int, ...], here: tuple[int, ...]) -> str:
    if name.startswith("stem.0") and len(there) == len(here) == 4 and there[1] != here[1]:
        return f": it takes images of {there[1]} channels, and the data set has {here[1]}"
    return ""
