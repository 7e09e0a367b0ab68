"""The published tables and their reproduction."""

from __future__ import annotations

from invsearch.paper.published import PublishedNetwork, networks

__all__ = ["PublishedNetwork", "networks"]
