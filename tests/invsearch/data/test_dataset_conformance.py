"""Every data set of the table, and a folder, pass the suite that third parties use."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from invsearch.plugins import DATASETS
from invsearch.testing import DatasetConformance


def write_folder(folder: Path) -> Path:
    """Ten classes of noise, 8 x 8, as parquet."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for file, count in (("train.parquet", 60), ("test.parquet", 20)):
        images = []
        for _ in range(count):
            buffer = io.BytesIO()
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(buffer, "PNG")
            images.append(buffer.getvalue())
        table = {"image": images, "label": [row % 10 for row in range(count)]}
        pq.write_table(pa.table(table), folder / file)
    return folder


class TestDigits(DatasetConformance):
    dataset = "digits"


class TestCifar10(DatasetConformance):
    """In a shared folder with a stand-in of 60 images."""

    dataset = "cifar10"

    @pytest.fixture
    def name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        write_folder(tmp_path / "data" / "cifar10")
        monkeypatch.setenv("INVSEARCH_SHARED", str(tmp_path))
        return self.dataset


class TestFolderOfParquet(DatasetConformance):
    @pytest.fixture
    def name(self, tmp_path: Path) -> str:
        return str(write_folder(tmp_path / "folder"))


def test_every_row_is_tested() -> None:
    assert set(DATASETS) == {TestDigits.dataset, TestCifar10.dataset}
