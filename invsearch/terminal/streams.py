"""Standard output and error that take any text, and whose end is no fault of the work.

A reader that leaves (``| head -1``) is quiet: the work goes on and its exit code stands. Where
output cannot be written for another reason, whoever owes it says so at the end. A stream that shows
ASCII alone gets ASCII: the few signs of ours have a stand-in, other characters their code.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO, cast

__all__ = ["Streams", "guarded_streams"]

_HANDLER = "invsearch.plain"
_PLAIN = {
    "\N{DOWNWARDS ARROW}": "v",
    "\N{UPWARDS ARROW}": "^",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{HORIZONTAL ELLIPSIS}": ".",  # as wide as it is: Rich ends a cut line with it
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{MICRO SIGN}": "u",
    "\N{NO-BREAK SPACE}": " ",
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that a stream has no bytes for; a codec's error handler."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    shown = (
        _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
        for character in lacking
    )
    return "".join(shown), error.end


codecs.register_error(_HANDLER, _plain)


class _Sink(io.RawIOBase):
    """A descriptor that is written to until it fails, and swallows what comes after."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.fault: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.fault is not None:
            return len(data)
        try:
            return self._written(data)
        except OSError as error:
            self.fault = error
            return len(data)

    def _written(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # whoever shares a terminal with us may have set it so
                select.select([], [self._descriptor], [])


class Streams:
    """What became of the standard streams."""

    def __init__(self) -> None:
        self._output: _Sink | None = None

    @property
    def lost(self) -> OSError | None:
        """Why standard output did not take all, unless its reader left or does not matter."""
        fault = self._output.fault if self._output else None
        return None if fault is None or fault.errno == errno.EPIPE else fault

    def _take(self, descriptor: int, stream: TextIO) -> TextIO:
        sink = _Sink(descriptor)
        if descriptor == 1:
            self._output = sink
        return io.TextIOWrapper(
            io.BufferedWriter(cast(io.RawIOBase, sink)),
            encoding="ascii" if _shows_ascii_alone() else stream.encoding,
            errors=_HANDLER,
            line_buffering=descriptor == 2 or sink.isatty(),
        )


@contextlib.contextmanager
def guarded_streams() -> Iterator[Streams]:
    """Guard the standard streams of this process for the length of a ``with`` block.

    Streams that somebody else put in their place, as tests do, stay as they are.
    """
    _open_the_closed()
    streams, kept = Streams(), (sys.stdout, sys.stderr)
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = streams._take(1, sys.stdout)
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = streams._take(2, sys.stderr)
    try:
        yield streams
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = kept


def _open_the_closed() -> None:
    """Put nothing where a standard descriptor is closed (``>&-``): a file of ours would get it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _shows_ascii_alone() -> bool:
    """Whether the user's terminal is said to be one of ASCII.

    Python takes the locale C for UTF-8, and says so in ``LC_CTYPE`` itself: files want that, a
    terminal set so does not.
    """
    if os.environ.get("PYTHONIOENCODING") or os.environ.get("PYTHONUTF8"):
        return False  # the stream's own encoding is what was asked for
    if os.environ.get("TERM") == "dumb":
        return True
    coerced = os.environ.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8")
    names = ("LC_ALL", "LANG") if coerced else ("LC_ALL", "LC_CTYPE", "LANG")
    chosen = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return chosen in ("C", "POSIX")
