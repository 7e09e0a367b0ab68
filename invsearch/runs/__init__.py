"""Runs: the folder that holds a search, its trials and its front."""

from __future__ import annotations

from invsearch.runs.audits import Audit
from invsearch.runs.beliefs import Belief, Beliefs
from invsearch.runs.environment import describe
from invsearch.runs.folder import RunFolder
from invsearch.runs.front import FrontMember, front, hypervolume, hypervolume_trace
from invsearch.runs.load import RunData, load_run
from invsearch.runs.outline import SpaceOutline, outline
from invsearch.runs.replicates import Replicate
from invsearch.runs.trial import SCHEMA, Origin, State, Trial

__all__ = [
    "SCHEMA",
    "Audit",
    "Belief",
    "Beliefs",
    "FrontMember",
    "Origin",
    "Replicate",
    "RunData",
    "RunFolder",
    "SpaceOutline",
    "State",
    "Trial",
    "describe",
    "front",
    "hypervolume",
    "hypervolume_trace",
    "load_run",
    "outline",
]
