"""Where the contract's tests keep rows: a place for each kind of destination, and rows to write there."""

import sqlite3
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg2

from syncjob.core.errors import SyncjobError
from syncjob.core.model import EMAILS, TASKS, Batch, FeedRow, Json, Position, Receipt
from syncjob.core.ports import Destination
from syncjob.core.tables import SQL_TABLES
from syncjob.destinations import SqlDestination, postgres_url, sqlite_url
from tests.contracts.memory import Held, MemoryDestination

KEPT = dict.fromkeys(("sha256", "path"))
"""What is not known of an attachment until its file is kept."""

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@dataclass(slots=True)
class HandClock:
    """A clock that a test sets."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def wait(self, seconds: float) -> bool:
        raise AssertionError("nothing here waits")


class Place:
    """Where a destination keeps its rows; `open` is a new process that finds them again."""

    sql: Callable[[str], list[tuple[Any, ...]]]
    stamp: str
    edit: Callable[[str, str, str, str], None]
    """As a person would who has the database open: in the row of this stream and key, set a column to a text."""
    remove: Callable[[str, str], None]
    """Likewise, take a row away."""
    many = 2_500
    """So many rows come in several pages."""
    misses_what_is_removed = True
    """Whether a row that is delivered as it was is looked for."""

    def __init__(self, make: Callable[[], Destination], clock: HandClock) -> None:
        self._make, self.clock, self._open = make, clock, list[Destination]()

    def open(self) -> Destination:
        self._open.append(self._make())
        return self._open[-1]

    def shown(self, row: Mapping[str, Json]) -> Mapping[str, Json]:
        """A row as this place can show it."""
        return row

    def close(self) -> None:
        for destination in self._open:
            destination.close()


def memory_place() -> Place:
    clock, held = HandClock(), Held()
    place = Place(lambda: MemoryDestination("memory", clock, held), clock)

    def edit(stream: str, key: str, column: str, value: str) -> None:
        place_of = [each.name for each in SQL_TABLES[stream].columns].index(column)
        row = held.rows[stream][key]
        held.rows[stream][key] = row._replace(values=[*row.values[:place_of], value, *row.values[place_of + 1 :]])

    def remove(stream: str, key: str) -> None:
        del held.rows[stream][key]

    place.edit, place.remove = edit, remove
    return place


def by_sql(place: Place) -> None:
    """What a person does in a SQL database."""

    def edit(stream: str, key: str, column: str, value: str) -> None:
        table = SQL_TABLES[stream]
        place.sql(f"UPDATE {table.name} SET {column} = '{value}' WHERE {table.key} = '{key}'")

    def remove(stream: str, key: str) -> None:
        table = SQL_TABLES[stream]
        place.sql(f"DELETE FROM {table.name} WHERE {table.key} = '{key}'")

    place.edit, place.remove = edit, remove


def sqlite_place(path: Path) -> Place:
    clock = HandClock()
    place = Place(lambda: SqlDestination("sqlite", sqlite_url(path), clock=clock), clock)

    def sql(statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    place.sql, place.stamp = sql, "rowid"
    by_sql(place)
    return place


def postgres_place(dsn: str) -> Place:
    clock = HandClock()
    place = Place(lambda: SqlDestination("postgres", postgres_url(dsn), clock=clock), clock)

    def sql(statement: str) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    place.sql, place.stamp = sql, "xmin::text, ctid::text"
    by_sql(place)
    return place


def task(key: str = "1", *, gone: datetime | None = None, **data: Json) -> FeedRow:
    whole = {"task_id": key, "title": f"Task {key}", "progress": 10, "tags": ["a", "b"], "due_at": "2026-03-05"}
    whole |= {"updated_at": "2026-03-01T10:00:00Z", "source_links": {"web": f"https://example.com/{key}"}}
    return FeedRow(TASKS, key, 1, whole | data, gone)


def email(key: str = "m1", *, gone: datetime | None = None, **data: Json) -> FeedRow:
    whole = {"email_id": key, "thread_id": "t1", "subject": "Hello", "to_addresses": ["a@example.com"], "body_html": "<p>Hi</p>"}
    return FeedRow(EMAILS, key, 1, whole | {"sent_at": "2026-03-01T10:00:00Z", "attachments": []} | data, gone)


def attachment(key: str = "f1", **data: Json) -> dict[str, Json]:
    return {"attachment_id": key, "filename": f"{key}.png", "media_type": "image/png", "size_bytes": 7, "inline": False} | KEPT | data


def at(seq: int) -> Position:
    return Position("mirror", "epoch", seq)


def deliver(destination: Destination, *rows: FeedRow, seq: int = 1) -> Receipt:
    return destination.deliver(Batch(rows, at(seq)))


def ready(place: Place) -> Destination:
    destination = place.open()
    destination.prepare()
    return destination


def rows(place: Place, stream: str = TASKS) -> dict[str, Mapping[str, Json]]:
    destination = ready(place)
    return {next(iter(row.values())): row for row in destination.rows(stream)}


def told(error: SyncjobError) -> str:
    """Everything of an error that a person could see, also in a traceback."""
    shown, link = error.hint, cast("BaseException | None", error)
    while link:
        shown += "".join(traceback.format_exception_only(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return shown
