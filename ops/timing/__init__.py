"""The harness behind `ops.measure` and `ops.compare`: samples, statistics, conditions, roofline."""

from ops.timing.compare import Comparison, DisagreementError, check, compare
from ops.timing.conditions import Conditions
from ops.timing.energy import Energy, energy
from ops.timing.environment import environment
from ops.timing.gpu import GpuConditions
from ops.timing.measure import measure
from ops.timing.measurement import Measurement
from ops.timing.roofline import Roofline, roofline
from ops.timing.sampling import Rule
from ops.timing.statistics import Interval, Verdict, judge

__all__ = [
    "Comparison",
    "Conditions",
    "DisagreementError",
    "Energy",
    "GpuConditions",
    "Interval",
    "Measurement",
    "Roofline",
    "Rule",
    "Verdict",
    "check",
    "compare",
    "energy",
    "environment",
    "judge",
    "measure",
    "roofline",
]
