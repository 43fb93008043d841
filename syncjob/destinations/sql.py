"""SQLite and PostgreSQL as destinations: one implementation, over what `sql_dialect` says differs."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from syncjob.core.errors import ConfigError, Transient
from syncjob.core.model import ATTACHMENTS, EMAILS, Batch, FeedRow, Json, Position, Receipt
from syncjob.core.ports import Clock
from syncjob.core.tables import SQL_TABLES, Kind
from syncjob.destinations.sql_dialect import Dialect
from syncjob.destinations.sql_rows import Rendered, attachment_rows, render, time_text
from syncjob.destinations.sql_schema import POSITION, VERSION, migrate, sql_table
from syncjob.destinations.sqlite import Sqlite

PAGE_ROWS, PAGE_BYTES = 100, 4_000_000
"""What one page of `rows` holds at most, and about: the size is known only of the page before."""

PAGE_KEYS = 1000
FAILURES = (SQLAlchemyError, ValueError, OverflowError, OSError)

Change = Callable[[Any], Any]


class _TakenBack(Exception):
    """Ends a transaction that was only a try."""


class SqlDestination:
    """A `Destination` in a SQL database. Nothing connects before `prepare` or `position`."""

    streams = tuple(SQL_TABLES)

    def __init__(self, name: str, url: str | sa.URL, *, schema: str | None = None, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._dialect = _dialect(sa.make_url(url), schema or "public")
        metadata = sa.MetaData()
        self._tables = {stream: sql_table(table, self._dialect, metadata) for stream, table in SQL_TABLES.items()}
        self._position = sql_table(POSITION, self._dialect, metadata, ours=())
        self._engine: sa.Engine | None = None

    def prepare(self) -> Position | None:
        """Create or migrate the tables, and say how far this destination has read; None: never, or rows are missing."""
        with self._transaction(write=True) as conn:
            return self._set_up(conn)

    def check(self) -> str:
        """What `prepare` would do, in a transaction that is taken back, and whether every table may be written."""
        if not self._dialect.exists():
            return "not there yet: the first run makes it"
        with suppress(_TakenBack), self._transaction(write=True) as conn:
            self._set_up(conn)
            for table in self._tables.values():
                (key,) = table.primary_key.columns
                nothing = sa.select(key).where(sa.false())
                conn.execute(sa.insert(table).from_select([key], nothing, include_defaults=False))
                conn.execute(sa.update(table).values({key: key}).where(sa.false()))
            raise _TakenBack
        return "its tables can be written"

    def position(self) -> Position | None:
        """How far this destination has read; None: never, or there is nothing yet."""
        if not self._dialect.exists():
            return None
        with self._transaction(write=False) as conn:
            there = list(self._dialect.columns(conn, [self._position.name]))
            return self._stored(conn) if there else None

    def deliver(self, batch: Batch, *, by_content: bool = False) -> Receipt:
        """Write all rows, their attachments and the position in one transaction."""
        emails = [row for row in batch.rows if row.stream == EMAILS]
        rows: dict[str, dict[str, Rendered]] = {}
        for row in batch.rows:
            rows.setdefault(row.stream, {})[row.key] = _render(row)
        with self._transaction(write=True) as conn:
            if batch.after and self._stored(conn) != batch.after:
                raise Transient(
                    f"{self.name} was set back, or written by somebody else, meanwhile", hint="the next run asks it where it stands"
                )
            write = partial(self._write, conn, now := self._clock.now(), by_content)
            written = sum(write(self._tables[stream], found) for stream, found in sorted(rows.items()))
            if emails:
                stored = self._live_attachments(conn, [row.key for row in emails])
                write(self._tables[ATTACHMENTS], attachment_rows(emails, stored, now))
            self._store(conn, batch.position)
        return Receipt(written)

    def rewrite(self, row: FeedRow) -> None:
        """Write a row whether or not it is equal."""
        with self._transaction(write=True) as conn:
            self._put(conn, self._tables[row.stream], [_render(row)], self._clock.now())

    def rendered(self, row: FeedRow) -> Mapping[str, Json]:
        """The row as `rows` shows it."""
        return _named(self._tables[row.stream], _render(row).values)

    def live(self, stream: str) -> Iterator[str]:
        """The keys of the rows that are not deleted. No connection is held between two pages."""
        table, after = self._tables[stream], ""
        (key,) = table.primary_key.columns
        order = self._dialect.sorting(key)
        query = sa.select(key).where(sa.not_(table.c.deleted)).order_by(order).limit(PAGE_KEYS)
        while True:
            with self._transaction(write=False) as conn:
                page = conn.execute(query.where(order > after)).scalars().all()
            yield from page
            if len(page) < PAGE_KEYS:
                return
            after = page[-1]

    def rows(self, stream: str, *, after: str = "", keys: Collection[str] | None = None) -> Iterator[Mapping[str, Json]]:
        """What it holds, by key in code point order. No connection is held between two pages."""
        table = self._tables[stream]
        (key,) = table.primary_key.columns
        order, limit = self._dialect.sorting(key), 10
        chosen = sa.true() if keys is None else self._dialect.among(key, list(keys))
        while True:
            with self._transaction(write=False) as conn:
                page = self._read(conn, table, chosen & (order > after), limit=limit)
            yield from page
            if len(page) < limit:
                return
            after = page[-1][key.name]
            size = sum(len(value) for row in page for value in row.values() if isinstance(value, str))
            limit = max(1, min(PAGE_ROWS, 2 * limit, limit * PAGE_BYTES // size))

    def close(self) -> None:
        """Let go of connections."""
        if self._engine:
            self._engine.dispose()
        self._engine = None

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[sa.Connection]:
        """A transaction; its errors come out in our words, and a connection that may be broken is let go."""
        try:
            self._engine = self._engine or self._dialect.engine()
            with self._engine.begin() as conn:
                self._dialect.begin(conn, write=write)
                yield conn
        except (*FAILURES, self._dialect.failure) as error:
            self.close()
            raise self._dialect.error(error) from None

    def _set_up(self, conn: sa.Connection) -> Position | None:
        self._dialect.create_schema(conn)
        migrate(conn, self._dialect, [self._position])
        stored = conn.execute(sa.select(self._position)).first()
        if stored and (stored.version or 0) > VERSION:
            raise ConfigError(f"{self.name} was set up by a newer syncjob", hint="upgrade syncjob")
        if migrate(conn, self._dialect, list(self._tables.values())) or not stored:
            self._store(conn, None)
            return None
        return _as_position(stored)

    def _write(self, conn: sa.Connection, now: datetime, by_content: bool, table: sa.Table, rows: Mapping[str, Rendered]) -> int:
        """Write the rows that are not there yet, sorted by key; how many those are."""
        there = self._there(conn, table, rows, by_content=by_content) if rows else frozenset()
        fresh = sorted((row for row in rows.values() if row.key not in there), key=attrgetter("key"))
        if fresh:
            self._put(conn, table, fresh, now)
        return len(fresh)

    def _put(self, conn: sa.Connection, table: sa.Table, rows: Sequence[Rendered], now: datetime) -> None:
        encoders = by_place(table.info["order"], self._dialect.encode)
        synced_at = time_text(now)
        values = [(*applied(encoders, row.values), synced_at, row.hash) for row in rows]
        self._dialect.upsert(conn, table, values, [row.size for row in rows])

    def _there(self, conn: sa.Connection, table: sa.Table, rows: Mapping[str, Rendered], *, by_content: bool) -> Collection[str]:
        """The keys of the rows that are there already: by the hash of what was written last, or word for word."""
        (key,) = table.primary_key.columns
        query = sa.select(key, table.c.row_hash).where(self._dialect.among(key, list(rows)))
        there = [found for found, row_hash in conn.execute(query) if row_hash == rows[found].hash]
        if not by_content:
            return frozenset(there)
        words = {row[key.name]: row for row in self._read(conn, table, self._dialect.among(key, there))}
        return frozenset(found for found in there if words.get(found) == _named(table, rows[found].values))

    def _live_attachments(self, conn: sa.Connection, emails: Sequence[str]) -> Sequence[Mapping[str, Json]]:
        table = self._tables[ATTACHMENTS]
        return self._read(conn, table, self._dialect.among(table.c.email_id, emails) & sa.not_(table.c.deleted))

    def _read(
        self, conn: sa.Connection, table: sa.Table, condition: sa.ColumnElement[bool], *, limit: int | None = None
    ) -> Sequence[Mapping[str, Json]]:
        """Rows as JSON values by key, without `synced_at` and `row_hash`."""
        (key,) = table.primary_key.columns
        columns = table.info["shown"]
        decoders = by_place(columns, self._dialect.decode)
        query = sa.select(*(self._dialect.shown(column) for column in columns)).where(condition)
        found = conn.execute(query.order_by(self._dialect.sorting(key)).limit(limit))
        return [_named(table, applied(decoders, row)) for row in found]

    def _stored(self, conn: sa.Connection) -> Position | None:
        return _as_position(conn.execute(sa.select(self._position)).first())

    def _store(self, conn: sa.Connection, position: Position | None) -> None:
        place = (position.mirror, position.epoch, position.seq) if position else (None, None, None)
        self._dialect.upsert(conn, self._position, [("feed", *place, VERSION)], [0])


def _dialect(url: sa.URL, schema: str) -> Dialect:
    if url.get_backend_name() == "sqlite":
        return Sqlite(url)
    from syncjob.destinations.postgres import Postgres  # with its driver, which nobody else shall have to wait for

    return Postgres(url, schema)


def _render(row: FeedRow) -> Rendered:
    return render(SQL_TABLES[row.stream], row.key, row.data, row.deleted_at)


def _named(table: sa.Table, values: Sequence[Json]) -> Mapping[str, Json]:
    return {column.name: value for column, value in zip(table.info["shown"], values, strict=True)}


def _as_position(stored: Any) -> Position | None:
    return Position(stored.mirror, stored.epoch, stored.seq) if stored and stored.mirror else None


def by_place(columns: Iterable[sa.Column[Any]], by_kind: Mapping[Kind, Change]) -> Sequence[tuple[int, Change]]:
    """Which places of a row have to be changed, and how."""
    return [(place, by_kind[kind]) for place, column in enumerate(columns) if (kind := column.info["kind"]) in by_kind]


def applied(changes: Sequence[tuple[int, Change]], row: Sequence[Any]) -> Sequence[Any]:
    """The row with these changes made; null stays null."""
    values = list(row)
    for place, change in changes:
        if values[place] is not None:
            values[place] = change(values[place])
    return values
