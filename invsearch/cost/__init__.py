"""What a network costs: params, MACs, memory, latency."""

from invsearch.cost.closed_form import Convention, Counts, LayerCost, count, layers
from invsearch.cost.latency import latency
from invsearch.cost.memory import peak_memory
from invsearch.cost.modules import module_macs
from invsearch.cost.trace import flop_counter_macs, trace_macs
from invsearch.cost.verify import verify_closed_form

__all__ = [
    "Convention",
    "Counts",
    "LayerCost",
    "count",
    "flop_counter_macs",
    "latency",
    "layers",
    "module_macs",
    "peak_memory",
    "trace_macs",
    "verify_closed_form",
]
