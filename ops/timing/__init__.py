"""The harness behind `ops.measure`: samples, statistics, environment."""

from ops.timing.environment import environment
from ops.timing.measure import Measurement, measure

__all__ = ["Measurement", "environment", "measure"]
