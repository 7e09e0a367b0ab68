"""docs/sampler.md: its example runs as it is written, and without the suite's heavy parts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_the_example_runs_without_torch_and_ray() -> None:
    text = (ROOT / "docs" / "sampler.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    heavy = (
        "import sys; print(sorted({'torch', 'ray', 'fvcore', 'pandas', 'plotly'} & {*sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"{example}\n{heavy}"], capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr
    front, loaded = result.stdout.split("\n")[:2]
    assert int(front) >= 3
    assert loaded == "[]"
