"""The logarithm of the multiply-adds of one image."""

from __future__ import annotations

import math

from invsearch.accuracy.proxies.proxy import Proxy

__all__ = ["MACS"]

MACS = Proxy(lambda subject: {"macs": math.log(subject.counts.macs)}, counted=True)
