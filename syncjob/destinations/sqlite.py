"""SQLite as a destination. https://sqlite.org/wal.html"""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from json import loads
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Column, ColumnElement, Connection, Engine, Integer, Table, Text, bindparam, create_engine, event, func, select

from syncjob.core.errors import ConfigError, Rejected, SyncjobError, Transient
from syncjob.core.model import Json
from syncjob.core.tables import Kind
from syncjob.destinations.sql_dialect import LOCK_SECONDS, Dialect, Found, SqlType, original, upsert_sql
from syncjob.destinations.text import dump

TEXT = SqlType(Text(), frozenset({"TEXT"}))
NUMBER = SqlType(Integer(), frozenset({"INTEGER", "BIGINT", "INT"}))
TYPES: Mapping[Kind, SqlType] = {
    "text": TEXT, "int": NUMBER, "bool": NUMBER, "date": TEXT, "time": TEXT, "list": TEXT, "json": TEXT,
}  # fmt: skip
ENCODE: Mapping[Kind, Callable[[Json], Any]] = {"list": dump, "json": dump}


def _loads(text: Any) -> Json:
    """The value; what somebody else wrote and is no JSON stands for itself."""
    try:
        return loads(text)
    except (TypeError, ValueError, RecursionError):
        return text


DECODE: Mapping[Kind, Callable[[Any], Json]] = {"list": _loads, "json": _loads, "bool": bool}

COLUMNS = """
    SELECT m.name, c.name, upper(c.type), c."notnull", c.dflt_value IS NOT NULL OR c.hidden > 0, c.pk > 0
    FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) c
    WHERE m.type IN ('table', 'view') AND m.name IN (SELECT value FROM json_each(?))
"""

CONFIG = {
    "SQLITE_CANTOPEN": ("cannot be opened", "correct SQLITE_PATH, or let this user write to its folder"),
    "SQLITE_PERM": ("may not be opened", "let this user read and write the file and its folder"),
    "SQLITE_NOTADB": ("is not an SQLite database", "set SQLITE_PATH to another file; a new one fills itself"),
    "SQLITE_CORRUPT": ("is damaged", "move the file away; a new one fills itself"),
}
TRANSIENT = {
    "SQLITE_BUSY": ("is locked: another program is writing", "close the program that holds it; the next run tries again"),
    "SQLITE_LOCKED": ("is locked: another program is writing", "close the program that holds it; the next run tries again"),
    "SQLITE_FULL": ("cannot grow: the disk is full", "free some space; the next run tries again"),
    "SQLITE_IOERR": ("cannot be read or written", "look at the disk; the next run tries again"),
    "SQLITE_READONLY": ("is read-only", "make the file and its folder writable; the next run tries again"),
}


def sqlite_url(path: str | os.PathLike[str]) -> URL:
    """The URL of a database file."""
    return URL.create("sqlite", database=str(Path(path).absolute()))


class Sqlite(Dialect):
    """The `Dialect` of SQLite."""

    title = "SQLite"
    setting = "SQLITE_PATH"
    schema = None
    types = TYPES
    key_type = Text()
    encode = ENCODE
    decode = DECODE
    failure = sqlite3.Error

    def __init__(self, url: URL) -> None:
        self._url = url
        self._path = Path(url.database or "")

    def engine(self) -> Engine:
        """An engine for the file, which is made here, for this user alone."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):  # closing an existing file would drop the locks of all connections: sqlite.org/howtocorrupt.html
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        engine = create_engine(self._url, pool_size=1, max_overflow=0, hide_parameters=True)
        event.listen(engine, "connect", _set_up)
        return engine

    def exists(self) -> bool:
        return self._path.exists()

    def begin(self, conn: Connection, *, write: bool) -> None:
        if write:
            conn.exec_driver_sql("BEGIN IMMEDIATE")

    def create_schema(self, conn: Connection) -> None:
        """SQLite has none."""

    def columns(self, conn: Connection, tables: Sequence[str]) -> Iterable[Found]:
        return [Found(*row) for row in conn.exec_driver_sql(COLUMNS, (dump(tables),))]

    def tune(self, conn: Connection, table: Table) -> None:
        """Nothing to gain: WITHOUT ROWID is slower for rows of our size."""

    def among(self, column: Column[Any]) -> ColumnElement[bool]:
        return column.in_(select(func.json_each(bindparam("keys")).table_valued("value").c.value))

    def bound(self, keys: Collection[str]) -> Any:
        return dump(list(keys))

    def shown(self, column: Column[Any]) -> ColumnElement[Any]:
        return column

    def sorting(self, column: Column[Any]) -> ColumnElement[Any]:
        return column

    def upsert(self, conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]], sizes: Sequence[int]) -> None:
        values = ", ".join("?" * len(table.columns))
        conn.exec_driver_sql(upsert_sql(conn, table, f"({values})"), list(rows))

    def error(self, error: Exception) -> SyncjobError:
        cause = original(error)
        name = getattr(cause, "sqlite_errorname", "")
        base = "_".join(name.split("_")[:2])  # SQLITE_BUSY_SNAPSHOT is a kind of SQLITE_BUSY
        if isinstance(cause, sqlite3.DataError | sqlite3.IntegrityError | ValueError | OverflowError):
            return Rejected(f"refused by SQLite: {name or 'a value that it cannot hold'}")
        if isinstance(cause, PermissionError | FileExistsError | NotADirectoryError | IsADirectoryError):
            base = "SQLITE_CANTOPEN"
        if base in CONFIG:
            what, hint = CONFIG[base]
            return ConfigError(f"{self._path} {what}", hint=hint)
        what, hint = TRANSIENT.get(base, (f"did not work: {name or type(cause).__name__}", "the next run tries again"))
        return Transient(f"{self._path} {what}", hint=hint)


def _set_up(connection: sqlite3.Connection, _: object) -> None:
    """Our transactions instead of the driver's, and WAL.

    synchronous=NORMAL: a power cut may undo the last transactions, but rows and position together, so the feed
    simply continues from the older position.
    """
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
