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


class _Queries:
    """What is asked of a table, put together once. Parameters: `keys`, of rows or of emails; keys `after` one, and how many at `most`."""

    def __init__(self, table: sa.Table, dialect: Dialect) -> None:
        (key,) = table.primary_key.columns
        order, chosen = dialect.sorting(key), dialect.among(key)
        behind, most = order > sa.bindparam("after"), sa.bindparam("most", type_=sa.Integer)
        rows = sa.select(*(dialect.shown(column) for column in table.info["shown"])).order_by(order)
        self.hashes = sa.select(key, table.c.row_hash).where(chosen)
        self.live = sa.select(key).where(sa.not_(table.c.deleted), behind).order_by(order).limit(most)
        self.chosen, self.page = rows.where(chosen), rows.where(behind).limit(most)
        self.chosen_page = self.page.where(chosen)
        if "email_id" in table.c:
            self.of_emails = rows.where(dialect.among(table.c.email_id), sa.not_(table.c.deleted))


class SqlDestination:
    """A `Destination` in a SQL database. Nothing connects before `prepare` or `position`."""

    streams = tuple(SQL_TABLES)

    def __init__(self, name: str, url: str | sa.URL, *, schema: str | None = None, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._dialect = _dialect(sa.make_url(url), schema or "public")
        metadata = sa.MetaData()
        self._tables = {stream: sql_table(table, self._dialect, metadata) for stream, table in SQL_TABLES.items()}
        self._queries = {stream: _Queries(table, self._dialect) for stream, table in self._tables.items()}
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
            written = sum(write(stream, found) for stream, found in sorted(rows.items()))
            if emails:
                stored = self._read(conn, ATTACHMENTS, self._queries[ATTACHMENTS].of_emails, keys=[row.key for row in emails])
                write(ATTACHMENTS, attachment_rows(emails, stored, now))
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
        after = ""
        while True:
            with self._transaction(write=False) as conn:
                page = conn.execute(self._queries[stream].live, {"after": after, "most": PAGE_KEYS}).scalars().all()
            yield from page
            if len(page) < PAGE_KEYS:
                return
            after = page[-1]

    def rows(self, stream: str, *, after: str = "", keys: Collection[str] | None = None) -> Iterator[Mapping[str, Json]]:
        """What it holds, by key in code point order. No connection is held between two pages."""
        queries, key, limit = self._queries[stream], SQL_TABLES[stream].key, 10
        while True:
            with self._transaction(write=False) as conn:
                if keys is None:
                    page = self._read(conn, stream, queries.page, after=after, most=limit)
                else:
                    page = self._read(conn, stream, queries.chosen_page, keys=keys, after=after, most=limit)
            yield from page
            if len(page) < limit:
                return
            after = page[-1][key]
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

    def _write(self, conn: sa.Connection, now: datetime, by_content: bool, stream: str, rows: Mapping[str, Rendered]) -> int:
        """Write the rows that are not there yet, sorted by key; how many those are."""
        there = self._there(conn, stream, rows, by_content=by_content) if rows else frozenset()
        fresh = sorted((row for row in rows.values() if row.key not in there), key=attrgetter("key"))
        if fresh:
            self._put(conn, self._tables[stream], fresh, now)
        return len(fresh)

    def _put(self, conn: sa.Connection, table: sa.Table, rows: Sequence[Rendered], now: datetime) -> None:
        encoders = by_place(table.info["order"], self._dialect.encode)
        synced_at = time_text(now)
        values = [(*applied(encoders, row.values), synced_at, row.hash) for row in rows]
        self._dialect.upsert(conn, table, values, [row.size for row in rows])

    def _there(self, conn: sa.Connection, stream: str, rows: Mapping[str, Rendered], *, by_content: bool) -> Collection[str]:
        """The keys of the rows that are there already: by the hash of what was written last, or word for word."""
        found = conn.execute(self._queries[stream].hashes, {"keys": self._dialect.bound(rows.keys())})
        there = [key for key, row_hash in found if row_hash == rows[key].hash]
        if not by_content:
            return frozenset(there)
        words = {row[SQL_TABLES[stream].key]: row for row in self._read(conn, stream, self._queries[stream].chosen, keys=there)}
        return frozenset(key for key in there if words.get(key) == _named(self._tables[stream], rows[key].values))

    def _read(
        self, conn: sa.Connection, stream: str, query: sa.Select[Any], *, keys: Collection[str] | None = None, **asked: Any
    ) -> Sequence[Mapping[str, Json]]:
        """Rows as JSON values by key, without `synced_at` and `row_hash`."""
        table = self._tables[stream]
        decoders = by_place(table.info["shown"], self._dialect.decode)
        if keys is not None:
            asked["keys"] = self._dialect.bound(keys)
        return [_named(table, applied(decoders, row)) for row in conn.execute(query, asked)]

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
