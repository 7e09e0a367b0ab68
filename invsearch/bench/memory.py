"""The memory that one layer needs beyond its input and output, seen by the operating system."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from invsearch.bench.shapes import REDNET50, LayerShape
from invsearch.errors import TrialError
from ops.timing.fresh_process import ask_fresh_process

__all__ = ["AT_MOST", "BACKENDS", "BATCH", "SHAPE", "ExtraMemory", "extra_memory"]

_WORKER = "invsearch.bench.memory_worker"
_MMAP_BYTES = "65536"

AT_MOST = 0.1
"""The part of the kernel tensor that a layer's extra memory may be."""

BATCH = 8  # images, as in the benchmark's other rows
SHAPE: LayerShape = next(shape for shape in REDNET50 if shape.name == "s1")
BACKENDS = ("default", "native", "torch", "unfold")


@dataclass(frozen=True)
class ExtraMemory:
    """Of one forward pass.

    Attributes:
        candidate: `default`, or the back end that an unfused layer ran by.
        extra_bytes: Growth of the resident memory at its peak, without the output.
        kernel_bytes: Of the layer's kernel tensor.
    """

    candidate: str
    extra_bytes: int
    kernel_bytes: int

    @property
    def part(self) -> float:
        """`extra_bytes` over `kernel_bytes`."""
        return self.extra_bytes / self.kernel_bytes

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "part": self.part, "at_most": AT_MOST}


def extra_memory(candidate: str, threads: int = 1) -> ExtraMemory:
    """Measures one layer of the first stage (56 x 56), 8 images, in a fresh process.

    The process runs one image first, so that libraries and thread pools are there, resets the peak
    that the operating system keeps of its resident memory, and runs the layer once. Its allocator
    returns every large block at once, so none hides in memory that was used before.

    Raises:
        TrialError: If the process fails: the peak can be reset under Linux only.
    """
    environment = {"OMP_NUM_THREADS": str(threads), "MALLOC_MMAP_THRESHOLD_": _MMAP_BYTES}
    answer = ask_fresh_process(_WORKER, candidate, environment=environment)
    if answer.code:
        raise TrialError(f"memory of {candidate}: {answer.reason}")
    extra = int(answer.line)
    shape = SHAPE
    kernel = 4 * BATCH * shape.kernel_size**2 * shape.channels // 16 * shape.output_size**2
    return ExtraMemory(candidate, extra, kernel)
