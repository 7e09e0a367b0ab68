"""What every test may rely on: one thread, no colours, no environment of the developer's."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
import torch

pytest.register_assert_rewrite("ops.testing", "invsearch.testing")
torch.set_num_threads(1)
for name in ("RAY_ADDRESS", "FORCE_COLOR", "COLUMNS"):
    os.environ.pop(name, None)
os.environ["NO_COLOR"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 -- so it is called; its 15 waits out every busy core
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background by a script:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what we start would ignore it too


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than cores: a third of a test's time here is waiting, for nodes and browsers.

    With two a core, nodes of test clusters that share the machine answer too late.
    """
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what ``make test-slow`` runs and CI does not.

    Of a matrix that is ``sampled(n)`` all but every n-th case; and of a module or class with the
    attribute ``SLOW`` the tests whose names begin with one of its words.
    """
    met: Counter[object] = Counter()
    for item in items:
        assert isinstance(item, pytest.Function)
        sampled = item.get_closest_marker("sampled")
        slow = getattr(item.cls or item.module, "SLOW", ())
        if item.name.startswith(tuple(slow)):
            item.add_marker("slow")
        elif sampled is not None:
            matrix = item.nodeid.partition("[")[0]
            if met[matrix] % sampled.args[0]:
                item.add_marker("slow")
            met[matrix] += 1


FIXTURES = Path(__file__).parent / "fixtures"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def shared() -> Path:
    """The shared data, or a skip with the reason."""
    path = os.environ.get("INVSEARCH_SHARED")
    if not path or not Path(path).is_dir():
        pytest.skip("INVSEARCH_SHARED does not name a folder: the shared data is not at hand")
    return Path(path)
