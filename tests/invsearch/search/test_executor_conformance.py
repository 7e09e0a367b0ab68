"""Every executor of the table passes the suite that third parties use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from folder_workers import Pool

from invsearch.plugins import EXECUTORS
from invsearch.search.executors import Executor, Workers
from invsearch.search.session import Session
from invsearch.testing import ExecutorConformance
from invsearch.testing.problems import landscape


class TestSerial(ExecutorConformance):
    executor = "serial"


class TestRay(ExecutorConformance):
    """On a private cluster of this machine."""

    executor = "ray"
    SLOW = (
        "test_an_evaluation_goes_on",
        "test_promotions_are_the_serial_ones",
        "test_reports_",
        "test_rungs_stop_the_same_trials",
        "test_what_the_session_raises_comes_out",
        "test_without_batches_the_budget_is_kept",
    )


class TestFolder(ExecutorConformance):
    """With two workers that come for every search, each in a process of its own."""

    executor = "folder"

    @pytest.fixture(scope="class")
    @classmethod
    def workers(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
        pool = Pool()
        problem = landscape(tmp_path_factory.mktemp("opened"), parallel=2)
        with EXECUTORS.get(cls.executor, Executor).open(problem, None) as opened:

            def run(session: Session) -> None:
                with pool.at(session.problem, session.folder.path):
                    try:
                        opened.run(session)
                    except BaseException as error:
                        raised.append(error)
                if raised:
                    raise raised.pop()

            raised: list[BaseException] = []
            yield Workers(opened.capacity, run)
        pool.close()


def test_every_row_is_tested() -> None:
    assert set(EXECUTORS) == {TestSerial.executor, TestRay.executor, TestFolder.executor}
