"""The simulator: how far a search gets, and when, on machines that nobody has rented yet."""

from invsearch.simulate.durations import Durations, parse_durations, parse_workers
from invsearch.simulate.simulation import Plan, Simulation, simulate

__all__ = ["Durations", "Plan", "Simulation", "parse_durations", "parse_workers", "simulate"]
