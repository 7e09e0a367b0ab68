"""Proxies: numbers of an untrained network that may say something about its accuracy.

A file each, and a row of :data:`invsearch.plugins.PROXIES`. None is ever an objective: each is a
hint to the search, checked on the space it is used on (``invsearch bench sources``).
"""

from invsearch.accuracy.proxies.proxy import CANNOT_TELL, Proxy, Subject, proxy_values

__all__ = ["CANNOT_TELL", "Proxy", "Subject", "proxy_values"]
