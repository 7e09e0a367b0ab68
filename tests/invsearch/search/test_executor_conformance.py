"""Every executor of the table passes the suite that third parties use."""

from __future__ import annotations

import pytest

from invsearch.testing import ExecutorConformance


class TestSerial(ExecutorConformance):
    executor = "serial"


@pytest.mark.timeout(240)
class TestRay(ExecutorConformance):
    """On a private cluster of this machine."""

    executor = "ray"


def test_every_row_is_tested() -> None:
    from invsearch.plugins import EXECUTORS

    assert set(EXECUTORS) == {TestSerial.executor, TestRay.executor}
