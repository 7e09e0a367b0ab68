"""The process that measures one layer's extra memory: its bytes on standard output."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import ops
from invsearch.bench.layers import UNFOLD, layer_variants, with_format
from invsearch.bench.memory import BATCH, SHAPE

__all__ = ["main"]


def main(candidate: str) -> int:
    """Bytes at the peak of one forward pass, beyond what was there before and its output."""
    layer = ops.Involution2d(SHAPE.channels, SHAPE.kernel_size)
    form = torch.contiguous_format if candidate == UNFOLD else torch.channels_last
    chosen = with_format(layer_variants(layer)[candidate].eval(), form)
    one, x = (
        torch.randn(SHAPE.input_shape(batch)).contiguous(memory_format=form) for batch in (1, BATCH)
    )
    with torch.inference_mode():
        chosen(one)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _status_bytes("VmRSS")
        y = chosen(x)
        peak = _status_bytes("VmHWM")
        output: int = y.nbytes
    return max(0, peak - before - output)


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status has no {name}")


if __name__ == "__main__":
    print(main(sys.argv[1]))
