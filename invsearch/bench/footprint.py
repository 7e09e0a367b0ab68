"""``python -m invsearch.bench.footprint``: what the packages take on the disk, and to import."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import invsearch
import ops
from invsearch.runs import describe
from invsearch.runs.files import dump_json, write_atomic

__all__ = ["OUTPUT", "main", "size_bytes"]

OUTPUT = Path("results/footprint.json")
_TIMES = 7  # fresh processes each, of which the median counts: the first finds cold files
_COMMANDS = {
    "python": ["-c", "pass"],
    "import ops": ["-c", "import ops"],
    "import invsearch": ["-c", "import invsearch"],
    "import torch": ["-c", "import torch"],
    "the sampler alone": ["-c", "import invsearch.search.sampler"],
    "invsearch --help": ["-m", "invsearch", "--help"],
}


def size_bytes(package: Path) -> int:
    """What a package's files take, without what Python compiles of them."""
    files = (path for path in package.rglob("*") if "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files if path.is_file())


def main() -> int:
    """Measure, print and write the file."""
    sizes = {
        name: size_bytes(Path(str(package.__file__)).parent)
        for name, package in (("ops", ops), ("invsearch", invsearch))
    }
    seconds = {name: _seconds(words) for name, words in _COMMANDS.items()}
    document: dict[str, Any] = {
        "kind": "footprint",
        "command": ["python", "-m", "invsearch.bench.footprint"],
        "environment": describe(),
        "bytes": sizes,
        "seconds": seconds,
    }
    write_atomic(OUTPUT, dump_json(document, indent=1) + "\n")
    for name, size in sizes.items():
        print(f"{name}: {size / 1e6:.1f} MB")
    for name, median in seconds.items():
        print(f"{name}: {median:.2f} s")
    return 0


def _seconds(words: list[str]) -> float:
    """Median of fresh processes, which find their files in memory."""
    found = []
    for _ in range(_TIMES):
        began = time.monotonic()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        found.append(time.monotonic() - began)
    return statistics.median(found)


if __name__ == "__main__":
    sys.exit(main())
