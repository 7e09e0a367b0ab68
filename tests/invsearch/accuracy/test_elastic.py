"""The elastic network: each network of it is the one that would be built alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import ops
from invsearch.accuracy.supernet import Elastic, NotCoveredError
from invsearch.models import NetworkSpec, network_spec, proxy_spec
from invsearch.train import seeded_build

CHOICES = {
    "stem": ["involution", "convolution"],
    "stem_kernel_size": [3, 7],
    "width": [0.25, 0.5, 1.0],
    "operator": ["involution", "convolution", "depthwise_convolution", "self_attention"],
    "kernel_size": [3, 5],
    "group_channels": [4, 8],
    "head_channels": [4, 8],
    "reduction": [2, 4],
    "dilation": [1, 2],
    "generator": ["bottleneck", "linear"],
}
BASE = {name: values[-1] for name, values in CHOICES.items()} | {
    "stem": "involution", "operator": "involution", "generator": "bottleneck", "dilation": 1,
}  # fmt: skip


def spec(family: str = "rednet", blocks: int = 1, **settings: object) -> NetworkSpec:
    known = {"family": family, "depth": "custom"}
    mobile = family == "mobilenet"
    own = {k: v for k, v in settings.items() if not mobile or not k.startswith("stem")}
    stages = 7 if mobile else 4
    given = {f"stage{n}.blocks": 1 for n in range(1, stages + 1)} | {"stage1.blocks": blocks}
    full = network_spec(known, {**given, **own})  # type: ignore[arg-type]
    return proxy_spec(full, width=0.125, num_classes=5, in_channels=1)


def variants(family: str = "rednet") -> list[NetworkSpec]:
    """The largest, and every choice in turn; each operator with each of its settings."""
    found = [spec(family, 2, **BASE)]
    for operator in CHOICES["operator"]:
        hyperparameters = ops.get(str(operator)).hyperparameters
        for name, values in CHOICES.items():
            if name in hyperparameters or name in ("width", "stem", "stem_kernel_size"):
                found += [
                    spec(family, **{**BASE, "operator": operator, name: value}) for value in values
                ]
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module", params=["rednet", "mobilenet"])
def both(request: pytest.FixtureRequest) -> tuple[Elastic, list[NetworkSpec]]:
    known = variants(request.param)
    elastic = seeded_build(lambda: Elastic(known, lambda seed: known[seed % len(known)]), 0)
    randomise(elastic)
    return elastic.double(), known  # norms over four images magnify what float32 rounds


def randomise(module: nn.Module) -> None:
    """Weights that all matter: zero-gamma norms would hide what is wrong within their blocks."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
            if weight.ndim == 1:
                weight.add_(0.3)


def images() -> Tensor:
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_each_network_is_the_stand_alone_one(both: tuple[Elastic, list[NetworkSpec]]) -> None:
    """With its weights copied into what is built alone: outputs, and the gradients' norm."""
    elastic, known = both
    for one in known:
        alone = elastic.extract(one).train()
        elastic.zero_grad()
        y, wanted = elastic.along(one, images().double()), alone(images().double())
        torch.testing.assert_close(y, wanted)
        weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
        (y * weight).sum().backward()
        (wanted * weight).sum().backward()
        norms = [
            torch.stack([p.grad.norm() for p in m.parameters() if p.grad is not None]).norm()
            for m in (elastic, alone)
        ]
        torch.testing.assert_close(norms[0], norms[1])


def test_a_step_moves_no_weight_of_other_choices(
    both: tuple[Elastic, list[NetworkSpec]],
) -> None:
    """The gradient is 0, or none, wherever the network has no weight."""
    elastic, known = both
    for one in known[:: max(1, len(known) // 4)]:
        elastic.zero_grad()
        elastic.along(one, images().double()).square().sum().backward()
        touched = sum(int((p.grad != 0).sum()) for p in elastic.parameters() if p.grad is not None)
        assert touched <= sum(p.numel() for p in elastic.extract(one).parameters())


def test_a_small_window_is_the_centre_of_the_large_one() -> None:
    """Of a convolution's kernel, and of the kernel that an involution generates."""
    for operator in ("involution", "convolution"):
        small, large = (spec(**{**BASE, "operator": operator, "kernel_size": k}) for k in (3, 5))
        elastic = Elastic([small, large], lambda seed, s=small: s)  # type: ignore[misc]
        randomise(elastic)
        own, whole = (elastic.extract(one).stages[0][0].operator for one in (small, large))  # type: ignore[index, union-attr]
        if operator == "convolution":
            assert torch.equal(own.weight, whole.weight[:, :, 1:-1, 1:-1])
            continue
        x = torch.randn(2, own.channels, 6, 6)
        kernel, wide = own.eval().generator(x), whole.eval().generator(x)
        torch.testing.assert_close(kernel, wide[:, :, 1:-1, 1:-1])


def test_it_begins_as_stand_alone_networks_begin() -> None:
    """No number is left at 0, but for gains that begin there and what is added."""
    known = variants()
    elastic = seeded_build(lambda: Elastic(known, lambda seed: known[0]), 0)
    for one in known:
        alone, fresh = elastic.extract(one), seeded_build(lambda one=one: build_fresh(one), 3)  # type: ignore[misc]
        for (name, weight), other in zip(alone.named_parameters(), fresh.parameters(), strict=True):
            if weight.ndim > 1:
                assert bool((weight != 0).all()), name
                assert (
                    0.2 < float((weight.std() / other.std()).detach()) < 5 or weight.numel() < 32
                ), name
            else:
                assert torch.equal(weight, other), name


def build_fresh(one: NetworkSpec) -> nn.Module:
    from invsearch.models import build

    return build(one)


def test_a_path_is_drawn_from_torchs_generator_and_none_in_evaluation() -> None:
    known, drawn = variants()[:3], list[int]()

    def draw(seed: int) -> NetworkSpec:
        drawn.append(seed)
        return known[seed % 3]

    elastic = Elastic(known, draw)
    for _ in range(2):
        torch.manual_seed(5)
        elastic.train()(images())
        elastic.eval()(images())
    assert len(drawn) == 2
    assert drawn[0] == drawn[1]


def test_what_is_not_covered_is_refused_not_made_up() -> None:
    wide, narrow = spec(**{**BASE, "width": 1.0}), spec(**{**BASE, "width": 0.25})
    elastic = Elastic([narrow], lambda seed: narrow)
    assert elastic.covers(narrow)
    assert not elastic.covers(wide)
    for call in (lambda: elastic.extract(wide), lambda: elastic.along(wide, images())):
        with pytest.raises(NotCoveredError, match="no weights"):
            call()


def test_weight_decay_is_that_of_the_networks() -> None:
    """Norms decay as norms do, kernels as kernels."""
    from invsearch.train import Recipe
    from invsearch.train.optimizers import parameter_groups

    known = variants()[:4]
    recipe = Recipe(weight_decay=0.3, norm_decay=0.2, bias_decay=0.1)
    groups = parameter_groups(Elastic(known, lambda seed: known[0]), recipe)
    by_decay = {group["weight_decay"]: group["params"] for group in groups}
    assert set(by_decay) == {0.3, 0.2, 0.1}
    assert all(p.ndim > 1 for p in by_decay[0.3])
    norms = len(by_decay[0.2])
    assert norms > len(by_decay[0.1]) > 0
