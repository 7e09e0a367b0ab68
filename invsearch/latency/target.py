"""Target: a device, and how networks are run on it; a latency is of one and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invsearch.space import Timing

__all__ = ["HERE", "Target"]


@dataclass(frozen=True)
class Target:
    """Where and how a network is timed.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: CPU threads of the process, set before torch is imported there.
        dtype: Of input and weights: ``fp32``, ``bf16`` or ``fp16``.
        memory_format: ``channels_last`` or ``contiguous``.
        runtime: A row of :data:`invsearch.plugins.RUNTIMES`.
        undisturbed: Whether a disturbed measurement is rejected and taken again.
    """

    device: str = "cpu"
    threads: int = 1
    dtype: str = "fp32"
    memory_format: str = "channels_last"
    runtime: str = "torch"
    undisturbed: bool = False

    @classmethod
    def of(cls, section: Timing, *, undisturbed: bool) -> Target:
        """What a space file's section says.

        Args:
            section: ``latency`` or one of its targets.
            undisturbed: Where the section does not say it.
        """
        said = section.undisturbed
        return cls(
            device=section.device,
            threads=section.threads,
            dtype=section.dtype,
            memory_format=section.memory_format,
            runtime=section.runtime,
            undisturbed=undisturbed if said is None else said,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Target:
        return cls(**data)

    def conditions(self, batch_size: int, resolution: Sequence[int]) -> dict[str, Any]:
        """What a latency depends on beside the network and the machine, as plain data."""
        return {
            "device": self.device,
            "batch_size": batch_size,
            "threads": self.threads,
            "resolution": list(resolution),
            "dtype": self.dtype,
            "memory_format": self.memory_format,
            "runtime": self.runtime,
        }


HERE = Target()
"""One thread of this machine's CPU, eager, in float32."""
