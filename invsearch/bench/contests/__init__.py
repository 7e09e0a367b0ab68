"""Contests between search strategies, on spaces whose whole front is known."""

from invsearch.bench.contests.compare import compare_strategies
from invsearch.bench.contests.contest import (
    GRAPHS,
    TABLE,
    Contest,
    identity,
    known_strategies,
    structures,
)
from invsearch.bench.contests.duel import Duel, duels, duels_table
from invsearch.bench.contests.partial import Partial
from invsearch.bench.contests.standing import Standing, document, standings_table

__all__ = [
    "GRAPHS",
    "TABLE",
    "Contest",
    "Duel",
    "Partial",
    "Standing",
    "compare_strategies",
    "document",
    "duels",
    "duels_table",
    "identity",
    "known_strategies",
    "standings_table",
    "structures",
]
