"""Tables of what a space file may name: a row is a name and where its object is.

Rows of ours stand here; a third party's come from the entry points of its distribution, which are
written in the same way. An object is imported when it is asked for by name, so listing names costs
nothing and a broken plug-in stands in nobody's way but its own.

A new strategy, executor, data set or provider of metrics is one file and one row below.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, TypeVar

from invsearch.errors import InputError, nearest

__all__ = [
    "AUGMENTATIONS",
    "CALLBACKS",
    "DATASETS",
    "DECODERS",
    "EXECUTORS",
    "PROVIDERS",
    "PROXIES",
    "RUNTIMES",
    "SEARCH_CALLBACKS",
    "STRATEGIES",
    "PluginError",
    "Table",
    "entry_points",
]

T = TypeVar("T")


class PluginError(InputError):
    """A plug-in that cannot be used; the message names the distribution that brought it."""


class Table:
    """What one word of a space file, or of the command line, may be.

    Args:
        kind: What a row is, in words: ``strategy``.
        group: The entry-point group of third parties.
        rows: By name ``package.module:object``, as an entry point has it.
    """

    def __init__(self, kind: str, group: str, rows: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._rows: dict[str, Any] = {
            name: metadata.EntryPoint(name, target, group) for name, target in rows.items()
        }

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __str__(self) -> str:
        return ", ".join(self.names())

    def names(self) -> tuple[str, ...]:
        """Every name: ours, those added, and third parties', which are not imported for this."""
        return tuple(dict.fromkeys([*self._rows, *(point.name for point in self._found())]))

    def ours(self) -> tuple[str, ...]:
        """The names of our own rows and of those added, without looking for distributions."""
        return tuple(self._rows)

    def add(self, name: str, row: object) -> None:
        """Add a row for the rest of this process; a distribution has an entry point instead.

        Raises:
            ValueError: If the name is taken.
        """
        if name in self:
            raise ValueError(f"there is a {self.kind} called {name!r} already")
        self._rows[name] = row

    def remove(self, name: str) -> None:
        """Remove a row that :meth:`add` added."""
        del self._rows[name]

    def get(self, name: str, kind: type[T]) -> T:
        """Return the object behind a name; ours before a third party's of the same name.

        Args:
            name: The name.
            kind: The class that the object must be of.

        Raises:
            InputError: If the name is in no row; it names the nearest.
            PluginError: If the plug-in of that name cannot be imported, or is something else.
        """
        row = self._rows.get(name)
        if row is None:
            row = self._only(name)
        if not isinstance(row, metadata.EntryPoint):
            return self._checked(row, kind, f"the {self.kind} {name!r}")
        try:
            found = row.load()
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"{self._origin(row)} cannot be loaded: {reason}") from error
        return self._checked(found, kind, self._origin(row))

    @staticmethod
    def forget_found() -> None:
        """Look for distributions anew, where one was installed while we ran."""
        _entry_points.cache_clear()

    def _only(self, name: str) -> metadata.EntryPoint:
        points = [point for point in self._found() if point.name == name]
        if not points:
            raise InputError(
                f"no {self.kind} is called {name!r}{nearest(name, self)}; there are: {self}"
            )
        if len({point.value for point in points}) > 1:
            owners = " and ".join(sorted(_owner(point) for point in points))
            raise PluginError(f"the {self.kind} {name!r} comes from {owners}: uninstall one")
        return points[0]

    def _found(self) -> tuple[metadata.EntryPoint, ...]:
        return _entry_points(self.group, tuple(sys.path))

    def _origin(self, point: metadata.EntryPoint) -> str:
        return f"the {self.kind} {point.name!r} of {_owner(point)} ({point.value})"

    def _checked(self, found: object, kind: type[T], origin: str) -> T:
        if not isinstance(found, kind):
            raise PluginError(f"{origin} is a {type(found).__name__}, not a {kind.__name__}")
        return found


def _owner(point: metadata.EntryPoint) -> str:
    distribution = point.dist
    return f"{distribution.name} {distribution.version}" if distribution else "invsearch"


