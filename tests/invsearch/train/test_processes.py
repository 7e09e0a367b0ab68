"""Two processes of torchrun train one network as one process with the whole batch does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trained_apart
from torch import nn

from invsearch.errors import InputError
from invsearch.train.batches import Share
from invsearch.train.processes import ALONE, Processes
from invsearch.train.synced_norm import synchronised

HERE = Path(__file__).parent

TOLERANCE = 1e-5
"""Of a weight in float32, relative to the largest of its tensor: sums are taken in another order.
Measured after 20 steps: 5e-7 (and 1e-15 in float64)."""


def torchrun(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "trained_apart", str(folder), "shared"),
        ],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), "."])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_worker_is_killed_and_the_job_started_again_trains_as_one_device(tmp_path: Path) -> None:
    first = torchrun(tmp_path)
    assert first.stdout is not None
    workers: dict[int, int] = {}
    for line in first.stdout:
        words = line.split()
        if words[0] == "process":
            workers[int(words[1])] = int(words[2])
        elif words[:2] == ["1", "5"]:
            os.kill(workers[1], signal.SIGKILL)
    first.stdout.close()
    assert first.wait() != 0
    assert not (tmp_path / "weights.pt").exists()
    again = torchrun(tmp_path)
    assert again.stdout is not None
    steps = sum(not line.startswith("process") for line in again.stdout)
    again.stdout.close()
    assert again.wait() == 0
    assert 2 * 8 < steps < 3 * 8, "nothing was gone on with, or an epoch was lost"
    alone = trained_apart.shared_trainer()
    while not alone.done:
        alone.train_epoch()
    together = torch.load(tmp_path / "weights.pt")
    for name, value in alone.weights().items():
        largest = value.abs().max().item()
        torch.testing.assert_close(together[name], value, rtol=0, atol=TOLERANCE * largest + 1e-9)


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    Processes(Share(0, 4)).check_batch(64)
    with pytest.raises(InputError, match="batch_size 65 .* among 4 processes: 64 or 68 does"):
        Processes(Share(0, 4)).check_batch(65)
    ALONE.check_batch(65)


@pytest.mark.filterwarnings("ignore:.*barrier.*:UserWarning")
def test_norms_of_one_process_are_torchs(tmp_path: Path) -> None:
    """Outputs, gradients and running statistics; and weights keep their names."""
    import torch.distributed as dist

    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sequential(nn.BatchNorm2d(3)))
    nn.init.normal_(plain[1][0].weight)
    ours = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sequential(nn.BatchNorm2d(3)))
    ours.load_state_dict(plain.state_dict())
    ours = synchronised(ours, torch.device("cpu"))
    assert ours.state_dict().keys() == plain.state_dict().keys()
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/met", rank=0, world_size=1)
    try:
        images = torch.randn(4, 2, 5, 5)
        for model in (plain, ours):
            model(images).square().mul(torch.arange(5)).sum().backward()
    finally:
        dist.destroy_process_group()
    for one, other in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain.state_dict(), ours.state_dict())
    plain.eval()
    ours.eval()
    torch.testing.assert_close(plain(images), ours(images))
