"""A table is measured where the command is given."""

from __future__ import annotations

from invsearch.space import load_space_file
from invsearch.takeaway.device_table import _place


def test_a_target_of_a_cluster_is_measured_on_the_machine_of_the_command() -> None:
    """On the node itself: the resource says how a search elsewhere finds it."""
    place = _place(load_space_file("rednet-gpu"), "cpu")
    assert place.section.table is True
    assert place.problem() is None
