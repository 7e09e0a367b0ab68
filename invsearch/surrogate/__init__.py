"""What trials say about one objective: a Gaussian process over the points of a space.

The search proposes by it (:mod:`invsearch.search.sampler`), and a run's beliefs are its posterior.

=================  ======================================================================
``encoding``       points as rows, rows as kernel features
``warp``           costs as features
``kernel``, ``gp`` the Gaussian process
``surrogate``      an objective on its scale
``truth``          what is believed of the points themselves, their noise taken away
``threads``        one thread for the linear algebra
=================  ======================================================================
"""
