"""What of this process other people's code may change, read and put back.

A search calls a user's functions thousands of times in its own process. What one call leaves
behind (another folder, NumPy that raises on underflow, a warning turned into an error) would be met
by our own code and by the next trial. A row of :data:`ASPECTS` says how one such thing is read and
how it is written; the order is that in which they are put back.
"""

from __future__ import annotations

import contextlib
import gc
import locale
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["ASPECTS", "Aspect", "ProcessState"]

_SIGNALS = tuple(
    getattr(signal, name)
    for name in (
        "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGCHLD", "SIGPIPE", "SIGUSR1",
        "SIGUSR2",
    )
    if hasattr(signal, name)
)  # fmt: skip


@dataclass(frozen=True)
class Aspect:
    """One thing that belongs to the whole process.

    Attributes:
        name: What it is.
        read: Gives its value, in a form that stays as it is when the thing changes.
        write: Makes it that value again.
        main_thread: Whether only the main thread may do so.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    main_thread: bool = False


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 (read at every call: Path.cwd() takes ten times as long)
    except FileNotFoundError:
        return None


def _chdir(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _set_umask(mask: int) -> None:
    os.umask(mask)


def _environment() -> dict[str, str]:
    return dict(os.environ)


def _set_environment(wanted: dict[str, str]) -> None:
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


_Identity = tuple[int, int]
_spares: dict[_Identity, int] = {}
"""Further descriptors of what standard input, output and error were, by device and inode."""


def _identity(descriptor: int) -> _Identity | None:
    try:
        status = os.fstat(descriptor)
    except OSError:  # closed
        return None
    return status.st_dev, status.st_ino


def _descriptors() -> tuple[_Identity | None, ...]:
    return tuple(map(_identity, range(3)))


def _set_descriptors(wanted: tuple[_Identity | None, ...]) -> None:
    for descriptor, identity in enumerate(wanted):
        if identity in _spares and _identity(descriptor) != identity:
            os.dup2(_spares[identity], descriptor)


def _keep_spares() -> None:
    """Make sure that standard streams which somebody closes can be opened again."""
    for descriptor in range(3):
        identity = _identity(descriptor)
        if identity is not None and identity not in _spares:
            _spares[identity] = os.dup(descriptor)


def _close_spares() -> None:
    """A forked child that closes its standard streams must not hold what is behind them."""
    while _spares:
        os.close(_spares.popitem()[1])


os.register_at_fork(after_in_child=_close_spares)


def _streams() -> tuple[tuple[Any, bool], ...]:
    return tuple((s, getattr(s, "closed", False)) for s in (sys.stdin, sys.stdout, sys.stderr))


def _set_streams(streams: tuple[tuple[Any, bool], ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = (
        _reopened(stream, number) if stream is not None and stream.closed and not closed else stream
        for number, (stream, closed) in enumerate(streams)
    )


def _reopened(stream: Any, descriptor: int) -> Any:
    mode = "w" if descriptor else "r"
    encoding, errors = getattr(stream, "encoding", None), getattr(stream, "errors", None)
    return open(descriptor, mode, encoding=encoding, errors=errors, closefd=False)


def _handlers() -> tuple[Any, ...]:
    return tuple(map(signal.getsignal, _SIGNALS))


def _set_handlers(handlers: tuple[Any, ...]) -> None:
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _filters() -> tuple[Any, ...]:
    return tuple(warnings.filters)


def _set_filters(filters: tuple[Any, ...]) -> None:
    with warnings.catch_warnings():  # entering tells Python's own cache that they changed
        pass
    warnings.filters[:] = filters  # type: ignore[index]


def _numpy_errors() -> dict[str, str] | None:
    numpy = sys.modules.get("numpy")
    return None if numpy is None else dict(numpy.geterr())


def _set_numpy_errors(errors: dict[str, str] | None) -> None:
    sys.modules["numpy"].seterr(**(errors or {"all": "warn", "under": "ignore"}))


def _torch_settings() -> tuple[Any, ...] | None:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_default_device"):  # not imported, or not yet whole
        return None
    return (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_default_device(),
    )


def _set_torch_settings(settings: tuple[Any, ...] | None) -> None:
    torch = sys.modules["torch"]
    if settings is None:  # user code imported it
        settings = (torch.float32, torch.get_num_threads(), True, False, torch.device("cpu"))
    dtype, threads, gradients, deterministic, device = settings
    torch.set_default_dtype(dtype)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    torch.set_grad_enabled(gradients)
    torch.use_deterministic_algorithms(deterministic)
    if torch.get_default_device() != device:
        torch.set_default_device(None if device.type == "cpu" else device)


def _set_locale(text: str) -> None:
    locale.setlocale(locale.LC_ALL, text)


def _set_timer(timer: tuple[float, float]) -> None:
    signal.setitimer(signal.ITIMER_REAL, *timer)


def _signal_mask() -> frozenset[int]:
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def _set_signal_mask(mask: frozenset[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _set_gc(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()


def _set_path(path: list[str]) -> None:
    sys.path = path  # not in place: the list itself may have been replaced


ASPECTS: tuple[Aspect, ...] = (
    Aspect("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Aspect("signal mask", _signal_mask, _set_signal_mask, main_thread=True),
    Aspect("alarm", lambda: signal.getitimer(signal.ITIMER_REAL), _set_timer, main_thread=True),
    Aspect("signal handlers", _handlers, _set_handlers, main_thread=True),
    Aspect("current folder", _folder, _chdir),
    Aspect("umask", _umask, _set_umask),
    Aspect("standard descriptors", _descriptors, _set_descriptors),
    Aspect("standard streams", _streams, _set_streams),
    Aspect("warnings", _filters, _set_filters),
    Aspect("floating-point errors", _numpy_errors, _set_numpy_errors),
    Aspect("locale", lambda: locale.setlocale(locale.LC_ALL), _set_locale),
    Aspect("module path", lambda: list(sys.path), _set_path),
    Aspect("exception hook", lambda: sys.excepthook, lambda hook: setattr(sys, "excepthook", hook)),
    Aspect("garbage collection", gc.isenabled, _set_gc),
    Aspect("torch", _torch_settings, _set_torch_settings),
    Aspect("environment", _environment, _set_environment),
)


class ProcessState:
    """The aspects of this process as they were when this was made.

    Args:
        environment: Whether the environment variables are among them: reading those takes three
            times as long as all the rest.
    """

    def __init__(self, *, environment: bool = True) -> None:
        main = threading.current_thread() is threading.main_thread()
        _keep_spares()
        self._values = [
            (aspect, aspect.read())
            for aspect in ASPECTS
            if (main or not aspect.main_thread) and (environment or aspect.name != "environment")
        ]

    def restore(self) -> None:
        """Put back what is no longer as it was; what cannot be (a folder that is gone) stays."""
        for aspect, value in self._values:
            with contextlib.suppress(OSError, ValueError, locale.Error):
                if aspect.read() != value:
                    aspect.write(value)
