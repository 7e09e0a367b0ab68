"""Space files: YAML -> Space -> Architecture."""

from invsearch.space.architecture import Architecture, Value
from invsearch.space.json_schema import json_schema
from invsearch.space.load import SpaceFile, load_space_file, shipped_spaces
from invsearch.space.parameter import Parameter
from invsearch.space.schema import (
    Accuracy,
    Bound,
    Cluster,
    Latency,
    Model,
    OnTarget,
    Proxy,
    Search,
    Timing,
)
from invsearch.space.space import Space

__all__ = [
    "Accuracy",
    "Architecture",
    "Bound",
    "Cluster",
    "Latency",
    "Model",
    "OnTarget",
    "Parameter",
    "Proxy",
    "Search",
    "Space",
    "SpaceFile",
    "Timing",
    "Value",
    "json_schema",
    "load_space_file",
    "shipped_spaces",
]
