"""The blocks of a page of the documentation, and a page run word for word in a folder.

``python -m documentation PAGE FOLDER`` runs one and says how long each command took; with
``--all``, what is marked as not run too. Where the folder has no photos, some are drawn. It needs
Python alone.
"""

from __future__ import annotations

import random
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks", "make_photos", "run_page"]

_FENCE = re.compile(r"(?P<before>[^\n]*)\n+```(?P<language>\w*)\n(?P<text>.*?)\n```", re.DOTALL)
_MARK = re.compile(r"<!-- (?P<how>not run): (?P<why>.+?) -->")
_NAME = re.compile(r"`(?P<name>[\w.-]+\.\w+)`:?$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: As the fence says it.
        text: Within the fences.
        name: The file that it is, where the line before ends with its name; else empty.
        mark: ``not run`` where a comment right before it says so; else empty.
        why: What that comment says.
    """

    language: str
    text: str
    name: str
    mark: str
    why: str


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in _FENCE.finditer("\n" + page):
        before = found["before"].strip()
        mark, name = _MARK.fullmatch(before), _NAME.search(before)
        yield Block(
            found["language"],
            found["text"],
            name["name"] if name and found["language"] != "sh" else "",
            mark["how"] if mark else "",
            mark["why"] if mark else "",
        )


def run_page(page: Path, folder: Path, *, every: bool = False) -> Iterator[tuple[str, float]]:
    """Do what a page says: write its files, type its commands, run its Python.

    Args:
        page: Its Markdown.
        folder: Where it is done.
        every: Run what is marked as not run too.

    Yields:
        Each command, or ``python``, and the seconds it took.

    Raises:
        AssertionError: If one fails, with what it wrote.
    """
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.mark and not every:
            continue
        if block.name:
            (folder / block.name).write_text(block.text + "\n", encoding="utf-8")
        elif block.language == "sh":
            for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
                yield line, _typed(["bash", "-c", line], folder)
        elif block.language == "python":
            yield "python", _typed([sys.executable, "-c", block.text], folder)


def make_photos(folder: Path) -> None:
    """Pictures of two classes, cat and dog, as PNG: discs and crosses, noisy, of two sizes."""
    draw = random.Random(0)
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for number in range(60):
            (folder / kind / f"{number}.png").write_bytes(
                _picture(kind == "cat", 40 + 24 * (number % 2), draw)
            )


def _picture(disc: bool, side: int, draw: random.Random) -> bytes:
    x, y, size = (side * draw.uniform(low, low + 0.2) for low in (0.4, 0.4, 0.2))
    colour, ground = ([draw.randrange(low, low + 120) for _ in "rgb"] for low in (130, 0))
    rows = bytearray()
    for down in range(side):
        rows.append(0)  # the row's filter: none
        for right in range(side):
            a, b = abs(right - x), abs(down - y)
            inside = a * a + b * b < size * size if disc else min(a, b) < size / 4
            rows += bytes(c + draw.randrange(6) for c in (colour if inside else ground))
    parts = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
             (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def _typed(command: list[str], folder: Path) -> float:
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
    return time.monotonic() - began


if __name__ == "__main__":
    if not (Path(sys.argv[2]) / "photos").exists():
        make_photos(Path(sys.argv[2]) / "photos")
    total = time.monotonic()
    for typed, seconds in run_page(
        Path(sys.argv[1]).resolve(), Path(sys.argv[2]), every="--all" in sys.argv
    ):
        print(f"{seconds:6.1f} s  {typed}", flush=True)
    print(f"{time.monotonic() - total:6.1f} s  in all")
