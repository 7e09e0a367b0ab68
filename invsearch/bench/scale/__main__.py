"""`python -m invsearch.bench.scale`."""

import sys

from invsearch.bench.scale import main

if __name__ == "__main__":
    sys.exit(0 if main() else 1)
