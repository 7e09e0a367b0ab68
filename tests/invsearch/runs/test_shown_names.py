"""What a parameter is called for people: a family that decides the stem alone is the stem."""

from __future__ import annotations

from typing import Any

import pytest

from invsearch.runs import Trial
from invsearch.runs.columns import shown_name
from invsearch.space.architecture import Architecture

STAGES = {f"stage{number}.operator": "involution" for number in range(1, 5)}


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"family": "resnet", **STAGES}, "stem"),
        ({"family": "rednet", "operator": "involution"}, "stem"),
        ({"family": "resnet", "depth": 26}, "family"),
        ({"family": "resnet", "stage1.operator": "involution"}, "family"),
        ({"family": "rednet", "stem": "convolution", **STAGES}, "family"),
        ({"family": "mine", **STAGES}, "family"),
    ],
)
def test_a_family_whose_every_stage_has_an_operator_of_its_own_is_a_stem(
    values: dict[str, Any], shown: str
) -> None:
    """As in runs made before the stem was a setting; where it says more, it stays a family."""
    trial = Trial(0, "complete", Architecture(tuple(values.items())))
    assert shown_name("family", trial) == shown
    assert shown_name("stage1.operator", trial) == "stage1.operator"
