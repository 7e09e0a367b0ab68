"""The command line: parse, call, print. A module for each family of commands."""

# fmt: off
from invsearch.cli import (  # noqa: I001 - their order is that of the help
    searching, working, reporting, benches, latency, networks, data,
)
# fmt: on
from invsearch.cli.app import app
from invsearch.cli.entry import main

__all__ = ["app", "benches", "data", "latency", "main", "networks", "reporting", "searching"]
__all__ += ["working"]
