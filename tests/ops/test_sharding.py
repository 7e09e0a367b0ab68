"""A layer on distributed tensors computes what it does on plain ones, and stays split by image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import copy, itertools, sys, torch, torch.distributed as dist
{first}
{second}
from torch.distributed.tensor import Replicate, Shard, distribute_module, distribute_tensor
from torch.distributed.tensor import init_device_mesh

dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=0, world_size=1)
mesh = init_device_mesh("cpu", (1,))
generators = ["linear"]
try:
    distribute_module(torch.nn.BatchNorm2d(2), mesh)(
        distribute_tensor(torch.randn(2, 2, 1, 1), mesh, [Replicate()])
    )
    generators.append("bottleneck")
except NotImplementedError:  # an old torch, whose batch norm takes no distributed tensors
    assert torch.__version__ < "2.13"
for generator, placement, gradients in itertools.product(
    generators, (Shard(0), Replicate()), (False, True)
):
    plain = ops.Involution2d(32, 3, generator=generator).train(gradients)
    layer = distribute_module(copy.deepcopy(plain), mesh)
    x = torch.randn(2, 32, 6, 5)
    with torch.set_grad_enabled(gradients):
        expected, y = plain(x), layer(distribute_tensor(x, mesh, [placement]))
    assert y.placements == (placement,), y.placements
    torch.testing.assert_close(y.full_tensor(), expected, rtol=1e-4, atol=1e-5)
    if gradients:
        expected.square().sum().backward()
        y.full_tensor().square().sum().backward()
        for p, q in zip(layer.parameters(), plain.parameters()):
            torch.testing.assert_close(p.grad.full_tensor(), q.grad, rtol=1e-3, atol=1e-4)
dist.destroy_process_group()
"""
IMPORTS = ("import ops", "import torch.distributed.tensor")


@pytest.mark.parametrize("order", [IMPORTS, IMPORTS[::-1]])
def test_distributed_tensors(order: tuple[str, str], tmp_path: Path) -> None:
    """Whichever is imported first, in a process of its own with a group of one."""
    code = CODE.format(first=order[0], second=order[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
