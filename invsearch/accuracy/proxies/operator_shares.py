"""The share of the blocks that each operator has: one number an operator."""

from __future__ import annotations

from collections import Counter

import ops
from invsearch.accuracy.proxies.proxy import Proxy, Subject

__all__ = ["OPERATOR_SHARES"]


def _shares(subject: Subject) -> dict[str, float]:
    used = Counter(block.operator for _, block in subject.backbone.blocks())
    names = dict.fromkeys([*ops.names(), *used])
    return {f"share/{name}": used[name] / used.total() for name in names}


OPERATOR_SHARES = Proxy(_shares, counted=True)
