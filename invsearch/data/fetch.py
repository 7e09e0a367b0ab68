"""Fetching a data set, where a user asks for it by name: download, check the hash, unpack.

Hashes are those that the makers publish: CIFAR's beside its downloads
(https://www.cs.toronto.edu/~kriz/cifar.html), Tiny ImageNet's as torchvision's users know it. They
are MD5: good against a download that broke, not against a forger.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from invsearch.data.found import DATA, home
from invsearch.errors import InputError, nearest
from invsearch.plugins import DATASETS

__all__ = ["ARCHIVES", "Archive", "fetch", "fetch_archive"]

_CHUNK = 1 << 20  # bytes at a time
_PATIENCE_S = 30.0  # without a byte: a server that is there answers sooner


@dataclass(frozen=True)
class Archive:
    """A file that holds a data set.

    Attributes:
        url: Where it is.
        md5: Its hash.
        size_mb: Its size, for those who wait.
    """

    url: str
    md5: str
    size_mb: int


_CIFAR = "https://www.cs.toronto.edu/~kriz"
ARCHIVES: Mapping[str, Archive] = {
    "cifar10": Archive(f"{_CIFAR}/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 162),
    "cifar100": Archive(
        f"{_CIFAR}/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 161
    ),
    "tiny_imagenet": Archive(
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "90528d7ca1a48142e341f4ef8d21d0de",
        237,
    ),
}
"""What can be fetched, by the data set's name."""

_OTHERWISE = {
    "imagenet": "its makers give it out themselves: get it from https://image-net.org, and name "
    "its folder of train/ and val/ as accuracy.folder",
}


def fetch(name: str, folder: Path | None, say: Callable[[str], None]) -> Path:
    """Download a data set into a folder, if it is not there.

    Args:
        name: A row of :data:`ARCHIVES`.
        folder: Where; None for ``$INVSEARCH_DATA/<name>``.
        say: Told what goes on.

    Returns:
        The folder.

    Raises:
        InputError: If there is nothing to fetch, no place for it, or it cannot be had.
    """
    archive = ARCHIVES.get(name)
    if archive is None:
        raise InputError(f"data set {name!r}: {_why_not(name)}")
    target = folder or home(name)
    if target is None:
        raise InputError(f"say where to put {name!r}: set {DATA} to a folder, or give -o FOLDER")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(
            f"{target} is there already: `invsearch data check {target}` looks into it"
        )
    say(f"{archive.url} ({archive.size_mb} MB) -> {target}")
    fetch_archive(archive, target)
    return target


def _why_not(name: str) -> str:
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    if name in DATASETS:
        return "it needs no download"
    return f"there is nothing to fetch of that name{nearest(name, ARCHIVES)}; {', '.join(ARCHIVES)}"


def fetch_archive(archive: Archive, target: Path) -> None:
    """Download, check and unpack; the folder is whole or absent.

    Raises:
        InputError: In one line, if the server cannot be reached, or the file is another.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
            file, content = Path(name) / "archive", Path(name) / "content"
            _download(archive, file)
            _unpack(file, content, archive.url)
            if target.is_dir():
                target.rmdir()  # it is empty
            content.rename(target)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error


def _download(archive: Archive, file: Path) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with (
            urllib.request.urlopen(archive.url, timeout=_PATIENCE_S) as answer,
            file.open("wb") as out,
        ):
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{archive.url} cannot be downloaded: {reason}; without a network, copy the data set "
            "here and name its folder"
        ) from error
    if digest.hexdigest() != archive.md5:
        raise InputError(
            f"{archive.url}: the file has the MD5 {digest.hexdigest()}, not {archive.md5}: broken "
            "on the way, or another; nothing was kept"
        )


def _unpack(file: Path, content: Path, url: str) -> None:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                archive.extractall(content)  # it strips what would leave the folder
        else:
            with tarfile.open(file) as tar:
                tar.extractall(content, filter="data")  # refuses what would leave the folder
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        shutil.rmtree(content, ignore_errors=True)
        raise InputError(f"{url}: cannot be unpacked: {error}") from error
