"""Search: the study, the strategies and the executors.

``run.py`` runs a search, ``study.py`` is the truth about it, ``session.py`` joins the two to the
run folder; ``strategies/`` says what is tried next, ``executors/`` where it is evaluated.
"""
