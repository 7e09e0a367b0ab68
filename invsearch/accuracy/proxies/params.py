"""The logarithm of the number of parameters: what every other source is to beat."""

from __future__ import annotations

import math

from invsearch.accuracy.proxies.proxy import Proxy

__all__ = ["PARAMS"]

PARAMS = Proxy(lambda subject: {"params": math.log(subject.counts.params)}, counted=True)
