"""Whatever a piece of work gives back, its comparison with an oracle has a clear answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import ops
from ops.timing import DisagreementError, check


@dataclass
class Output:
    logits: Tensor
    loss: float


ONES = torch.ones(2, 3)
Z = torch.tensor([1 + 1j, 2 - 1j])

SAME: dict[str, tuple[Any, Any]] = {
    "complex": (Z * (1 + 1e-7), Z),
    "complex, real oracle": (torch.complex(ONES, 0 * ONES), ONES),
    "dict in another order": ({"a": ONES, "b": Z}, {"b": Z, "a": ONES}),
    "nested": ([ONES, {"x": (Z, [ONES])}], [ONES, {"x": [Z, (ONES,)]}]),
    "dataclass": (Output(ONES, 1.0), Output(ONES, 1.0 + 1e-9)),
    "strings": ({"name": "a"}, {"name": "a"}),
    "a string": ("involution", "involution"),
    "none": (None, None),
    "none beside": ((ONES, None), (ONES,)),
    "bool": (True, True),
    "masks": (ONES > 0, ONES > 0),
    "large integers": (torch.tensor([2**60 + 1]), torch.tensor([2**60 + 1])),
    "numbers": ((1, 2.5, 3j), (1, 2.5, 3j)),
    "a number and a tensor of none": (torch.tensor(2.5), 2.5),
    "empty": (torch.empty(0, 3), torch.empty(0, 3)),
    "no tensors": ([], ()),
    "bf16": (ONES.bfloat16(), ONES),
    "sparse": (ONES.to_sparse(), ONES),
    "zeros": (0 * ONES, 0 * ONES),
}

DIFFERENT: dict[str, tuple[Any, Any, str]] = {
    "complex": (Z.conj(), Z, "tensor 0 is off by"),
    "an imaginary part": (torch.complex(ONES, ONES), ONES, "tensor 0 is off by 1 where"),
    "a key": ({"a": ONES}, {"b": ONES}, "gives no 'b' 0 as its oracle does; it gives 'a' 0"),
    "under a key": ({"a": [ONES, Z]}, {"a": [ONES, 2 * Z]}, "tensor 'a' 1 is off by 0.5"),
    "in a dataclass": (Output(ONES, 1.0), Output(ONES, 2.0), "tensor 'loss' 0 is off by 0.5"),
    "strings": ("a", "b", "tensor 0 is 'a', not 'b'"),
    "a string for a tensor": ("a", ONES, "tensor 0 is 'a', not tensor"),
    "none": (None, ONES, "gives 0 tensors where its oracle gives 1"),
    "none for nothing": (ONES, None, "gives 1 tensors where its oracle gives 0"),
    "bool": (True, False, "tensor 0 differs in 1 of 1 places"),
    "integers": (torch.tensor([1, 2**60 + 1]), torch.tensor([1, 2**60]), "differs in 1 of 2"),
    "shapes of empty ones": (torch.empty(0, 3), torch.empty(0, 2), r"shape \(0, 3\), not \(0, 2\)"),
    "nan": (ONES * math.nan, ONES, "is off by nan"),
    "nan in the oracle": (ONES, ONES * math.nan, "cannot be judged: its oracle has NaN or inf"),
    "inf in both": (ONES * math.inf, ONES * math.inf, "cannot be judged"),
    "meta": (ONES.to("meta"), ONES, "no numbers: it is on the meta device"),
}


@pytest.mark.parametrize(("result", "oracle"), SAME.values(), ids=SAME.keys())
def test_agreement(result: Any, oracle: Any) -> None:
    check("mine", result, oracle)


@pytest.mark.parametrize(("result", "oracle", "said"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_disagreement_says_where_and_how(result: Any, oracle: Any, said: str) -> None:
    with pytest.raises(DisagreementError, match=f"mine .*{said}"):
        ops.compare({"mine": lambda: result}, oracles={"mine": lambda: oracle})


@pytest.mark.parametrize("result", [{1, 2}, object(), [ONES, iter([])], torch.float32])
def test_what_cannot_be_compared_is_an_error_that_says_what_can(result: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot be compared: results are tensors, numbers"):
        check("mine", result, result if not isinstance(result, list) else [ONES, iter([])])
