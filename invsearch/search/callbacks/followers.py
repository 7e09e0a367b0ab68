"""Calling the callbacks of a search, none of which can end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from invsearch.errors import InputError, nearest
from invsearch.plugins import SEARCH_CALLBACKS
from invsearch.search.callbacks.callback import SearchPlan
from invsearch.search.session import Session
from invsearch.user_code.failure import UserCodeError
from invsearch.user_code.guard import Guard
from invsearch.user_code.importing import import_function

__all__ = ["Followers", "followers_of"]

_PATIENCE = 3  # failures in a row after which a callback is not called again


class Followers:
    """The callbacks of a search.

    Args:
        callbacks: By name; each has ``on_trial``, and maybe ``on_start`` and ``close``.
        tell: Takes a line for the user.
    """

    def __init__(self, callbacks: Sequence[tuple[str, Any]], tell: Callable[[str], None]) -> None:
        self._callbacks, self._tell = list(callbacks), tell
        self._failures: dict[str, int] = {}
        self._told = 0

    def start(self, session: Session) -> None:
        """Say what is searched; what is there already is not told again."""
        file = session.problem.file
        self._told = len(session.endings)
        plan = SearchPlan(
            file.name,
            session.folder.path.resolve(),
            dict(session.problem.objectives),
            session.trials_wanted,
            len(session.trials),
        )
        self._call("on_start", plan)

    def update(self, session: Session) -> None:
        """Tell of the trials that have ended since the last time, of one that went on again."""
        if not self._callbacks:
            return
        new = session.endings[self._told :]
        self._told += len(new)
        for trial in new:
            self._call("on_trial", trial)

    def close(self) -> None:
        """Let them write what they hold."""
        self._call("close")

    def _call(self, method: str, *arguments: Any) -> None:
        for name, callback in list(self._callbacks):
            function = getattr(callback, method, None)
            if function is None:
                continue
            try:
                Guard(environment=False).call(lambda function=function: function(*arguments))  # type: ignore[misc]
                self._failures[name] = 0
            except UserCodeError as error:
                self._failed(name, callback, method, str(error))

    def _failed(self, name: str, callback: Any, method: str, reason: str) -> None:
        self._failures[name] = self._failures.get(name, 0) + 1
        tired = self._failures[name] >= _PATIENCE
        end = ", and is not called again" if tired else ""
        self._tell(f"warning: the callback {name} failed in {method}{end}: {reason}")
        if tired:
            self._callbacks.remove((name, callback))


def followers_of(
    names: Sequence[str], search_paths: Sequence[str], tell: Callable[[str], None]
) -> Followers:
    """Make the callbacks that have these names.

    Args:
        names: Of the table, or ``package.module:Class``.
        search_paths: Folders in which modules are looked for first.
        tell: Takes a line for the user.

    Raises:
        InputError: If there is none of a name, its package is missing, or it cannot be made.
    """
    return Followers([(name, _made(name, search_paths)) for name in dict.fromkeys(names)], tell)


def _made(name: str, search_paths: Sequence[str]) -> Any:
    if ":" in name:
        try:
            make = import_function(name, search_paths)
        except InputError as error:
            raise InputError(f"--callback {error}") from error
    elif name in SEARCH_CALLBACKS:
        make = SEARCH_CALLBACKS.get(name, type)
    else:
        raise InputError(
            f"--callback {name!r} is none of {SEARCH_CALLBACKS}{nearest(name, SEARCH_CALLBACKS)}; "
            "one of your own is written package.module:Class"
        )
    try:
        made = make()
    except ModuleNotFoundError as error:
        raise InputError(
            f"--callback {name} needs the package {error.name}: pip install 'invsearch[{name}]'"
        ) from None
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"--callback {name} cannot be made: {reason}") from error
    if not callable(getattr(made, "on_trial", None)):
        raise InputError(f"--callback {name}: a {type(made).__name__} has no on_trial(trial)")
    return made