def entry_points(group: str) -> Iterator[tuple[str, object]]:
    """Load the entry points of a group, in order of their names.

    One that cannot be loaded is left out with a warning that names its distribution: a broken
    plugin must not take the others down.

    Args:
        group: Such as ``invsearch.families``.

    Yields:
        The name of each entry point and the object that it names.
    """
    for point in sorted(metadata.entry_points(group=group), key=lambda point: point.name):
        try:
            found = point.load()
        except Exception as error:
            owner = point.dist.name if point.dist is not None else "an unknown distribution"
            warnings.warn(
                f"the plugin {point.name!r} of {owner} ({group}) cannot be loaded and is left out: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
        else:
            yield point.name, found


@functools.lru_cache(maxsize=16)  # a few groups, for the few states of sys.path of a process
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    """Third parties' rows; the path is that of the modules, which may grow while we run."""
    return tuple(metadata.entry_points(group=group))


STRATEGIES = Table(
    "strategy",
    "invsearch.strategies",
    {
        "cost_aware": "invsearch.search.strategies.cost_aware:COST_AWARE",
        "nsga2": "invsearch.search.strategies.nsga2:NSGA2",
        "tpe": "invsearch.search.strategies.tpe:TPE",
        "evolution": "invsearch.search.strategies.evolution:EVOLUTION",
        "gp": "invsearch.search.strategies.gp:GP",
        "botorch": "invsearch.search.strategies.botorch:BOTORCH",
        "random": "invsearch.search.strategies.uniform:RANDOM",
        "exhaustive": "invsearch.search.strategies.exhaustive:EXHAUSTIVE",
    },
)

EXECUTORS = Table(
    "executor",
    "invsearch.executors",
    {
        "ray": "invsearch.search.executors.ray:RAY",
        "serial": "invsearch.search.executors.serial:SERIAL",
        "folder": "invsearch.search.executors.folder:FOLDER",
    },
)

DATASETS = Table(
    "data set",
    "invsearch.datasets",
    {
        "digits": "invsearch.data.digits:DIGITS",
        "fashion_mnist": "invsearch.data.fashion_mnist:FASHION_MNIST",
        "digit_scenes": "invsearch.data.digit_scenes:DIGIT_SCENES",
        "cifar10": "invsearch.data.found:CIFAR10",
        "cifar100": "invsearch.data.found:CIFAR100",
        "tiny_imagenet": "invsearch.data.found:TINY_IMAGENET",
        "imagenet": "invsearch.data.found:IMAGENET",
    },
)

DECODERS = Table(
    "decoder",
    "invsearch.decoders",
    {
        "auto": "invsearch.data.decoders.pillow:PILLOW",
        "pillow": "invsearch.data.decoders.pillow:PILLOW",
        "torchvision": "invsearch.data.decoders.torchvision:TORCHVISION",
        "turbojpeg": "invsearch.data.decoders.turbojpeg:TURBOJPEG",
    },
)
"""``auto`` is Pillow wherever others are installed too: decoders differ by rounding, and a training
must be the same on another machine."""

AUGMENTATIONS = Table(
    "augmentation",
    "invsearch.augmentations",
    {
        "augment": "invsearch.train.augment.shift:SHIFT",
        "crop": "invsearch.train.augment.crop:CROP",
        "colour": "invsearch.train.augment.colour:COLOUR",
        "randaugment": "invsearch.train.augment.randaugment:RANDAUGMENT",
        "cutout": "invsearch.train.augment.cutout:CUTOUT",
        "erasing": "invsearch.train.augment.erasing:ERASING",
        "mixup": "invsearch.train.augment.mixup:MIXUP",
        "cutmix": "invsearch.train.augment.cutmix:CUTMIX",
    },
)

CALLBACKS = Table(
    "callback",
    "invsearch.callbacks",
    {
        "tensorboard": "invsearch.train.callbacks.tensorboard:TensorBoard",
        "mlflow": "invsearch.train.callbacks.mlflow:MLflow",
        "wandb": "invsearch.train.callbacks.wandb:WeightsAndBiases",
    },
)

PROXIES = Table(
    "proxy",
    "invsearch.proxies",
    {
        "params": "invsearch.accuracy.proxies.params:PARAMS",
        "macs": "invsearch.accuracy.proxies.macs:MACS",
        "blocks": "invsearch.accuracy.proxies.blocks:BLOCKS",
        "operator_shares": "invsearch.accuracy.proxies.operator_shares:OPERATOR_SHARES",
        "jacobian_covariance": (
            "invsearch.accuracy.proxies.jacobian_covariance:JACOBIAN_COVARIANCE"
        ),
        "naswot": "invsearch.accuracy.proxies.naswot:NASWOT",
    },
)

SEARCH_CALLBACKS = Table(
    "callback of searches",
    "invsearch.search_callbacks",
    {
        "tensorboard": "invsearch.search.callbacks.tensorboard:TensorBoard",
        "mlflow": "invsearch.search.callbacks.mlflow:MLflow",
        "wandb": "invsearch.search.callbacks.wandb:WeightsAndBiases",
    },
)

RUNTIMES = Table(
    "runtime",
    "invsearch.runtimes",
    {
        "torch": "invsearch.latency.runtimes:TORCH",
        "frozen": "invsearch.latency.runtimes:FROZEN",
        "compiled": "invsearch.latency.runtimes:COMPILED",
        "cuda_graph": "invsearch.latency.runtimes:CUDA_GRAPH",
        "onnxruntime": "invsearch.latency.onnx_runtimes:ONNXRUNTIME",
        "onnxruntime_portable": "invsearch.latency.onnx_runtimes:ONNXRUNTIME_PORTABLE",
        "openvino": "invsearch.latency.onnx_runtimes:OPENVINO",
        "openvino_portable": "invsearch.latency.onnx_runtimes:OPENVINO_PORTABLE",
    },
)

PROVIDERS = Table(
    "provider of metrics",
    "invsearch.metrics",
    {
        "counted": "invsearch.cost.provider:Counted",
        "peak_memory": "invsearch.cost.provider:PeakMemory",
        "tabled": "invsearch.latency.provider:Tabled",
        "measured": "invsearch.latency.provider:Measured",
        "published": "invsearch.accuracy.published:Published",
        "trained": "invsearch.accuracy.trained:Trained",
    },
)
"""In the order in which they are asked; a third party's come last."""
