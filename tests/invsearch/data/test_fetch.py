"""Fetching from a server of this machine: checked, whole or absent, and one line offline."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from datasets_on_disk import write_cifar
from toy import invsearch, one_line

from invsearch.data import fetch, load_dataset
from invsearch.data.fetch import Archive
from invsearch.errors import InputError


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address that serves it."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def archive(file: Path, address: str) -> Archive:
    return Archive(f"{address}/{file.name}", hashlib.md5(file.read_bytes()).hexdigest(), 1)


def test_a_tar_is_fetched_checked_and_loaded(tmp_path: Path, served: tuple[Path, str]) -> None:
    folder, address = served
    made = write_cifar(tmp_path / "made")
    with tarfile.open(folder / "c.tar.gz", "w:gz") as tar:
        tar.add(made / "cifar-10-batches-bin", "cifar-10-batches-bin")
    fetch.fetch_archive(archive(folder / "c.tar.gz", address), tmp_path / "data" / "cifar10")
    assert load_dataset("cifar10", folder=tmp_path / "data" / "cifar10").num_classes == 10
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cifar10"]


def test_another_file_than_the_one_that_is_known_is_not_kept(
    tmp_path: Path, served: tuple[Path, str]
) -> None:
    folder, address = served
    with zipfile.ZipFile(folder / "a.zip", "w") as zipped:
        zipped.writestr("a.txt", "text")
    known = Archive(f"{address}/a.zip", "0" * 32, 1)
    with pytest.raises(InputError, match=f"not {'0' * 32}: broken on the way, or another"):
        fetch.fetch_archive(known, tmp_path / "data" / "x")
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("kind", ["tar", "junk"])
def test_an_archive_that_leaves_its_folder_or_is_none_is_refused(
    tmp_path: Path, served: tuple[Path, str], kind: str
) -> None:
    folder, address = served
    file = folder / "a.tar"
    if kind == "tar":
        with tarfile.open(file, "w") as tar:
            entry = tarfile.TarInfo("../outside.txt")
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"text"))
    else:
        file.write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be unpacked"):
        fetch.fetch_archive(archive(file, address), tmp_path / "data" / "x")
    assert not list((tmp_path / "data").iterdir())
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a", "http://no-such-host.invalid/a"])
def test_without_a_network_it_is_one_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"cannot be downloaded: .*; without a network") as caught:
        fetch.fetch_archive(Archive(url, "", 1), tmp_path / "data" / "x")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imagenet", "its makers give it out themselves"),
        ("fashion_mnist", "it needs no download"),
        ("cifar11", "did you mean 'cifar10'"),
    ],
)
def test_what_cannot_be_fetched(tmp_path: Path, name: str, message: str) -> None:
    assert message in one_line(invsearch(tmp_path, "data", "fetch", name))


def test_it_needs_a_place_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("INVSEARCH_DATA", "INVSEARCH_SHARED"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InputError, match="set INVSEARCH_DATA to a folder, or give -o"):
        fetch.fetch("cifar10", None, print)
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "a").touch()
    monkeypatch.setenv("INVSEARCH_DATA", str(tmp_path))
    with pytest.raises(InputError, match="is there already"):
        fetch.fetch("cifar10", None, print)
