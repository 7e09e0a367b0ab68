"""Spaces of networks: from the sections ``model:`` and ``space:`` to a Space."""

from invsearch.space.network.build import network_space
from invsearch.space.network.space import NetworkSpace

__all__ = ["NetworkSpace", "network_space"]
