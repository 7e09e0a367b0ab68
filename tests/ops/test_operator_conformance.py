"""Every registered operator, and the variants that build a different module, conforms."""

from __future__ import annotations

import os
import shutil

import pytest
import torch

import ops
from ops.testing import OperatorConformance, Variant, images

VARIANTS = [
    *(Variant(name) for name in ops.names()),
    Variant("involution", {"generator": "linear", "kernel_size": 3, "group_channels": 4}),
    Variant("involution", {"generator": "attention", "kernel_size": 5, "group_channels": 8}),
    Variant("involution", {"kernel_size": 3, "dilation": 2, "reduction": 3, "group_channels": 32}),
]


class TestOperators(OperatorConformance):
    @pytest.fixture(params=VARIANTS, ids=str)
    def variant(self, request: pytest.FixtureRequest) -> Variant:
        variant: Variant = request.param
        return variant


def test_the_built_in_operators_are_registered() -> None:
    assert ops.names()[:4] == (
        "convolution",
        "depthwise_convolution",
        "involution",
        "self_attention",
    )


@pytest.mark.skipif(
    not shutil.which(os.environ.get("CXX", "g++")),
    reason="inductor needs g++, or $CXX, on the PATH",
)
def test_involution_compiles_with_inductor() -> None:
    """The generated code gives the operator the strides it promised, and takes what it gets."""

    def doubled(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return ops.involution2d(x * 2, kernel, stride=2) + 1

    x = images(2, 4, 5, 6).to(memory_format=torch.channels_last)
    kernel = images(2, 2, 3, 3, 3, 3)
    with torch.no_grad():
        compiled = torch.compile(doubled, fullgraph=True)(x, kernel)
    torch.testing.assert_close(compiled, doubled(x, kernel))
