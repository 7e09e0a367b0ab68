"""Parquet that memory does not hold: read by row groups, shuffled the same each time."""

from __future__ import annotations

import io
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from invsearch.data import ImageData, blocks, load_dataset
from invsearch.data.blocks import Blocks
from invsearch.data.formats import parquet
from invsearch.data.row_groups import Group, RowGroups
from invsearch.errors import InputError
from invsearch.train import Recipe, Trainer, seeded_build
from invsearch.train.batches import Batches, Share, batches_of

ROWS, GROUPS = 5, 30
RECIPE = Recipe(batch_size=10, epochs=2, augment=True)


def png(rng: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (10, 10, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, groups: int, rng: np.random.Generator, form: pa.DataType) -> None:
    count = groups * ROWS
    images = [png(rng) for _ in range(count)]
    if pa.types.is_struct(form):
        images = [{"bytes": one, "path": None} for one in images]  # type: ignore[misc]
    table = pa.table({"image": pa.array(images, form), "label": rng.integers(0, 2, count)})
    pq.write_table(table, path, row_group_size=ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Hugging Face's: two shards to train on, one to be judged by."""
    place, rng = tmp_path_factory.mktemp("parquet"), np.random.default_rng(0)
    form = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    write(place / "train-00000-of-00002.parquet", GROUPS // 2, rng, form)
    write(place / "train-00001-of-00002.parquet", GROUPS // 2, rng, form)
    write(place / "validation-00000-of-00001.parquet", 6, rng, form)
    return place


class Watched(RowGroups):
    """Notes what is read, and how much was in memory at most."""

    made: Watched

    def __init__(self) -> None:
        super().__init__()
        Watched.made = self
        self.reads: Counter[Group] = Counter()
        self.most = 0

    def _read(self, group: Group, promised: Future[Any]) -> None:
        self.reads[group] += 1
        super()._read(group, promised)
        self.most = max(self.most, self.kept)


@pytest.fixture
def small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, on a machine that does not hold it; four of its row groups are a window."""
    monkeypatch.setattr(parquet, "machine_memory", lambda: 20_000)
    monkeypatch.setattr(parquet, "RowGroups", Watched)
    monkeypatch.setattr(blocks, "WINDOW", 4 * 2800)  # bytes of the largest group
    return folder


def load(path: Path, stream: bool, seed: int) -> ImageData:
    """Another seed, another load: the last one is kept."""
    return load_dataset(str(path), stream=stream, pixels=True, seed=seed)


def same(one: Batches, other: Batches, share: Share = Share()) -> bool:  # noqa: B008
    for skip in (0, 4):
        for (a, _), (b, _) in zip(one.epoch(3, skip), other.epoch(3, skip), strict=True):
            if not torch.equal(a, b):
                return False
    pairs = [*zip(one.plain(1, 6, 20), other.plain(1, 6, 20), strict=True)]
    judged = zip(one.judged("val"), other.judged("val"), strict=True)
    return all(torch.equal(a, b) for a, b in pairs) and all(
        torch.equal(a, b) for (a, _), (b, _) in judged
    )


def test_streamed_batches_are_those_from_memory_bit_for_bit(small: Path) -> None:
    resident, streamed = load(small, False, 11), load(small, True, 11)
    assert resident.encoded is None
    assert streamed.encoded is not None
    for share in (Share(), Share(1, 2)):
        made = [batches_of(d, RECIPE, torch.device("cpu"), share) for d in (resident, streamed)]
        assert made[0].steps_per_epoch == 15
        assert same(*made)


def test_the_images_are_those_that_are_held(
    small: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_groups = load(small, False, 12)
    monkeypatch.undo()
    held = load(folder, False, 13)
    for name in ("train_images", "train_labels", "val_images", "val_labels", "test_images"):
        assert torch.equal(getattr(by_groups, name), getattr(held, name))
    assert by_groups.blocks is not None
    assert held.blocks is None


def test_memory_is_bounded_and_a_row_group_is_read_once_an_epoch(small: Path) -> None:
    data = load(small, True, 14)
    watched = Watched.made
    watched.reads.clear()
    before = pa.total_allocated_bytes()
    most = 0
    for _ in batches_of(data, RECIPE, torch.device("cpu")).epoch(0):
        most = max(most, pa.total_allocated_bytes() - before)
    assert len(watched.reads) >= GROUPS - 8  # two windows were there from taking the sample
    assert max(watched.reads.values()) == 1
    assert watched.most <= 10  # two windows, and what is read; of 30
    files = sum(path.stat().st_size for path in small.glob("train*"))
    assert most < files / 2


def test_rows_of_one_group_come_apart(small: Path) -> None:
    """A batch of ten has rows of most of a window's four groups, and no others'."""
    data = load(small, True, 15)
    assert data.blocks is not None
    order = data.blocks.order(torch.Generator().manual_seed(0))
    batches = [data.blocks.of[rows].unique().numel() for rows in order.split(10)]
    assert max(batches) <= 8
    assert np.median(batches) >= 3
    again = data.blocks.order(torch.Generator().manual_seed(0))
    assert torch.equal(order, again)
    assert not torch.equal(order, data.blocks.order(torch.Generator().manual_seed(1)))


@pytest.mark.parametrize(("count", "groups", "window"), [(50, 7, 3), (20, 20, 1), (9, 1, 2)])
def test_an_order_has_every_row_once(
    count: int, groups: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a block is done with before the window after its own has begun."""
    monkeypatch.setattr(blocks, "WINDOW", window)
    of = torch.randint(groups, (count,), generator=torch.Generator().manual_seed(count))
    order = Blocks(of, torch.ones(groups, dtype=torch.int64)).order(torch.Generator())
    assert sorted(order.tolist()) == list(range(count))
    seen = of[order].tolist()
    for block in set(seen):
        first, last = seen.index(block), len(seen) - 1 - seen[::-1].index(block)
        assert len(set(seen[first : last + 1])) <= window


def trainer_of(data: ImageData) -> Trainer:
    def build() -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))

    return Trainer(seeded_build(build, 0), data, RECIPE)


def weights(trainer: Trainer) -> dict[str, Tensor]:
    while not trainer.done:
        trainer.train_epoch()
    return trainer.weights()


def test_a_training_goes_on_within_an_epoch(small: Path) -> None:
    data = load(small, True, 16)
    cut, states = trainer_of(data), []

    def after_step() -> None:
        if cut.step == 7:
            states.append(cut.state_dict())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.train_epoch(after_step)
    again = trainer_of(data)
    again.load_state_dict(states[0])
    mine, theirs = weights(again), weights(trainer_of(data))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    with pytest.raises(InputError, match="order 'blocks', this training of 'rows': the machine's"):
        trainer_of(replace(data, blocks=None)).load_state_dict(states[0])


def test_a_row_group_that_memory_does_not_hold_is_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "machine_memory", lambda: 4_000)
    with pytest.raises(InputError, match=r"train-00000.*row group holds .*\(row_group_size\)$"):
        load(small, True, 18)


def test_threads_that_want_one_group_read_it_once(folder: Path) -> None:
    path = next(folder.glob("validation*"))
    groups, read = parquet._groups(path), Watched()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: read.image(groups[n % 2], n % ROWS), range(64)))
    assert set(read.reads.values()) == {1}
    column = pq.read_table(path, columns=["image"]).column("image").to_pylist()
    assert found[0] == column[0]["bytes"]
    assert found[1] == column[ROWS + 1]["bytes"]


def test_a_file_that_breaks_off_is_named_with_its_row(small: Path, tmp_path: Path) -> None:
    """The footer is sound, so it is met when the row group is read."""
    for path in small.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "train-00001-of-00002.parquet"
    data = bytearray(broken.read_bytes())
    data[4:400] = bytes(396)
    broken.write_bytes(bytes(data))
    with pytest.raises(InputError) as caught:
        load(tmp_path, False, 17)
    assert str(caught.value).startswith(f"{broken}: row ")
    assert "\n" not in str(caught.value)
