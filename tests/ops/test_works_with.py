"""What docs/operators.md says works with what: every line of its table names a test that exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ops

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT[TEXT.index("| with |") :].splitlines()[2:] if line.startswith("|")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_line_names_a_test_that_exists(row: str) -> None:
    found = re.search(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
    assert found is not None, row
    assert re.search(rf"^ *def {found[2]}\(", (ROOT / found[1]).read_text(), re.MULTILINE), row


def layer() -> ops.Involution2d:
    torch.manual_seed(0)
    return ops.Involution2d(32, 3).eval().to(memory_format=torch.channels_last)


def image() -> Tensor:
    x = torch.randn(2, 32, 6, 5, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("gradients", [False, True])
def test_offloaded_weights(gradients: bool) -> None:
    module, x = layer(), image()
    with torch.no_grad():
        expected = layer()(x)
    for part in module.modules():
        kept = dict(part._parameters)

        def fill(part: nn.Module, _: Any, kept: dict[str, Any] = kept) -> None:
            part._parameters.update(kept)

        def empty(part: nn.Module, *_: Any, kept: dict[str, Any] = kept) -> None:
            part._parameters.update(
                {name: p if p is None else nn.Parameter(p.to("meta")) for name, p in kept.items()}
            )

        part.register_forward_pre_hook(fill)
        part.register_forward_hook(empty)
        empty(part)
    with torch.set_grad_enabled(gradients):
        torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)


class Quantised(Tensor):
    """Int8 numbers and a scale that stand for a weight, as libraries for quantisation have them."""

    numbers: Tensor
    scale: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor, scale: Tensor) -> Quantised:
        return Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=torch.float32)

    def __init__(self, numbers: Tensor, scale: Tensor) -> None:
        self.numbers, self.scale = numbers, scale

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.ops.aten.detach.default:
            return cls(args[0].numbers, args[0].scale)
        full = torch.utils._pytree.tree_map(
            lambda one: one.numbers * one.scale if isinstance(one, cls) else one, args
        )
        return func(*full, **(kwargs or {}))


def test_quantised_weights() -> None:
    module, exact, x = layer(), layer(), image()
    for part, other in zip(module.modules(), exact.modules(), strict=True):
        if isinstance(part, nn.Conv2d):
            scale = part.weight.detach().abs().max() / 127
            numbers = (part.weight.detach() / scale).round().to(torch.int8)
            part.weight = nn.Parameter(Quantised(numbers, scale), requires_grad=False)
            other.weight = nn.Parameter(numbers * scale)
    with torch.no_grad():
        torch.testing.assert_close(module(x), exact(x), rtol=1e-4, atol=1e-5)


SHARDED = """
import torch, ops
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
mesh = init_device_mesh("cpu", (1,))
x = torch.randn(2, 32, 6, 5).contiguous(memory_format=torch.channels_last)
for low in (False, True):
    layer = ops.Involution2d(32, 3).eval()
    with torch.no_grad():
        expected = layer(x)
    if low:
        norm = MixedPrecisionPolicy(param_dtype=torch.float32, output_dtype=torch.bfloat16)
        fully_shard(layer.generator.norm, mesh=mesh, mp_policy=norm)
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16 if low else None)
    fully_shard(layer, mesh=mesh, mp_policy=policy)
    y = layer(x)
    y.float().sum().backward()
    wide = 5e-2 if low else 1e-4
    torch.testing.assert_close(y.float(), expected, rtol=wide, atol=wide)
dist.destroy_process_group()
"""


def test_fully_sharded() -> None:
    done = subprocess.run([sys.executable, "-c", SHARDED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


PARALLEL = """
import copy, sys
import torch, ops
import torch.distributed as dist
from torch import nn
rank = int(sys.argv[1])
dist.init_process_group("gloo", rank=rank, world_size=2, init_method="file://" + sys.argv[2])
torch.manual_seed(0)
alone = nn.Sequential(
    nn.Conv2d(3, 32, 1),
    ops.Involution2d(32, 3),
    ops.Involution2d(32, 5, stride=2),
    nn.Conv2d(32, 4, 1),
).eval()  # batch statistics are each process's own
parallel = nn.parallel.DistributedDataParallel(copy.deepcopy(alone))
images = torch.randn(4, 3, 12, 9)
for _ in range(2):
    for module, x in ((alone, images), (parallel, images[2 * rank : 2 * rank + 2])):
        module.zero_grad(set_to_none=True)
        module(x).square().mean().backward()
    for one, other in zip(parallel.module.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)
dist.destroy_process_group()
"""


def test_data_parallel_in_two_processes(tmp_path: Path) -> None:
    """Gradients of halves of a batch, averaged, are those of the batch."""
    command = [sys.executable, "-c", PARALLEL]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "meet")], stderr=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    for process in ranks:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors[-2000:]
