"""Where a search trains and in what: tried with GPUs that stand in for those not here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy import invsearch, one_line, passed, trial_lines

from invsearch.data import load_dataset
from invsearch.errors import InputError
from invsearch.models import rednet_spec
from invsearch.space import Accuracy
from invsearch.train import device as devices
from invsearch.train import recipe_of, resolve_device, trainer_of
from invsearch.train.device import resolve_precision

TWO = ("cuda:0", "cuda:1")


@pytest.mark.parametrize(
    ("wanted", "here", "turn", "found"),
    [
        ("auto", (), 3, "cpu"),
        ("auto", ("cuda:0",), 3, "cuda:0"),  # what a worker sees of the GPU that Ray assigned
        ("auto", TWO, 0, "cuda:0"),
        ("auto", TWO, 5, "cuda:1"),
        ("cpu", TWO, 0, "cpu"),
        ("cuda", TWO, 1, "cuda:1"),
        ("cuda:1", TWO, 0, "cuda:1"),
    ],
)
def test_a_word_stands_for_a_device(
    wanted: str, here: tuple[str, ...], turn: int, found: str
) -> None:
    assert resolve_device(wanted, here, turn=turn) == found


@pytest.mark.parametrize(("wanted", "here"), [("cuda", ()), ("cuda:0", ()), ("cuda:2", TWO)])
def test_a_device_that_is_not_here_is_one_line(wanted: str, here: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=f"device {wanted} is not here: .*; auto takes"):
        resolve_device(wanted, here)


@pytest.mark.parametrize("wanted", ["gpu", "cuda:", "cuda:x", "CPU", ""])
def test_a_word_that_is_no_device_is_refused(wanted: str) -> None:
    with pytest.raises(InputError, match="is none of auto, cpu, cuda and cuda:N"):
        resolve_device(wanted, TWO)


def test_precision_follows_the_device_unless_it_is_given() -> None:
    assert resolve_precision("auto", "cuda:1") == "bf16"
    assert resolve_precision("auto", "cpu") == "fp32"
    assert recipe_of(Accuracy(precision="fp16"), "cpu").precision == "fp16"
    assert recipe_of(Accuracy(), "cuda:0").precision == "bf16"


def test_the_search_trains_where_a_gpu_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The provider gives its trainer the device, uint8 pixels and bf16 (on ``meta``, a stand-in).

    Only building is tried: what the trainer does on a GPU has tests of its own.
    """
    from invsearch.accuracy.trained import Trained

    built: list[dict[str, object]] = []
    monkeypatch.setattr(devices, "devices_here", lambda: TWO)
    monkeypatch.setattr("invsearch.train.proxy.trainer_of", lambda *_, **named: built.append(named))
    provider = Trained(_setting(Accuracy()))
    for seed in (0, 1, 2):
        provider.evaluation({}, seed)._make()  # type: ignore[attr-defined, arg-type, union-attr]
    assert [one["device"] for one in built] == ["cuda:0", "cuda:1", "cuda:0"]


def _setting(accuracy: Accuracy) -> object:
    class Setting:
        rungs = frozenset[int]()

        def searched(self, architecture: object) -> object:
            return rednet_spec(26)

    setting = Setting()
    setting.accuracy = accuracy  # type: ignore[attr-defined]
    return setting


def test_the_fidelity_says_the_precision() -> None:
    data = load_dataset("digits", data_fraction=0.1)
    accuracy = Accuracy(epochs=1, precision="bf16")
    trainer = trainer_of(rednet_spec(26), accuracy, data, 0)
    assert trainer.fidelity.precision == "bf16"
    assert trainer_of(rednet_spec(26), Accuracy(), data, 0).fidelity.precision == "fp32"


SPACE = """
name: small
objectives: {{val_loss: minimize, macs: minimize}}
model: {{family: rednet, resolution: 32}}
space: {{width: 0.5, stage: {{blocks: 1, operator: convolution, kernel_size: {{choice: [3, 5]}}}}}}
accuracy: {{epochs: 1, data_fraction: 0.1, baselines: false, proxy: {{resolution: 8}}, {more}}}
search: {{strategy: random, trials: 1}}
"""


def test_a_space_file_reaches_precision_and_device(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SPACE.format(more="precision: bf16, device: cpu"))
    passed(invsearch(tmp_path, "run", "s.yaml", "--executor", "serial"))
    metric = trial_lines(tmp_path / "results" / "small")[0]["metrics"]["val_loss"]
    assert metric["fidelity"]["precision"] == "bf16"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_insisting_on_a_gpu_that_is_not_here_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SPACE.format(more="device: cuda"))
    line = one_line(invsearch(tmp_path, "run", "s.yaml", "--executor", "serial"))
    assert "device cuda is not here" in line
    assert not (tmp_path / "results").exists()
