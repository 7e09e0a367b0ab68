"""The supernet: the networks of a space in one, trained once, as a source of hints. Experimental.

``invsearch bench sources SPACE --supernet`` measures what it is worth on a space.
"""

from invsearch.accuracy.supernet.elastic import Elastic, NotCoveredError
from invsearch.accuracy.supernet.supernet import Supernet

__all__ = ["Elastic", "NotCoveredError", "Supernet"]
