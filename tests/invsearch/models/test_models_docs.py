"""The snippet of docs/models.md runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

DOCS = Path(__file__).parents[3] / "docs" / "models.md"


def test_the_snippet_does_what_its_comments_say() -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    network, features = names["network"], names["features"]
    assert features.shape[:2] == (1, network.num_features)
    assert names["logits"].shape == (1, 10)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(names["copied"](images), network(images), rtol=1e-4, atol=1e-5)
