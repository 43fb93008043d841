"""The SQLite file of the store: how it is opened, and how an older one is brought up to date."""

import os
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateColumn

from syncjob.core import codec, digest
from syncjob.core.errors import ConfigError, Unwritable
from syncjob.store import tables

LOG_LIMIT = "journal_size_limit=8000000"
"""What a checkpoint leaves of the log's file, which else stays as long as it ever was."""


FAILURES = (sa.exc.DatabaseError, sqlite3.DatabaseError)
"""SQLAlchemy wraps the driver's errors, but not those of a connection that is just being set up."""


def open_engine(path: Path) -> sa.Engine:
    """An engine on the store's file (created 0600), with the durability that the promises rest on.

    `synchronous=FULL` makes a commit survive a power cut: only then may a page leave the spool. The connection that was used last
    is used again, since a connection forgets the pages it holds when another one writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):  # closing an existing file would drop the locks of all connections: sqlite.org/howtocorrupt.html
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    engine = sa.create_engine(
        f"sqlite:///{path}", poolclass=QueuePool, pool_use_lifo=True, pool_size=4, max_overflow=8, hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": 30}, json_serializer=codec.written, json_deserializer=codec.read,
    )  # fmt: skip

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed by the driver
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY", "cache_size=-4000", "mmap_size=0", LOG_LIMIT):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.connection.cursor().execute(f"BEGIN {mode}")  # to the driver: it is in every transaction, and needs nothing else

    return engine


def _first_tables(connection: sa.Connection) -> None:
    tables.metadata.create_all(connection)
    facts = {"mirror": uuid.uuid4().hex, "observed": "0", "digests": digest.VERSION}
    connection.execute(tables.meta.insert(), [{"name": name, "value": value} for name, value in facts.items()])


def _grow(connection: sa.Connection) -> None:
    """Add the tables and columns that the file does not have yet. A new column may be null or has a default in the database."""
    tables.metadata.create_all(connection)
    inspector = sa.inspect(connection)
    for table in tables.metadata.tables.values():
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                spec = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {spec}")
        for index in table.indexes:
            index.create(connection, checkfirst=True)


MIGRATIONS: list[Callable[[sa.Connection], None]] = [_first_tables, _grow, _grow, _grow]
"""Each brings the file one version up. They are never edited once released: a change of tables is a new entry, `_grow` again
where it only adds something."""


def migrate(engine: sa.Engine, path: Path) -> None:
    """Bring the file to this program's version, in one transaction, keeping what it holds; refuse a newer one."""
    try:
        with engine.connect() as connection:  # whoever only looks shall not wait for a writer
            if connection.exec_driver_sql("PRAGMA user_version").scalar_one() == len(MIGRATIONS):
                return
        with engine.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
            version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
            _refuse_newer(version, path)
            for step in MIGRATIONS[version:] if version else MIGRATIONS[:1]:  # a new file has all tables at once
                step(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except FAILURES as error:
        raise unusable(error, path) from None


def peek(path: Path) -> tuple[int, dict[str, str]]:
    """The version of a store's file, and for whom each source filled it; nothing is made or changed. Raises as `migrate` does."""
    alone = "&immutable=1" if not path.with_name(f"{path.name}-wal").exists() else ""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro{alone}", uri=True)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            _refuse_newer(version, path)
            known = connection.execute("SELECT source, identity FROM sources WHERE identity IS NOT NULL") if version else ()
            return version, dict(known)
    except sqlite3.DatabaseError as error:
        raise unusable(error, path) from None


def _refuse_newer(version: int, path: Path) -> None:
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"the state folder {path.parent} was written by a newer syncjob (version {version}, this one knows {len(MIGRATIONS)})",
            hint="install the newer syncjob again, or set SYNCJOB_STATE_DIR to another folder",
        )


def unusable(error: BaseException, path: Path) -> ConfigError | Unwritable:
    """What to tell of an error of the store's own file."""
    text = str(getattr(error, "orig", error))
    if "malformed" in text or "not a database" in text:
        return ConfigError(
            f"the mirror {path} is damaged ({text})",
            hint=f"move {path}* away and run `python -m syncjob once`: the sources fill a new one, equal rows are not rewritten",
        )
    if isinstance(error, OSError) or "readonly" in text or "unable to open" in text:
        return ConfigError(f"the mirror {path} cannot be written ({text})", hint=f"give this user write access to {path}* and its folder")
    if "full" in text:
        return Unwritable(f"no room left to write {path} ({text})", hint="free some disk space; nothing is lost, the next run goes on")
    return Unwritable(f"the mirror {path}: {text}", hint="the next run tries again")
