"""From parameters to networks: levels, constants, defaults."""

from __future__ import annotations

import pytest

from invsearch.errors import InputError
from invsearch.models import PRESETS, network_spec, problem
from invsearch.models.network import BlockSpec

MODEL = {"family": "rednet", "num_classes": 10, "resolution": 224}


def setting(spec, stage: int, block: int, name: str):
    return dict(spec.stages[stage - 1].blocks[block - 1].hyperparameters)[name]


def test_the_innermost_level_wins() -> None:
    """Block before stage before network before the operator's default."""
    spec = network_spec(
        {**MODEL, "stage3.kernel_size": 5},
        {"depth": 26, "kernel_size": 3, "stage2.kernel_size": 9, "stage2.block2.kernel_size": 7},
    )
    sizes = [
        [dict(block.hyperparameters)["kernel_size"] for block in stage.blocks]
        for stage in spec.stages
    ]
    assert sizes == [[3], [9, 7], [5, 5, 5, 5], [3]]
    assert setting(spec, 1, 1, "group_channels") == 16


def test_parameters_go_before_constants() -> None:
    """A constant of the same name at the same level gives way."""
    spec = network_spec({**MODEL, "reduction": 4, "depth": 26}, {"reduction": 2})
    assert setting(spec, 4, 1, "reduction") == 2


@pytest.mark.parametrize("depth", PRESETS)
@pytest.mark.parametrize("family", ["rednet", "resnet"])
def test_presets(family: str, depth: int) -> None:
    """Both families have the paper's block counts; the family chooses operator and stem."""
    spec = network_spec({"family": family, "depth": depth}, {})
    assert tuple(len(stage.blocks) for stage in spec.stages) == PRESETS[depth]
    operator = "involution" if family == "rednet" else "convolution"
    assert {b.operator for stage in spec.stages for b in stage.blocks} == {operator}
    assert spec.stem.kind == family
    assert [stage.stride for stage in spec.stages] == [1, 2, 2, 2]


def test_blocks_of_a_stage_go_before_the_depth() -> None:
    """A searched number of blocks wins over a preset, a searched preset over a constant."""
    custom = {"depth": "custom", **{f"stage{i}.blocks": i for i in range(1, 5)}}
    assert [len(s.blocks) for s in network_spec(MODEL, custom).stages] == [1, 2, 3, 4]
    constants = {**MODEL, **{f"stage{i}.blocks": 6 for i in range(1, 5)}}
    assert [len(s.blocks) for s in network_spec(constants, {}).stages] == [6, 6, 6, 6]
    preset = network_spec(constants, {"depth": 26})
    assert tuple(len(s.blocks) for s in preset.stages) == PRESETS[26]


def test_settings_an_operator_does_not_have_are_ignored() -> None:
    """A network-level group_channels leaves its convolution stages alone."""
    spec = network_spec(MODEL, {"depth": 26, "group_channels": 8, "stage1.operator": "convolution"})
    assert dict(spec.stages[0].blocks[0].hyperparameters) == {"dilation": 1, "kernel_size": 3}
    assert setting(spec, 2, 1, "group_channels") == 8


@pytest.mark.parametrize(
    ("factor", "widths", "stem"),
    [(1.0, [64, 128, 256, 512], 64), (0.75, [48, 96, 192, 384], 48), (0.3, [16, 40, 80, 152], 16)],
)
def test_widths_are_multiples_of_eight(factor: float, widths: list[int], stem: int) -> None:
    """Rounded to the nearest multiple, the stem's too."""
    spec = network_spec(MODEL, {"depth": 26, "width": factor})
    assert [stage.width for stage in spec.stages] == widths
    assert spec.stem.channels == stem


def test_equal_settings_give_equal_specs() -> None:
    """Order of the parameters and the level they are written at do not matter."""
    first = network_spec(MODEL, {"depth": 26, "kernel_size": 3, "reduction": 2})
    second = network_spec(
        MODEL, {"reduction": 2, **{f"stage{i}.kernel_size": 3 for i in range(1, 5)}, "depth": 26}
    )
    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"stage5.kernel_size": 3}, "4 stages"),
        ({"stage1.kernel": 3}, "did you mean 'kernel_size'"),
        ({"stage1.depth": 3}, "stage1.depth"),
        ({"stage1.block1.blocks": 3}, "stage1.block1.blocks"),
        ({"blocks": 3}, "'blocks' is unknown"),
        ({"family": "rednot"}, "did you mean 'rednet'"),
        ({"stage2.operator": "conv"}, "'conv' is not registered"),
    ],
)
def test_unknown_names_are_refused(parameters: dict[str, object], message: str) -> None:
    """Nothing is silently unused."""
    with pytest.raises(InputError, match=message):
        network_spec({**MODEL, "depth": 26}, parameters)


def test_problem_says_why_a_block_is_impossible() -> None:
    """A channel count that a group does not divide, an operator that is not there."""
    block = network_spec({**MODEL, "depth": 26}, {"group_channels": 24}).stages[0].blocks[0]
    assert problem(48, block) is None
    assert "group_channels = 24 does not divide channels = 64" in str(problem(64, block))
    assert "nothing" in str(problem(64, BlockSpec("nothing", ())))


def test_the_stem_alone_is_what_the_family_was_where_operators_are_chosen() -> None:
    """``stem: convolution`` of a RedNet is the network that ``family: resnet`` was."""
    chosen = {
        f"stage{number}.{name}": value
        for number in range(1, 5)
        for name, value in (("blocks", 1), ("operator", "involution"), ("kernel_size", 5))
    }
    for width in (0.25, 1.0):
        given = {**chosen, "width": width}
        old = network_spec({"family": "resnet"}, given)
        assert network_spec({"family": "rednet"}, {**given, "stem": "convolution"}) == old
        assert network_spec({"family": "rednet"}, {**given, "stem": "involution"}) == network_spec(
            {"family": "rednet"}, given
        )
    with pytest.raises(InputError, match="stem is 'pooling'"):
        network_spec({"family": "rednet"}, {**chosen, "stem": "pooling"})
