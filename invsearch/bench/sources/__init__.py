"""``invsearch bench sources SPACE``: what each source of information about accuracy is worth there.

Networks of the space are trained alone, from several seeds; every proxy, every single training and,
where it is asked for, a supernet is then compared with the mean over the seeds.
"""

from invsearch.bench.sources.command import Settings, measure_sources
from invsearch.bench.sources.table import sources_table

__all__ = ["Settings", "measure_sources", "sources_table"]
