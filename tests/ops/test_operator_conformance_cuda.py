"""The same conformance of every registered operator, on a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from test_operator_conformance import VARIANTS
from test_operator_conformance import TestOperators as _OnCpu

import ops
from ops.testing import Variant

if not torch.cuda.is_available():
    pytest.skip(f"cuda: {ops.backends()['cuda']}", allow_module_level=True)


class TestOperatorsOnGpu(_OnCpu):
    @pytest.fixture(params=VARIANTS, ids=str)
    def variant(self, request: pytest.FixtureRequest) -> Variant:
        variant: Variant = request.param
        return variant

    @pytest.fixture
    def device(self) -> Iterator[str]:
        """A GPU whose convolutions keep fp32 as it is: TF32 has ten bits."""
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield "cuda"
