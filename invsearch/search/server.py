"""StudyServer: a study in PostgreSQL that several drivers, each with its own run folder, share.

What a journal gets from the lock on its folder comes from advisory locks here, which the server
takes back when a driver's connection ends, however it ends:

- one for each driver, held while it lives: the trials of a driver whose lock is free are orphans;
- one for asking: numbers are given, and architectures are chosen, one driver at a time;
- one for the study, shared by all drivers, or held alone by a deterministic one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from invsearch.errors import InputError, InvsearchError, without_password
from invsearch.runs.files import dump_json, write_atomic

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["StudyServer", "pointer", "serving"]

POINTER = "study.json"
"""In a run's folder, in place of the journal: which server, which study, which driver it is."""

_MISSING = "pip install 'invsearch[postgres]'"
_SCHEMES = ("postgresql", "postgres")


def pointer(folder: Path) -> dict[str, str]:
    """What a run's folder says of its study on a server; empty where it has a journal.

    Raises:
        InputError: If the file is damaged.
    """
    path = folder / POINTER
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: str(found[key]) for key in ("storage", "study", "driver")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}): restore it, or choose another folder "
            "with --out"
        ) from None


@contextmanager
def serving(
    folder: Path, url: str | None, study: str, *, alone: bool
) -> Iterator[StudyServer | None]:
    """The server of a run's study, for the length of a ``with`` block; None for a journal.

    Args:
        folder: The run's folder, locked.
        url: ``postgresql://...``; None for what the folder says.
        study: The study's name on the server.
        alone: Whether no other driver may take part.

    Raises:
        InputError: If the server cannot be used, or another driver forbids it.
        InvsearchError: If the server is lost on the way; what was in flight is an orphan.
    """
    known = pointer(folder)
    url = url or known.get("storage")
    if url is None:
        yield None
        return
    driver = known.get("driver") or secrets.token_hex(8)
    with _told(url):
        server = StudyServer(url, known.get("study") or study, driver, alone=alone)
    try:
        facts = {"storage": without_password(url), "study": server.study, "driver": driver}
        write_atomic(folder / POINTER, dump_json(facts, indent=2) + "\n")
        with _told(url):
            yield server
    finally:
        server.close()


class StudyServer:
    """A study on a PostgreSQL server, and the locks by which its drivers know of each other.

    Args:
        url: ``postgresql://user:password@host:port/database``; libpq's variables and files
            (``PGPASSWORD``, ``~/.pgpass``) give what it lacks.
        study: The study's name.
        driver: Name of this driver, the same when it resumes.
        alone: Whether no other driver may take part.

    Raises:
        InputError: If the driver for PostgreSQL is not installed, or someone else takes part.
    """

    def __init__(self, url: str, study: str, driver: str, *, alone: bool = False) -> None:
        try:
            import psycopg  # noqa: F401
            from optuna.storages import RDBStorage
        except ImportError as error:
            raise InputError(f"a study on PostgreSQL needs {error.name}: {_MISSING}") from None
        self.study, self.driver = study, driver
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        place = _for_sqlalchemy(url)
        self._engine = create_engine(place, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._held = self._engine.connect()
        self._lock("pg_advisory_lock", "tables")  # drivers that start at once would both make them
        self._store = RDBStorage(place, engine_kwargs={"pool_pre_ping": True})
        self._lock("pg_advisory_unlock", "tables")
        self.storage: BaseStorage = self._store
        kind = "" if alone else "_shared"
        try:
            if not self._lock(f"pg_try_advisory_lock{kind}", "study"):
                raise InputError(
                    f"the study {study!r} is in use by another driver, and --deterministic goes "
                    "with one driver alone: wait for its end, or leave --deterministic out"
                )
            if not self._lock("pg_try_advisory_lock", f"driver {driver}"):
                raise InputError(
                    f"another process runs the same folder's part of the study {study!r} (a copy "
                    "of the folder?): choose another folder with --out"
                )
        except BaseException:
            self.close()
            raise

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Be the only driver that asks."""
        self._lock("pg_advisory_lock", "ask")
        try:
            yield
        finally:
            self._lock("pg_advisory_unlock", "ask")

    def alive(self, driver: str) -> bool:
        """Whether a driver is connected."""
        if driver == self.driver:
            return True
        if not self._lock("pg_try_advisory_lock", f"driver {driver}"):
            return True
        self._lock("pg_advisory_unlock", f"driver {driver}")
        return False

    def close(self) -> None:
        """Leave: the server frees the locks with the connection."""
        self._store.engine.dispose()
        self._held.close()
        self._engine.dispose()

    def _lock(self, function: str, what: str) -> bool:
        from sqlalchemy import text

        digest = hashlib.blake2b(f"invsearch/{self.study}/{what}".encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "big", signed=True)  # advisory locks have no other names
        found = self._held.execute(text(f"SELECT {function}(:key)"), {"key": key}).scalar()
        return bool(found)


def _for_sqlalchemy(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise InputError(
            f"--storage {without_password(url)!r} is not postgresql://USER@HOST:PORT/DATABASE"
        )
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Say in one line, without the password, what the server or the way to it refuses."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        text = " ".join(str(cause).split())[:300]
        secret = urlsplit(url).password
        for form in {secret, quote(secret or "", safe="")} - {None, ""}:
            text = text.replace(str(form), "***")
        raise InvsearchError(
            f"the study at {without_password(url)} cannot be used: {text}; when it can, the same "
            "command with --resume goes on"
        ) from None
