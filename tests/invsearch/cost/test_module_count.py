"""Somebody else's networks are counted as they run: equal to fvcore's trace, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ops
from invsearch.cost import searched_count, searched_layers, trace_macs
from invsearch.cost.module_count import check_module
from invsearch.cost.module_graph import module_digest
from invsearch.errors import CheckError, InputError
from invsearch.models import ModuleSpec, build_searched

SOURCE = """
import ops
import torch
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.operator = ops.Involution2d(channels, kernel_size=3)
        self.dead = nn.Linear(3, 4)
    def forward(self, x):
        y = self.operator(self.operator(x)) * self.scale[:, None, None]
        return F.relu(y) @ x.transpose(2, 3)

class Windows(nn.Module):
    def forward(self, x):
        return (F.unfold(x, 3, padding=1).unflatten(1, (-1, 9)) * 2).sum(2).view_as(x)

def build(parameters, num_classes=5, in_channels=3):
    middle = Windows() if parameters.get("windows") else Block(16)
    return nn.Sequential(nn.Conv2d(in_channels, 16, 3, padding=1), middle,
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("builders")
    (folder / "counted_builders.py").write_text(SOURCE)
    return folder


def spec(folder: Path, **parameters: int) -> ModuleSpec:
    given = tuple(parameters.items())
    return ModuleSpec("counted_builders:build", given, num_classes=5, search_paths=(str(folder),))


def test_counts_are_those_of_the_trace_and_the_layers_add_up(folder: Path) -> None:
    network = build_searched(spec(folder))
    counted = searched_count(spec(folder), resolution=12)
    assert counted.macs == trace_macs(network, (1, 3, 12, 12))
    assert counted.params == sum(weight.numel() for weight in network.parameters())
    rows = searched_layers(spec(folder), 12)
    assert sum(row.macs_fvcore for row in rows) == counted.macs
    assert sum(row.params for row in rows) == counted.params
    paper = searched_count(spec(folder), resolution=12, convention="paper")
    assert sum(row.macs_paper for row in rows) == paper.macs
    kinds = {row.name: row.operator for row in rows}
    assert kinds == {
        "0": "convolution",
        "1.operator": "involution",
        "2": "average_pool",
        "4": "linear",
        "functional": "functional",
    }


def test_an_operation_that_nothing_counts_is_refused(folder: Path) -> None:
    with pytest.raises(CheckError, match=r"im2col"):
        searched_count(spec(folder, windows=1), resolution=12)


def test_a_network_returns_a_number_for_each_class(folder: Path) -> None:
    check_module(spec(folder), (12, 12))
    seven = ModuleSpec("counted_builders:build", num_classes=7, search_paths=(str(folder),))
    check_module(seven, (12, 12))
    three = ModuleSpec("torch.nn:Conv2d", num_classes=7)
    with pytest.raises(InputError, match=r"Conv2d"):
        check_module(three, (12, 12))


class Relus(nn.Module):
    """The same numbers by other names, constants, shapes and order."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first = nn.Conv2d(3, 8, 3, padding=2 if how == "padding" else 1)
        self.other = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8, momentum=0.2 if how == "momentum" else 0.1)
        self.drop = nn.Dropout(0.3 if how == "dropout" else 0.2)
        for weight in self.other.parameters():
            weight.requires_grad_(how != "frozen")

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = torch.relu(y) if self.how == "spelling" else F.relu(y)
        z = self.other(y)
        z = z + z if self.how == "flow" else z + y
        return self.drop(self.norm(z))


@pytest.mark.parametrize(
    "how", ["padding", "momentum", "dropout", "frozen", "flow"], ids=lambda how: how
)
def test_a_digest_tells_what_is_computed(how: str) -> None:
    shape = (2, 3, 8, 8)
    plain = module_digest(Relus("plain"), shape)
    assert module_digest(Relus("spelling"), shape) == plain, "another spelling is the same"
    assert module_digest(Relus(how), shape) != plain


def test_a_digest_leaves_the_module_as_it_is() -> None:
    module = nn.Sequential(ops.Involution2d(16), nn.BatchNorm2d(16).eval())
    state = {name: value.clone() for name, value in module.state_dict().items()}
    module_digest(module, (2, 16, 6, 6))
    assert [part.training for part in module] == [True, False]
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
