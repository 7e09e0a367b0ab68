"""``python -m invsearch.bench.cifar10``."""

from __future__ import annotations

import sys

from invsearch.bench.cifar10 import main

if __name__ == "__main__":
    sys.exit(main())
