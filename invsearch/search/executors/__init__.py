"""Executors: where evaluations run, a file or a folder each.

The table is :data:`invsearch.plugins.EXECUTORS`.
"""

from invsearch.search.executors.executor import Executor, Workers, WorkerState

__all__ = ["Executor", "WorkerState", "Workers"]
