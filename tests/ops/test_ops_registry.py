"""The registry: one decorator, clear errors, plugins loaded only when asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

import ops
from ops import registry


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_OPERATORS", dict(registry._OPERATORS))
    registry._entry_points.forget()
    yield
    registry._entry_points.forget()


def register(name: str = "shift") -> None:
    @ops.register(
        name,
        hyperparameters={"kernel_size": (3, 5)},
        macs=lambda shape, *, stride, kernel_size: shape[1] * kernel_size // stride,
        params=lambda channels, *, kernel_size: 0,
        check=lambda channels, settings: "channels = 7 is unlucky" if channels == 7 else None,
    )
    def build(channels: int, *, stride: int, kernel_size: int) -> nn.Module:
        return nn.MaxPool2d(kernel_size, stride, kernel_size // 2)


def plugin(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, source: str) -> None:
    """Installs a distribution whose entry point of group `invsearch.ops` is `module`."""
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[invsearch.ops]\n{module}_op = {module}\n")
    monkeypatch.syspath_prepend(str(folder))


def test_a_tuple_means_one_of_these_with_the_first_as_default() -> None:
    register()
    spec = ops.get("shift")
    assert spec.complete({}) == {"kernel_size": 3}
    assert spec.problem(None, {"kernel_size": 5}) is None
    assert spec.problem(None, {"kernel_size": 7}) == "shift: kernel_size = 7 must be one of 3, 5"
    assert spec.macs((1, 8, 4, 4), stride=2) == spec.macs((1, 8, 4, 4), "paper", stride=2) == 12
    assert isinstance(spec.make(8), nn.MaxPool2d)


def test_a_second_registration_is_an_error_that_names_the_first() -> None:
    register()
    with pytest.raises(ValueError, match=r"'shift' is already registered by test_ops_registry"):
        register()


def test_problem_says_what_validate_raises() -> None:
    register()
    spec = ops.get("shift")
    assert spec.problem(7, {}) == "shift: channels = 7 is unlucky"
    assert spec.problem(None, {}) is None
    with pytest.raises(ValueError, match="unlucky"):
        spec.make(7)
    with pytest.raises(ValueError, match="stride = 0"):
        spec.make(8, stride=0)
    with pytest.raises(ValueError, match="channels = -1"):
        spec.make(-1)


def test_an_unknown_hyperparameter_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'kernel_sise' \(did you mean 'kernel_size'\?\); it has"):
        ops.get("involution").complete({"kernel_sise": 3})


def test_an_unknown_operator_is_named_with_the_nearest() -> None:
    with pytest.raises(KeyError) as caught:
        ops.get("involutoin")
    assert str(caught.value).startswith(
        "no operator is called 'involutoin' (did you mean 'involution'?); registered: convolution"
    )


def test_an_unknown_convention_is_an_error() -> None:
    with pytest.raises(ValueError, match="'fvcore' or 'paper', not 'flops'"):
        ops.get("involution").macs((1, 16, 4, 4), "flops")  # type: ignore[arg-type]


def test_true_is_no_kernel_size() -> None:
    assert ops.get("convolution").problem(None, {"kernel_size": True}) is not None


def test_involution_costs_are_the_papers_formulas() -> None:
    """params (C^2 + K^2 G C) / r + 2 C / r + K^2 G; MACs H W [(C^2 + K^2 G C) / r + K^2 C] + BN."""
    c, k, g, r, h, w = 64, 7, 4, 4, 56, 56
    spec = ops.get("involution")
    generator = (c * c + k * k * g * c) // r
    assert spec.params(c) == generator + 2 * c // r + k * k * g
    multiplications = h * w * (generator + k * k * c)
    assert spec.macs((1, c, h, w)) == multiplications + 2 * h * w * c // r
    bias_and_relu = h * w * (k * k * g + c // r)
    assert spec.macs((1, c, h, w), "paper") == spec.macs((1, c, h, w)) + bias_and_relu
    assert spec.macs((1, c, h, w), "paper", stride=2) == (
        spec.macs((1, c, h // 2, w // 2), "paper") + c * h * w
    )


def test_a_plugin_is_loaded_when_its_operator_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "import ops, torch\n"
        "@ops.register('good_plugin_op', macs=lambda shape, *, stride: 0, params=lambda c: 0)\n"
        "def build(channels, *, stride):\n"
        "    return torch.nn.AvgPool2d(stride)\n"
    )
    plugin(tmp_path, monkeypatch, "good_plugin", source)
    assert "good_plugin_op" in ops.names()
    assert "good_plugin" not in sys.modules
    assert isinstance(ops.get("good_plugin_op").make(4), nn.AvgPool2d)


def test_a_broken_plugin_is_named_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path, monkeypatch, "broken_plugin", "raise RuntimeError('no such device')\n")
    assert ops.get("involution").name == "involution"
    message = r"'broken_plugin_op' \(broken_plugin\) cannot be loaded: RuntimeError: no such device"
    with pytest.raises(ImportError, match=message):
        ops.get("broken_plugin_op")


GROUPED = {
    "groups": ops.Hyperparameter(8, allowed=(2, 4, 8, 16), divides_channels=True),
    "kernel_size": (3, 5),
}


def register_grouped() -> ops.OpSpec:
    ops.register("grouped", hyperparameters=GROUPED, macs=lambda *_, **__: 0, params=lambda c: 0)(
        lambda channels, *, stride, groups, kernel_size: nn.Conv2d(
            channels, channels, kernel_size, stride, kernel_size // 2, groups=groups
        )
    )
    return ops.get("grouped")


def test_what_must_divide_the_channels_is_said_once_and_checked() -> None:
    spec = register_grouped()
    assert spec.problem(None, {"groups": 8}) is None
    refusal = spec.problem(12, {"groups": 8})
    assert refusal == "grouped: groups = 8 does not divide channels = 12"
    assert (refusal.setting, refusal.detail) == ("groups", str(refusal).removeprefix("grouped: "))
    with pytest.raises(ValueError, match="groups = 8 does not divide channels = 12"):
        spec.make(12)


@pytest.mark.parametrize(
    ("channels", "groups", "fitted"),
    [(64, 8, 8), (12, 8, 4), (6, 16, 2), (16, 16, 16), (8, 16, 8)],
)
def test_fit_takes_the_largest_valid_divisor_not_above(
    channels: int, groups: int, fitted: int
) -> None:
    spec = register_grouped()
    settings = spec.fit(channels, {"groups": groups, "kernel_size": 5})
    assert settings == {"groups": fitted, "kernel_size": 5}
    assert spec.problem(channels, settings) is None


def test_fit_says_why_no_setting_fits() -> None:
    spec = register_grouped()
    with pytest.raises(ValueError, match="grouped: groups = 4 does not divide channels = 7"):
        spec.fit(7, {"groups": 4})
    register()
    with pytest.raises(ValueError, match="unlucky"):
        ops.get("shift").fit(7, {})


def test_fit_goes_up_only_where_nothing_below_fits() -> None:
    only_even = ops.Hyperparameter(2, allowed=(3, 4, 6), divides_channels=True)
    assert [only_even.fit(channels, 3) for channels in (12, 8, 9)] == [3, 4, 3]


@pytest.mark.parametrize("channels", [1, 2, 6, 8, 12, 30, 64, 100])
@pytest.mark.parametrize("operator", ["involution", "self_attention", "convolution"])
def test_the_built_in_operators_fit_every_width(operator: str, channels: int) -> None:
    """And are left alone where they fit already."""
    spec = ops.get(operator)
    fitted = spec.fit(channels, {})
    assert spec.problem(channels, fitted) is None
    assert spec.fit(channels, fitted) == fitted
    assert fitted.get("reduction", 1) == max(1, min(4, channels // 4)) or operator != "involution"


def test_a_setting_without_effect_is_not_held_against_a_width() -> None:
    """A reduction above the width is impossible for the generator that has a bottleneck alone."""
    spec = ops.get("involution")
    assert spec.hyperparameters["reduction"].needs == {"generator": ("bottleneck",)}
    assert "reduction = 64 leaves no channel" in str(spec.problem(16, {"reduction": 64}))
    assert spec.problem(16, {"reduction": 64, "generator": "linear"}) is None
