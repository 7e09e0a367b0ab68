"""Every data set of the table, and every format of a folder, pass the suite of third parties."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from datasets_on_disk import (
    WRITERS,
    write_cifar100,
    write_images,
    write_parquet,
    write_tiny_imagenet,
)

from invsearch.data.formats import FORMATS, pickles
from invsearch.plugins import DATASETS
from invsearch.testing import DatasetConformance


class TestDigits(DatasetConformance):
    dataset = "digits"


class TestFashionMnist(DatasetConformance):
    dataset = "fashion_mnist"


class TestDigitScenes(DatasetConformance):
    dataset = "digit_scenes"


class _Found(DatasetConformance):
    """In a folder that the variable names, with a stand-in of few images and classes."""

    write: ClassVar[Callable[[Path], Path]]

    @pytest.fixture
    def name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        type(self).write(tmp_path / self.dataset)
        monkeypatch.setenv("INVSEARCH_DATA", str(tmp_path))
        return self.dataset


class TestCifar10(_Found):
    dataset = "cifar10"
    write = write_parquet


class TestCifar100(_Found):
    dataset = "cifar100"
    write = write_cifar100


class TestTinyImagenet(_Found):
    dataset = "tiny_imagenet"
    write = write_tiny_imagenet


class TestImagenet(_Found):
    dataset = "imagenet"
    write = write_images


@pytest.mark.parametrize("form", WRITERS)
class TestFormats(DatasetConformance):
    """Folders and files, each in its own way; what they lack is split off."""

    @pytest.fixture
    def name(self, form: str, tmp_path: Path) -> str:
        return str(WRITERS[form](tmp_path / "data"))


def test_every_row_is_tested() -> None:
    tested = (TestDigits, TestFashionMnist, TestDigitScenes, *_Found.__subclasses__())
    assert set(DATASETS) == {one.dataset for one in tested}
    assert len(WRITERS) == len([one for one in FORMATS if one is not pickles.FORMAT])
