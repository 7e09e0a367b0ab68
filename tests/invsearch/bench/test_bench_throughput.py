"""The training steps that are timed against each other train the same network."""

from __future__ import annotations

import contextlib

import pytest

from invsearch.bench.case import Settings
from invsearch.bench.throughput import PLAIN, throughput_cases
from ops.timing import DisagreementError, check

CASES = dict(throughput_cases(Settings().quickly()))
LOOPS = sorted(name for name in CASES if "families" not in name)


@pytest.mark.parametrize("name", LOOPS)
def test_both_loops_train_one_network(name: str) -> None:
    """Before a step both give the same logits, and a wrong weight would be seen; after, not."""
    case = CASES[name]()
    ours = case.candidates["ours"]
    assert ours.results is not None
    assert callable(ours.oracle)
    with contextlib.ExitStack() as stack:
        found, wanted = ours.results(stack)(), ours.oracle(stack)()
        check(name, found, wanted)
        with pytest.raises(DisagreementError):
            check(name, found, wanted.flip(0))
        for candidate in case.candidates.values():
            candidate.enter(stack)()
        check(name, found, wanted)
        with pytest.raises(DisagreementError):  # the step was taken on the very network
            check(name, ours.results(stack)(), wanted)


def test_the_families_are_compared_by_our_own_steps() -> None:
    case = CASES["training/families/proxy"]()
    assert set(case.candidates) == {"rednet26", "resnet26"}
    assert PLAIN not in case.candidates


def test_images_of_cifar_10s_size_are_among_the_cases() -> None:
    """Not with ``--quick``: a step takes seconds there."""
    wanted = {f"training/{what}/cifar" for what in ("resnet26", "rednet26", "families")}
    assert set(dict(throughput_cases(Settings()))) == wanted | set(CASES)
