"""Third parties' plugins: what installed distributions give in an entry-point group."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib import metadata

__all__ = ["entry_points"]


def entry_points(group: str) -> Iterator[tuple[str, object]]:
    """Load the entry points of a group, in order of their names.

    One that cannot be loaded is left out with a warning that names its distribution: a broken
    plugin must not take the others down.

    Args:
        group: Such as ``invsearch.families``.

    Yields:
        The name of each entry point and the object that it names.
    """
    for point in sorted(metadata.entry_points(group=group), key=lambda point: point.name):
        try:
            found = point.load()
        except Exception as error:
            owner = point.dist.name if point.dist is not None else "an unknown distribution"
            warnings.warn(
                f"the plugin {point.name!r} of {owner} ({group}) cannot be loaded and is left out: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
        else:
            yield point.name, found
