"""Steps of a training: ours beside a plain PyTorch loop, and RedNet beside ResNet.

A call is one step of a network with 26 layers: a batch of random pixels is drawn, normalised and
learned from. The plain loop is what torchvision's reference trains with: its own modules one after
the other, a ``DataLoader`` over normalised tensors, AdamW.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.utils.data import DataLoader, TensorDataset

from invsearch.bench.case import Candidate, Case, Run, Settings
from invsearch.bench.layers import seeded
from invsearch.bench.networks import BRANCH
from invsearch.data import ImageData
from invsearch.data.images import Scale
from invsearch.models import build, family_spec, portable, proxy_spec
from invsearch.models.blocks import Bottleneck
from invsearch.train.batches import batches_of
from invsearch.train.recipe import Recipe
from invsearch.train.step import Step

__all__ = ["PLAIN", "SCALES", "OurLoop", "PlainBottleneck", "throughput_cases"]

PLAIN = "plain loop"
_CLASSES = 10  # as the small data sets have
_IMAGES = 1024  # sixteen steps an epoch: the data set is no bottleneck, and is walked again


@dataclass(frozen=True)
class Scale26:
    """A size at which networks of 26 layers are trained.

    Attributes:
        name: In the case's name.
        width: Fraction of the full width.
        side: Of the images, in pixels.
        batch: Images a step.
    """

    name: str
    width: float
    side: int
    batch: int = 64


SCALES = (Scale26("proxy", 0.25, 14), Scale26("cifar", 0.5, 32))
"""What the shipped search trains, and twice its width on images of CIFAR-10's size."""


def throughput_cases(settings: Settings) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Names and makers of the cases."""
    for scale in SCALES[:1] if settings.quick else SCALES:
        for family in ("resnet", "rednet"):
            name = f"training/{family}26/{scale.name}"
            yield name, functools.partial(_loops_case, name, family, scale, settings.device)
        name = f"training/families/{scale.name}"
        yield name, functools.partial(_families_case, name, scale, settings.device)


class OurLoop:
    """Steps of :class:`invsearch.train.Trainer`, one a call."""

    def __init__(self, model: nn.Module, data: ImageData, recipe: Recipe, device: str) -> None:
        place = torch.device(device)
        model = convert_conv2d_weight_memory_format(model.to(place), torch.channels_last)
        self._step, self._rate = Step(model.train(), recipe, place), recipe.lr
        batches = batches_of(data, recipe, place)
        self._batches = (pair for seed in itertools.count() for pair in batches.epoch(seed))

    def __call__(self) -> None:
        images, labels = next(self._batches)
        self._step(images, labels, self._rate)


class _PlainLoop:
    """The loop of torch's tutorials, one step a call."""

    def __init__(self, model: nn.Module, data: ImageData, recipe: Recipe, device: str) -> None:
        self._model = model.to(device).train()
        assert data.scale is not None
        pixels = data.scale(data.train_images).to(device)
        loader = DataLoader(
            TensorDataset(pixels, data.train_labels.to(device)),
            batch_size=recipe.batch_size,
            shuffle=True,
            drop_last=True,
        )
        self._batches = (pair for _ in itertools.count() for pair in loader)
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
        )

    def __call__(self) -> None:
        images, labels = next(self._batches)
        self._optimizer.zero_grad()
        F.cross_entropy(self._model(images), labels).backward()
        self._optimizer.step()


class PlainBottleneck(nn.Module):
    """A bottleneck as torchvision writes it, with the layers of one of ours.

    Args:
        block: Whose layers, of torch's own classes; they are shared.
    """

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1, self.bn1 = block.conv1, block.bn1
        self.conv2, self.bn2 = block.operator, block.bn2
        self.conv3, self.bn3 = block.conv3, block.bn3
        self.downsample = block.downsample
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += self.downsample(x)
        result: Tensor = self.relu(out)
        return result


def _plain(model: nn.Module) -> nn.Module:
    """The same network in torch's modules alone, its blocks as torchvision writes them."""
    copied = portable(model)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Bottleneck):
                setattr(parent, name, PlainBottleneck(child))
    return copied


def _loops_case(name: str, family: str, scale: Scale26, device: str) -> Case:
    """One network: our step against the plain loop's; both give the same logits first."""
    model, data = _network(family, scale), _pixels(scale)
    recipe = Recipe(batch_size=scale.batch)
    ours, plain = copy.deepcopy(model), _plain(model)
    candidates = {
        "ours": Candidate(
            _entering(OurLoop, ours, data, recipe, device),
            oracle=_logits(plain, data, device),
            results=_logits(ours, data, device),
        ),
        PLAIN: Candidate(_entering(_PlainLoop, plain, data, recipe, device)),
    }
    return Case(name, candidates, PLAIN, facts={"images": scale.batch, "side": scale.side})


def _families_case(name: str, scale: Scale26, device: str) -> Case:
    """Our step of a RedNet against that of the ResNet of as many layers."""
    recipe, data = Recipe(batch_size=scale.batch), _pixels(scale)
    candidates = {
        f"{family}26": Candidate(_entering(OurLoop, _network(family, scale), data, recipe, device))
        for family in ("rednet", "resnet")
    }
    return Case(name, candidates, "resnet26", facts={"images": scale.batch, "side": scale.side})


def _network(family: str, scale: Scale26) -> nn.Module:
    whole = family_spec(family, depth=26)
    spec = proxy_spec(whole, width=scale.width, num_classes=_CLASSES, in_channels=3)
    network = seeded(lambda: build(spec))
    for block in network.modules():
        if isinstance(block, Bottleneck):  # a fresh one ends in zeros, which hide what is wrong
            nn.init.constant_(block.last_norm().weight, BRANCH)
    return network


def _pixels(scale: Scale26) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    shape = (_IMAGES, 3, scale.side, scale.side)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, _CLASSES, (_IMAGES,), generator=generator)
    few = slice(0, scale.batch)
    return ImageData(
        images, labels, images[few], labels[few], _CLASSES, "random", scale=Scale.of(images)
    )


Loop = Callable[[nn.Module, ImageData, Recipe, str], Run]


def _entering(
    loop: Loop, model: nn.Module, data: ImageData, recipe: Recipe, device: str
) -> Callable[[contextlib.ExitStack], Run]:
    return lambda stack: loop(model, data, recipe, device)


def _logits(
    model: nn.Module, data: ImageData, device: str
) -> Callable[[contextlib.ExitStack], Run]:
    """The logits of some images before any step, with statistics of the batch."""

    def enter(stack: contextlib.ExitStack) -> Run:
        assert data.scale is not None
        images = data.scale(data.val_images).to(device)
        twin = copy.deepcopy(model).to(device).train()
        with torch.no_grad():
            logits = twin(images)
        return lambda: logits

    return enter
