"""The problem of a space over somebody else's networks, which are counted as they are built."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from invsearch.cost.module_count import check_module, module_count
from invsearch.cost.module_graph import module_digest
from invsearch.errors import InputError, InvsearchError, TrialError
from invsearch.metrics import Metric
from invsearch.models import ModuleSpec
from invsearch.models.module import build_shapes
from invsearch.problem.network import NetworkProblem
from invsearch.space.architecture import Architecture
from invsearch.space.own_model import module_spec, unchanged
from invsearch.space.schema import Model

if TYPE_CHECKING:
    from invsearch.models import NetworkSpec

__all__ = ["ModuleProblem"]

_COUNTED = 256  # architectures that are counted before they are proposed: half a minute
_CHECKED = 8  # architectures that are built and run before anything is spent
_DIGEST_BATCH = 2  # images: the fewest that batch norm trains on


class ModuleProblem(NetworkProblem):
    """Costs are of the network as the builder makes it, counted operation by operation.

    Counting takes a tenth of a second, so a small space is counted as the sampler asks, and of a
    large one each proposal, before it is evaluated.
    """

    def __init__(self, space_file: Any) -> None:
        super().__init__(space_file)
        self._digests: dict[Architecture, Hashable] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._digests = {}

    @property
    def dear(self) -> bool:
        return True

    def spec(self, architecture: Mapping[str, Any]) -> NetworkSpec:
        raise InputError("a model of one's own has no blocks of a family")

    def searched(self, architecture: Mapping[str, Any]) -> ModuleSpec:
        constants, paths = self.space.constants, self.file.search_paths
        return module_spec(self._section, constants, architecture, paths)

    def known(self, architecture: Architecture) -> dict[str, Metric]:
        return super().known(architecture) if self._beforehand else {}

    @property
    def known_names(self) -> tuple[str, ...]:
        """The costs of any architecture that can be built, of a small space."""
        if not self._beforehand:
            return ()
        return tuple(name for one in self._at("before") for name in one.names)

    def measure(self, architecture: Architecture) -> dict[str, Metric]:
        counted = {} if self._beforehand else super().known(architecture)
        return {**counted, **super().measure(architecture)}

    def explained(self, architecture: Architecture) -> dict[str, Metric]:
        try:
            return super().explained(architecture)
        except InvsearchError as error:
            raise TrialError(str(error)) from error

    def identity(self, architecture: Architecture) -> Hashable:
        """The digest of what is computed, where ``model.canonical`` asks for it."""
        if self._section.canonical != "built":
            return architecture
        if architecture not in self._digests:
            self._digests[architecture] = self._digest(architecture)
        return self._digests[architecture]

    def check(self) -> None:
        self.check_built()
        super().check()

    def check_built(self) -> None:
        """Build some of the networks and run them for their shapes.

        Raises:
            InputError: If one cannot be built or run, returns something else than logits, or holds
                an operation that costs something and that nothing counts.
        """
        rng, side = random.Random(0), self._section.resolution
        drawn = dict.fromkeys(self.searched(self.space.sample(rng)) for _ in range(_CHECKED))
        for spec in drawn:
            check_module(spec, (side, side))
            try:
                module_count(spec, (side, side))
            except InvsearchError as error:
                with_what = f"{spec.builder!r} with {dict(spec.parameters)}"
                raise InputError(f"the network of {with_what}: {error}") from error

    def baselines(self) -> dict[str, Architecture]:
        """The network with nothing replaced, where the space holds it."""
        accuracy = self.file.accuracy
        if accuracy is None or not accuracy.baselines or not self.needs_workers:
            return {}
        values = unchanged(self._section, self.space)
        if values is None or self.space.problem(values) is not None:
            return {}
        name = self._section.timm or str(self._section.builder)
        return {name: self.space.canonical(values)}

    @property
    def _section(self) -> Model:
        assert self.file.model is not None
        return self.file.model

    @property
    def _beforehand(self) -> bool:
        return self.space.size() <= _COUNTED

    def _digest(self, architecture: Architecture) -> Hashable:
        spec, side = self.searched(architecture), self._section.resolution
        try:
            module = build_shapes(spec)
            return module_digest(module, (_DIGEST_BATCH, spec.in_channels, side, side))
        except Exception:  # it fails as a trial, with the reason
            return architecture
