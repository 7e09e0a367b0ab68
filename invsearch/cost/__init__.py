"""What a network costs: params, MACs, memory."""

from invsearch.cost.closed_form import Convention, Counts, LayerCost, count, layers
from invsearch.cost.flop_counter import flop_counter_macs
from invsearch.cost.memory import peak_memory
from invsearch.cost.meta_trace import meta_macs
from invsearch.cost.modules import module_macs
from invsearch.cost.task_count import searched_count, searched_shape, task_count
from invsearch.cost.task_layers import searched_layers, task_layers
from invsearch.cost.trace import trace_macs
from invsearch.cost.verify import verify_closed_form

__all__ = [
    "Convention",
    "Counts",
    "LayerCost",
    "count",
    "flop_counter_macs",
    "layers",
    "meta_macs",
    "module_macs",
    "peak_memory",
    "searched_count",
    "searched_layers",
    "searched_shape",
    "task_count",
    "task_layers",
    "trace_macs",
    "verify_closed_form",
]
