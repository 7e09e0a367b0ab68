"""``python -m invsearch``."""

from invsearch.cli import main

main()
