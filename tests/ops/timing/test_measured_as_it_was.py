"""`ops.measure` takes what people have - programs, tuples, dicts, lazy and frozen modules - and
leaves it as it was.
"""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import ops

QUICK: dict[str, Any] = {
    "min_time": 0.0,
    "min_samples": 6,
    "warmup_time": 0.0,
    "sample_time": 0.0,
    "max_width": 1e9,
}
SHAPE = (2, 16, 6, 5)


def layer() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        ops.Involution2d(16, 3), nn.BatchNorm2d(16), nn.Dropout(0.5), nn.Conv2d(16, 4, 1)
    )


def loaded(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    return torch.export.load(buffer)


@pytest.mark.parametrize("form", ["program", "module", "loaded", "loaded module"])
@pytest.mark.parametrize("mode", ["forward", "backward", "train"])
def test_an_exported_program_is_measured(form: str, mode: Any) -> None:
    """In the mode that it was exported in: it has no other."""
    program = torch.export.export(layer().eval(), (torch.randn(SHAPE),))
    program = loaded(program) if "loaded" in form else program
    work = program.module() if "module" in form else program
    assert ops.measure(work, SHAPE, mode=mode, **QUICK).median > 0


class Pair(NamedTuple):
    first: Tensor
    second: Tensor | None


@dataclass
class Output:
    logits: Tensor
    hidden: tuple[Tensor, ...] = ()
    loss: Tensor | None = None
    note: str = "kept"


OUTPUTS: dict[str, Any] = {
    "tuple": lambda y: (y, 2 * y),
    "nested": lambda y: [y, (y.detach(), {"more": [y]})],
    "dict": lambda y: {"logits": y, "loss": y.sum(), "name": "x", "none": None},
    "named tuple": lambda y: Pair(y, None),
    "dataclass": lambda y: Output(y, (y, y)),
    "integers too": lambda y: (y, y.argmax(1)),
    "complex": lambda y: torch.fft.fft(y),
    "one that needs no input": lambda y: (y, torch.ones(3)),
}


class Returning(nn.Module):
    """A convolution whose result is put in some container."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.body, self.unused, self.made = nn.Conv2d(16, 4, 1), nn.Linear(2, 2), made

    def forward(self, x: Tensor) -> Any:
        return self.made(self.body(x))


@pytest.mark.parametrize("mode", ["forward", "backward", "train"])
@pytest.mark.parametrize("made", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_containers_of_tensors_are_measured(made: Any, mode: Any) -> None:
    module = Returning(made)
    assert ops.measure(module, SHAPE, mode=mode, **QUICK).median > 0
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("made", [lambda y: None, lambda y: y.argmax(1), lambda y: {"a": "b"}])
def test_gradients_of_nothing_are_refused_in_words(made: Any) -> None:
    module = Returning(made)
    assert ops.measure(module, SHAPE, **QUICK).median > 0
    with pytest.raises(ValueError, match="mode = 'train' needs an output that has gradients"):
        ops.measure(module, SHAPE, mode="train", **QUICK)


@pytest.mark.parametrize("mode", ["forward", "backward", "train"])
@pytest.mark.parametrize("frozen", ["all", "some", "none there"])
def test_parameters_without_gradients(frozen: str, mode: Any) -> None:
    module: nn.Module = nn.Softmax(1) if frozen == "none there" else layer()
    for parameter in list(module.parameters())[: 3 if frozen == "some" else None]:
        parameter.requires_grad_(False)
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    assert ops.measure(module, SHAPE, mode=mode, **QUICK).median > 0
    assert [parameter.requires_grad for parameter in module.parameters()] == wanted


def lazy() -> nn.Sequential:
    return nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))


@pytest.mark.parametrize("mode", ["forward", "backward", "train"])
def test_lazy_modules_stay_lazy_and_trainable(mode: Any) -> None:
    module = lazy()
    assert ops.measure(module, SHAPE, mode=mode, **QUICK).median > 0
    assert module[0].has_uninitialized_params()
    module(torch.randn(2, 5, 7, 7)).sum().backward()  # of another width than what was measured
    assert module[0].weight.grad is not None


class Remembers(nn.Module):
    """Keeps tensors of its first call, as position embeddings do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(1))
        self.grid: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.steps = self.steps + 1
        if self.grid is None:
            self.grid = torch.linspace(0, 1, x.shape[-1])
        return x * self.grid


def test_what_a_module_keeps_from_its_first_call_can_be_trained_with() -> None:
    module = Remembers()
    ops.measure(module, SHAPE, **QUICK)
    assert module.steps.item() == 0
    x = torch.randn(SHAPE, requires_grad=True)
    module(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("mode", ["forward", "backward", "train"])
@pytest.mark.parametrize("training", [False, True])
def test_the_layer_and_the_random_numbers_are_left_as_they_were(mode: Any, training: bool) -> None:
    module = layer().train(training)
    module[1].eval()  # a batch norm that was frozen
    module[3].weight.grad = torch.ones_like(module[3].weight)
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    ops.measure(module, SHAPE, mode=mode, **QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in module] == [training, False, training, training]
    assert torch.equal(module[3].weight.grad, torch.ones_like(module[3].weight))
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_graph_that_is_open_can_still_be_differentiated() -> None:
    module = nn.BatchNorm2d(16).eval()
    y = module(torch.randn(SHAPE, requires_grad=True))
    ops.measure(module, SHAPE, **QUICK)
    y.sum().backward()


def test_a_module_that_keeps_parts_in_eval_mode_does_so_here() -> None:
    seen = []

    class Frozen(nn.BatchNorm2d):
        def train(self, mode: bool = True) -> Frozen:
            return super().train(False)

        def forward(self, x: Tensor) -> Tensor:
            seen.append(self.training)
            return super().forward(x)

    ops.measure(Frozen(16), SHAPE, mode="train", **QUICK)
    assert set(seen) == {False}
