"""The problem of a space over a model family: counted costs, measured latency, trained accuracy."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ops
from invsearch import cost, models
from invsearch.errors import InputError, TrialError
from invsearch.metrics import KNOWN_METRICS, Metric
from invsearch.search.evaluation import Evaluation, InstantEvaluation, TrainedEvaluation
from invsearch.search.problem import Problem
from invsearch.search.tabled_latency import TabledLatency
from invsearch.space import SpaceFile
from invsearch.space.architecture import Architecture, Value

if TYPE_CHECKING:
    from invsearch.data import ImageData
    from invsearch.models import BlockSpec, NetworkSpec, TaskSpec
    from invsearch.runs import RunFolder
    from invsearch.train import Trainer

__all__ = ["BASELINES", "NetworkProblem"]

BASELINES: Mapping[str, Mapping[str, Value]] = {
    title: {"family": family.name, "depth": depth}
    for family in models.FAMILIES.values()
    for title, depth in family.baselines.items()
}

_CHECKED_BLOCKS = 8  # of each operator, some 50 ms each
_SAMPLED = 32  # architectures: of a dozen choices each is in some of them


class NetworkProblem(Problem):
    """Costs are of the full-size network, accuracy is of the proxy that the space file states."""

    def __init__(self, space_file: SpaceFile) -> None:
        super().__init__(space_file)
        self._tabled: TabledLatency | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "_tabled": None}

    @property
    def needs_workers(self) -> bool:
        return self._trains

    @property
    def measures(self) -> bool:
        return any(KNOWN_METRICS[name].kind == "measured" for name in self.wanted)

    def spec(self, architecture: Mapping[str, Value]) -> NetworkSpec:
        """The network that an architecture of the space stands for, a task's backbone included."""
        return models.network_spec(self._model, architecture)

    def searched(self, architecture: Mapping[str, Value]) -> NetworkSpec | TaskSpec:
        """What costs are of: the network, or the detector or segmenter around it."""
        return models.searched_spec(self._model, architecture)

    def known(self, architecture: Architecture) -> dict[str, Metric]:
        spec = self.searched(architecture)
        counts = cost.searched_count(spec, resolution=self._resolution)
        shape = cost.searched_shape(spec, self._resolution)
        size = shape[2] if shape[2] == shape[3] else list(shape[2:])
        detail = {"convention": "fvcore", "resolution": size}
        metrics = {
            "params": Metric("params", counts.params, "counted"),
            "macs": Metric("macs", counts.macs, "counted", detail=detail),
        }
        if "peak_memory_bytes" in self.wanted:
            peak = cost.peak_memory(spec, shape)
            metrics["peak_memory_bytes"] = Metric("peak_memory_bytes", peak, "counted")
        if self._tabled is not None:
            metrics["latency_ms"] = self._tabled.predict(self.spec(architecture))
        return metrics

    def measure(self, architecture: Architecture) -> dict[str, Metric]:
        settings = self.file.latency
        if "latency_ms" not in self.wanted or settings is None:
            return {}
        spec = self.spec(architecture)
        latency = cost.latency(
            spec,
            shape=(settings.batch_size, spec.in_channels, *self._timed_size),
            device=settings.device,
            threads=settings.threads,
        )
        if self._tabled is not None:
            predicted = self._tabled.predict(spec)
            kept = {"value": predicted.value, "low": predicted.low, "high": predicted.high}
            latency = replace(latency, detail={**latency.detail, "predicted": kept})
        return {"latency_ms": latency}

    def prepare(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        settings = self.file.latency
        if "latency_ms" not in self.wanted or settings is None or not settings.table:
            return
        tabled = TabledLatency(
            folder.latency_table_path, self.space, self.spec, settings, self._timed_size, say
        )
        tabled.prepare()
        self._tabled = tabled

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        accuracy = self.file.accuracy
        if accuracy is None or not any(KNOWN_METRICS[n].kind == "accuracy" for n in self.wanted):
            return InstantEvaluation({})
        if accuracy.source == "published":
            return InstantEvaluation(self._published(architecture))
        rungs = frozenset(self.file.search.rungs)
        return TrainedEvaluation(lambda: self._trainer(architecture, seed), rungs)

    def baselines(self) -> dict[str, Architecture]:
        if self.file.accuracy is None or not self.file.accuracy.baselines or not self._trains:
            return {}
        found = {name: self._locate(settings) for name, settings in BASELINES.items()}
        return {name: architecture for name, architecture in found.items() if architecture}

    def check(self) -> None:
        """Other people's operators do what they say, at full size and at the proxy's."""
        rng = random.Random(0)
        specs = [self.spec(self.space.sample(rng)) for _ in range(_SAMPLED)]
        _verify_foreign(specs)
        if self._trains:
            _verify_foreign([self._proxy(spec) for spec in specs])

    @cached_property
    def _model(self) -> dict[str, Any]:
        assert self.file.model is not None
        return {**self.file.model.constants(), **self.space.constants}

    @cached_property
    def _resolution(self) -> int:
        assert self.file.model is not None
        return self.file.model.resolution

    @property
    def _timed_size(self) -> tuple[int, int]:
        """(height, width) of the images that latency is of."""
        assert self.file.latency is not None
        side = self.file.latency.resolution or self._resolution
        return side, side

    @property
    def _trains(self) -> bool:
        accuracy = self.file.accuracy
        wants = any(KNOWN_METRICS[name].kind == "accuracy" for name in self.wanted)
        return wants and accuracy is not None and accuracy.source == "trained"

    @cached_property
    def _data(self) -> ImageData:
        from invsearch.data import load_dataset

        accuracy = self.file.accuracy
        assert accuracy is not None
        return load_dataset(
            accuracy.dataset,
            resolution=accuracy.proxy.resolution,
            data_fraction=accuracy.data_fraction,
        )

    def _trainer(self, architecture: Architecture, seed: int) -> Trainer:
        from invsearch.train import Recipe, Trainer, seeded_build

        accuracy = self.file.accuracy
        assert accuracy is not None
        network = seeded_build(lambda: models.build(self._proxy(self.spec(architecture))), seed)
        recipe, width = Recipe.from_mapping(dict(accuracy)), accuracy.proxy.width
        return Trainer(network, self._data, recipe, seed, width=width)

    def _proxy(self, spec: NetworkSpec) -> NetworkSpec:
        """The network that is trained for it."""
        accuracy, data = self.file.accuracy, self._data
        assert accuracy is not None
        return models.proxy_spec(
            spec,
            width=accuracy.proxy.width,
            stem_stride=accuracy.proxy.stem_stride,
            pool=accuracy.proxy.pool,
            num_classes=data.num_classes,
            in_channels=data.channels,
        )

    def _published(self, architecture: Architecture) -> dict[str, Metric]:
        from invsearch.paper import published

        spec = self.spec(architecture)
        for network in published.networks():
            same = models.network_spec(
                {"stem_kernel_size": 7}, {"family": network.family, "depth": network.depth}
            )
            if same == spec:
                detail = {"status": network.status, "dataset": "ImageNet"}
                return {
                    "top1": Metric("top1", network.top1, "published", detail=detail),
                    "error": Metric("error", 100 - network.top1, "published", detail=detail),
                }
        raise TrialError(f"no accuracy is published for {architecture.key}")

    def _locate(self, settings: Mapping[str, Value]) -> Architecture | None:
        """The point of the space that is the network with these settings, if it has one."""
        family = models.FAMILIES[str(settings["family"])]
        own = ops.get(family.operator).complete(family.defaults)
        own |= {name: known.default for name, known in family.settings.items()}
        values = {"width": 1.0, "operator": family.operator, **own, **settings}
        candidate = {}
        for parameter in self.space.parameters:
            value = values.get(parameter.name.rpartition(".")[2])
            if value is not None and parameter.contains(value):
                candidate[parameter.name] = value
        try:
            architecture = self.space.canonical(candidate)
        except (InputError, KeyError, ValueError):
            return None
        target = models.network_spec({"stem_kernel_size": 7, **self._constants()}, settings)
        return architecture if self.spec(architecture) == target else None

    def _constants(self) -> dict[str, Any]:
        return {k: v for k, v in self._model.items() if k in ("num_classes", "in_channels")}


def _verify_foreign(specs: Sequence[NetworkSpec]) -> None:
    """Check other people's operators where these networks have them, some widths of each."""
    found: dict[str, set[tuple[BlockSpec, int]]] = {}
    for spec in specs:
        for place, block in spec.blocks():
            if not ops.get(block.operator).build.__module__.startswith("ops."):
                found.setdefault(block.operator, set()).add((block, place.part.inner_channels))
    for blocks in found.values():
        for block, channels in sorted(blocks, key=str)[:_CHECKED_BLOCKS]:
            cost.verify_closed_form(block, channels)
