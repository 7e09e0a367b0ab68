"""How fast a network is: measured, tabled by its blocks, predicted from the table."""

from invsearch.latency.layers import LayerLatencies, layer_latency
from invsearch.latency.measured import latency

__all__ = ["LayerLatencies", "latency", "layer_latency"]
