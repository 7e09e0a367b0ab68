"""`python -m invsearch.bench.scale`: what a trial costs the search itself, up to 10,000 trials.

Every row is measured in a run or a study like a user's, and has the limit that it must keep. CPU
times are those of the process, so that other work on the machine changes them little; the page's
seconds are real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from invsearch.bench.scale.measures import Row, asking, on_ray, the_page, writing
from invsearch.runs import describe
from invsearch.runs.files import dump_json, write_atomic

__all__ = ["OUTPUT", "main", "measured"]

OUTPUT = Path("results/bench-scale.json")


def measured(trials: int, folder: Path, say: Callable[[str], None]) -> list[Row]:
    """Every row, in order.

    Args:
        trials: Of the long run: ten thousand for the figures that we publish.
        folder: An empty one for the runs.
        say: Told of each row.
    """
    rows: list[Row] = []
    for measure in (writing, asking, on_ray, the_page):
        for row in measure(trials, folder):
            say(str(row))
            rows.append(row)
    return rows


def main(trials: int = 10_000, output: Path = OUTPUT) -> bool:
    """Measure, write the file, and tell whether every limit is kept."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="invsearch-scale-") as folder:
        rows = measured(trials, Path(folder), lambda line: print(line, flush=True))
    document = {
        "kind": "scale",
        "command": ["python", "-m", "invsearch.bench.scale"],
        "environment": describe(),
        "rows": [row.to_json() for row in rows],
    }
    write_atomic(output, dump_json(json.loads(json.dumps(document)), indent=1) + "\n")
    return all(row.kept is not False for row in rows)
