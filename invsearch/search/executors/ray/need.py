"""Need: what one trial takes of a node, and how many of them a cluster runs at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from invsearch.errors import InputError
from invsearch.space.schema import Cluster

__all__ = ["Need"]

_NAMED = 4  # nodes in a message; more would hide what it says
_EXACT = 1e-4  # Ray counts resources in ten thousandths


@dataclass(frozen=True)
class Need:
    """What one trial takes of a node.

    Attributes:
        cpus: CPUs.
        gpus: GPUs; a fraction shares one.
        resources: Amounts of resources that nodes were given names for.
    """

    cpus: float = 1
    gpus: float = 0
    resources: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, cluster: Cluster) -> Need:
        """What a space file's ``cluster`` section says."""
        return cls(cluster.cpus_per_trial, cluster.gpus_per_trial, cluster.resources)

    @property
    def threads(self) -> int:
        """Torch's threads for one trial."""
        return max(1, int(self.cpus))

    def bundle(self) -> dict[str, float]:
        """The same for Ray Tune."""
        return {"cpu": self.cpus, "gpu": self.gpus, **self.resources}

    def slots(self, offered: Mapping[str, float]) -> int:
        """How many trials a node with these resources runs at a time."""
        return min(
            int(offered.get(name, 0) / amount + _EXACT) for name, amount in self._named().items()
        )

    def capacity(self, nodes: Iterable[Mapping[str, Any]]) -> int:
        """How many trials the nodes, as ``ray.nodes()`` gives them, run at a time."""
        return sum(self.slots(node["Resources"]) for node in nodes if node["Alive"])

    def check(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """Refuse what no node can ever run: Tune would wait for it without end, in silence.

        Raises:
            InputError: It says what is needed and what the nodes have.
        """
        alive = [node for node in nodes if node["Alive"]]
        if self.capacity(alive) > 0:
            return
        wanted = _words(self._named())
        offers = [f"{node['NodeManagerAddress']} has {self._offer(node)}" for node in alive]
        more = f" and {len(offers) - _NAMED} more nodes" if len(offers) > _NAMED else ""
        raise InputError(
            f"no node of the cluster can run a trial, which needs {wanted}: "
            f"{', '.join(offers[:_NAMED])}{more}; change cluster: in the space file, add such a "
            "node, or set cluster.autoscale where the cluster adds nodes itself"
        )

    def _named(self) -> dict[str, float]:
        named = {"CPU": self.cpus, "GPU": self.gpus, **self.resources}
        return {name: amount for name, amount in named.items() if amount > 0}

    def _offer(self, node: Mapping[str, Any]) -> str:
        return _words({name: node["Resources"].get(name, 0) for name in self._named()})


def _words(amounts: Mapping[str, float]) -> str:
    return " + ".join(f"{math.floor(a * 1e4) / 1e4:g} {name}" for name, a in amounts.items())
