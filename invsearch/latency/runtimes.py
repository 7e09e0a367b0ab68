"""The runtimes that a target may name: what becomes of a network before it is timed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["COMPILED", "CUDA_GRAPH", "FROZEN", "TORCH", "Runtime"]


@dataclass(frozen=True)
class Runtime:
    """A way to run a network.

    Attributes:
        name: Its row in :data:`invsearch.plugins.RUNTIMES`.
        prepare: From the network in eval mode, on its device, and an example input, to what runs.
        devices: Kinds of device that it runs on.
        dtypes: Of the weights.
        packages: What must be installed, and by which extra of ours.
        parts: Whether blocks can be timed alone by it, for a table.
        cuda_graph: Whether the pass is captured and replayed.
    """

    name: str
    prepare: Callable[[nn.Module, Tensor], nn.Module | Callable[[Tensor], Any]]
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtypes: tuple[str, ...] = ("fp32", "bf16", "fp16")
    packages: tuple[tuple[str, str], ...] = ()
    parts: bool = True
    cuda_graph: bool = False

    def problem(self, device: str, dtype: str) -> str | None:
        """Why it cannot run networks of this type on this device here; None if it can."""
        kind = device.partition(":")[0]
        if kind not in self.devices:
            return f"runtime {self.name!r} runs on {' and '.join(self.devices)}, not on {device}"
        if dtype not in self.dtypes:
            return f"runtime {self.name!r} runs {' and '.join(self.dtypes)}, not {dtype}"
        for package, extra in self.packages:
            if importlib.util.find_spec(package) is None:
                return (
                    f"runtime {self.name!r} needs the package {package}: "
                    f"pip install 'invsearch[{extra}]'"
                )
        return None


def _as_it_is(network: nn.Module, x: Tensor) -> nn.Module:
    return network


def _frozen(network: nn.Module, x: Tensor) -> nn.Module:
    import ops

    return ops.freeze(network)


def _compiled(network: nn.Module, x: Tensor) -> nn.Module:
    """``torch.compile``; on a CPU weights are frozen into the program, as a deployment's are."""
    import torch
    from torch._inductor import config

    with config.patch(freezing=x.device.type == "cpu"), torch.inference_mode():
        compiled: Any = torch.compile(network)
        compiled(x)
    return compiled  # type: ignore[no-any-return]


TORCH = Runtime("torch", _as_it_is)
FROZEN = Runtime("frozen", _frozen)
COMPILED = Runtime("compiled", _compiled, parts=False)
CUDA_GRAPH = Runtime("cuda_graph", _as_it_is, devices=("cuda",), cuda_graph=True)
