"""The number of blocks."""

from __future__ import annotations

from invsearch.accuracy.proxies.proxy import Proxy

__all__ = ["BLOCKS"]

BLOCKS = Proxy(
    lambda subject: {"blocks": float(sum(len(stage.blocks) for stage in subject.backbone.stages))},
    counted=True,
)
