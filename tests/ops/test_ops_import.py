"""`import ops` is light and leaves the process as it was."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("ray", "optuna", "plotly", "fvcore", "pandas", "sklearn", "scipy", "pydantic", "invsearch")
PROBE = f"""
import json, sys, torch
before = set(sys.modules)
mode, threads, grad = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
import ops
x = torch.full((1, 16, 9, 9), 1e-39, requires_grad=True)
y = ops.involution2d(x, torch.full((1, 1, 3, 3, 9, 9), 0.5))
y.sum().backward()
state = (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
print(json.dumps({{
    "heavy": [m for m in {HEAVY!r} if m in set(sys.modules) - before],
    "same": state == (mode, threads, grad),
    "denormal": [float((torch.tensor([1e-39]) * 0.5)[0]), y[0, 0, 4, 4].item(), 5e-324 * 1.0],
}}))
"""


def test_import_loads_nothing_heavy_and_changes_no_mode() -> None:
    """Denormal numbers survive too: a library built with -ffast-math would flush them to zero."""
    probe = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE], check=True, capture_output=True, text=True
    )
    result = json.loads(probe.stdout)
    assert result["heavy"] == []
    assert result["same"]
    assert min(result["denormal"]) > 0


def test_the_public_names_are_all_there() -> None:
    import ops

    for name in ops.__all__:
        assert hasattr(ops, name)
