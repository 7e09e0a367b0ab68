"""What every test may rely on: one thread, no colours, no environment of the developer's."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

pytest.register_assert_rewrite("ops.testing", "invsearch.testing")
torch.set_num_threads(1)
for name in ("RAY_ADDRESS", "FORCE_COLOR", "COLUMNS"):
    os.environ.pop(name, None)
os.environ["NO_COLOR"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background by a script:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what we start would ignore it too

FIXTURES = Path(__file__).parent / "fixtures"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def shared() -> Path:
    """The shared data, or a skip with the reason."""
    path = os.environ.get("INVSEARCH_SHARED")
    if not path or not Path(path).is_dir():
        pytest.skip("INVSEARCH_SHARED does not name a folder: the shared data is not at hand")
    return Path(path)
