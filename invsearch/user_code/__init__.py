"""Calling somebody's code: it ends in a result or a reason, and changes nothing else."""
