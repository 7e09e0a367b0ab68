"""Losses that stay on a device: one sum, and the step of the first that is not finite."""

import pytest
import torch

from invsearch.errors import TrialError
from invsearch.train.losses import Losses

ELSEWHERE = torch.device("cuda")  # only its name is looked at


@pytest.mark.parametrize("device", [torch.device("cpu"), ELSEWHERE])
def test_the_mean_is_of_all_steps(device: torch.device) -> None:
    losses = Losses(1, device)
    for step in range(150):
        losses.add(torch.tensor(float(step)))
    assert losses.mean() == 74.5


def test_on_a_cpu_a_loss_that_is_not_finite_fails_at_once() -> None:
    losses = Losses(2, torch.device("cpu"))
    losses.add(torch.tensor(1.0))
    with pytest.raises(TrialError, match="training loss is inf at epoch 2, step 2"):
        losses.add(torch.tensor(float("inf")))


def test_elsewhere_it_fails_later_and_still_names_its_step() -> None:
    losses = Losses(3, ELSEWHERE)
    for step in range(70):
        losses.add(torch.tensor(float("nan") if step > 65 else 1.0))
    with pytest.raises(TrialError, match="training loss is nan at epoch 3, step 67"):
        losses.mean()
