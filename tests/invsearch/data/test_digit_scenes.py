"""``digit_scenes``: real digits in made scenes, the same in every process."""

from __future__ import annotations

import torch

from invsearch.data import IGNORED, load_dataset
from invsearch.data.check import check_dataset


def test_scenes_are_what_they_were() -> None:
    """Runs are compared on them: another scene would be another data set."""
    data = load_dataset("digit_scenes", pixels=True)
    sizes = [len(one) for one in (data.train_labels, data.val_labels, data.test_labels)]
    assert sizes == [600, 200, 200]
    assert data.train_images.shape[1:] == (1, 48, 48)
    assert data.train_images.dtype == torch.uint8
    sums = [int(one.sum()) for one in (data.train_images[:9], data.train_labels, data.test_labels)]
    assert sums == [2_653_586, 26_806_966, 8_359_939]


def test_every_class_is_in_every_set_and_edges_are_of_none() -> None:
    found = check_dataset("digit_scenes")
    assert found.sound
    assert found.classes == ("ground", *"0123456789")
    for part in found.parts.values():
        assert min(part.per_class) >= 25
        assert part.per_class[0] == part.images
    labels = load_dataset("digit_scenes").train_labels
    shares = {
        name: float((labels == value).float().mean())
        for name, value in {"ground": 0, "edge": IGNORED}.items()
    }
    assert 0.7 < shares["ground"] < 0.8
    assert shares["edge"] < 0.1
    assert not load_dataset("digit_scenes").mirrors
