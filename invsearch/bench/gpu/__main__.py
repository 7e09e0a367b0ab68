"""``python -m invsearch.bench.gpu``."""

from __future__ import annotations

import sys

import torch

from invsearch.bench.gpu import main

if __name__ == "__main__":
    with torch.random.fork_rng(devices=[]):
        sys.exit(main())
