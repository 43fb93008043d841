"""One suite for every destination: memory, SQLite, PostgreSQL."""

import json
import random
import sqlite3
import stat
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from syncjob.core.errors import ConfigError, Rejected, SyncjobError, Transient
from syncjob.core.model import EMAILS, TASKS, Batch, FeedRow, Json, Position, Receipt
from syncjob.core.ports import Destination
from syncjob.destinations import ATTACHMENTS, SqlDestination, postgres_url, sqlite_url
from syncjob.destinations import postgres as postgres_module
from syncjob.destinations import sqlite as sqlite_module
from syncjob.destinations.text import clean
from tests.contracts.memory import Held, MemoryDestination
from tests.postgres import PASSWORD, PostgresServer, execute

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

    def __init__(self, make: Callable[[], Destination], clock: HandClock) -> None:
        self._make, self.clock, self._open = make, clock, list[Destination]()

    def open(self) -> Destination:
        self._open.append(self._make())
        return self._open[-1]

    def close(self) -> None:
        for destination in self._open:
            destination.close()


def memory_place() -> Place:
    clock, held = HandClock(), Held()
    return Place(lambda: MemoryDestination("memory", clock, held), clock)


def sqlite_place(path: Path) -> Place:
    clock = HandClock()
    place = Place(lambda: SqlDestination("sqlite", sqlite_url(path), clock=clock), clock)

    def sql(statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    place.sql = sql
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

    place.sql = sql
    return place


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        made = memory_place()
    elif request.param == "sqlite":
        made = sqlite_place(tmp_path / "data.db")
    else:
        made = postgres_place(request.getfixturevalue("fresh_postgres"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def sql_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = sqlite_place(tmp_path / "data.db") if request.param == "sqlite" else postgres_place(request.getfixturevalue("fresh_postgres"))
    yield made
    made.close()


def task(key: str = "1", *, gone: datetime | None = None, **data: Json) -> FeedRow:
    whole = {"task_id": key, "title": f"Task {key}", "progress": 10, "tags": ["a", "b"], "due_at": "2026-03-05"}
    whole |= {"updated_at": "2026-03-01T10:00:00Z", "source_links": {"web": f"https://example.com/{key}"}}
    return FeedRow(TASKS, key, 1, whole | data, gone)


def email(key: str = "m1", *, gone: datetime | None = None, **data: Json) -> FeedRow:
    whole = {"email_id": key, "thread_id": "t1", "subject": "Hello", "to_addresses": ["a@example.com"], "body_html": "<p>Hi</p>"}
    return FeedRow(EMAILS, key, 1, whole | {"sent_at": "2026-03-01T10:00:00Z", "attachments": []} | data, gone)


def attachment(key: str = "f1", **data: Json) -> dict[str, Json]:
    return {"attachment_id": key, "filename": f"{key}.png", "media_type": "image/png", "size_bytes": 7, "inline": False} | data


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
    shown, link = error.hint, error if isinstance(error, BaseException) else None
    while link:
        shown += "".join(traceback.format_exception_only(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return shown


# What every destination does


def test_a_new_destination_has_read_nothing_and_then_what_was_delivered(place: Place) -> None:
    destination = place.open()
    assert destination.prepare() is None
    assert destination.prepare() is None
    assert deliver(destination, task(), email(), seq=7) == Receipt(2)
    assert destination.prepare() == at(7)
    assert place.open().prepare() == at(7)


def test_a_row_comes_back_as_it_was_delivered(place: Place) -> None:
    deliver(ready(place), task("1", progress=None, unknown="left out", description=""))
    (row,) = ready(place).rows(TASKS)
    assert {name: value for name, value in row.items() if value is not None} == {
        "task_id": "1", "title": "Task 1", "description": "", "tags": ["a", "b"], "due_at": "2026-03-05",
        "updated_at": "2026-03-01T10:00:00Z", "source_links": {"web": "https://example.com/1"}, "deleted": False,
    }  # fmt: skip
    assert set(row) - {"deleted", "deleted_at"} == set(row) & {
        "task_id", "project_id", "project_name", "tasklist_id", "tasklist_name", "title", "description", "status", "priority", "progress",
        "tags", "assignees", "parent_task_id", "start_at", "due_at", "created_at", "updated_at", "completed_at", "source_links",
    }  # fmt: skip


def test_delivering_again_writes_nothing(place: Place) -> None:
    destination = ready(place)
    deliver(destination, task("1"), task("2"), email(attachments=[attachment()]))
    before = [rows(place, stream) for stream in (TASKS, EMAILS, ATTACHMENTS)]
    place.clock.time = LATER
    assert deliver(destination, task("2"), email(attachments=[attachment()]), task("1")) == Receipt(0)
    assert deliver(destination, task("1"), task("2", title="New")) == Receipt(1)
    assert rows(place)["2"]["title"] == "New"
    assert [rows(place, stream) for stream in (EMAILS, ATTACHMENTS)] == before[1:]


def test_a_change_and_its_way_back_are_written(place: Place) -> None:
    destination = ready(place)
    for title in ("one", "two", "one"):
        assert deliver(destination, task(title=title)) == Receipt(1)
        assert rows(place)["1"]["title"] == title


def test_a_deletion_keeps_the_content_and_a_restore_takes_the_mark_away(place: Place) -> None:
    destination = ready(place)
    live = {}
    deliver(destination, task())
    live = rows(place)["1"]
    assert deliver(destination, task(gone=NOON)) == Receipt(1)
    assert rows(place)["1"] == {**live, "deleted": True, "deleted_at": "2026-03-01T12:00:00Z"}
    assert deliver(destination, task()) == Receipt(1)
    assert rows(place)["1"] == live


def test_a_new_destination_receives_deleted_rows_too(place: Place) -> None:
    assert deliver(ready(place), task(gone=NOON)) == Receipt(1)
    assert rows(place)["1"]["deleted"] is True


def test_an_empty_batch_moves_the_position_alone(place: Place) -> None:
    destination = ready(place)
    assert deliver(destination, seq=9) == Receipt(0)
    assert destination.prepare() == at(9)


def test_rows_come_in_key_order_from_where_one_left_off(place: Place) -> None:
    keys = ["10", "9", "B", "a", "_", "é", "z", "😀", "\uffff", "~", " ", "A\u0301"]
    deliver(ready(place), *(task(key) for key in keys))
    destination = ready(place)
    assert [row["task_id"] for row in destination.rows(TASKS)] == sorted(keys)
    assert [row["task_id"] for row in destination.rows(TASKS, after="B")] == [key for key in sorted(keys) if key > "B"]


def test_many_rows_come_back_each_once_while_others_are_written(place: Place) -> None:
    destination = ready(place)
    deliver(destination, *(task(f"{number:05}") for number in range(2_500)))
    seen = []
    for row in destination.rows(TASKS):
        seen.append(row["task_id"])
        if len(seen) % 500 == 0:
            deliver(destination, task("00000", title=str(len(seen))))
    assert seen == [f"{number:05}" for number in range(2_500)]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud800 lone", "\ufffd lone"),
        ("\ud83d\ude00 pair", "😀 pair"),
        ("\\u0000 spelled out", "\\u0000 spelled out"),
        ("😀 مرحبا \u202e עברית", "😀 مرحبا \u202e עברית"),
        ("", ""),
        ('it\'s "100%" \\ {} %s :x ?', 'it\'s "100%" \\ {} %s :x ?'),
        ("\ufeffmark\r\n\t\x01\x7f", "\ufeffmark\r\n\t\x01\x7f"),
    ],
)
def test_hostile_text_is_kept_as_far_as_it_can_be(place: Place, value: str, kept: str) -> None:
    destination = ready(place)
    hostile = task(title=value, tags=[value, "plain"], source_links={"web": value, value: [value, {"deep": value}]})
    assert deliver(destination, hostile) == Receipt(1)
    row = rows(place)["1"]
    assert (row["title"], row["tags"]) == (kept, [kept, "plain"])
    assert row["source_links"] == {"web": kept, kept: [kept, {"deep": kept}]}
    assert deliver(destination, hostile) == Receipt(0)


@pytest.mark.parametrize(
    ("column", "value", "kept"),
    [
        ("due_at", "0000-01-01", None),
        ("due_at", "10000-01-01", None),
        ("due_at", "2026-02-30", None),
        ("due_at", "30 Feb", None),
        ("due_at", "", None),
        ("due_at", 5, None),
        ("due_at", "0001-01-01", "0001-01-01"),
        ("due_at", "9999-12-31", "9999-12-31"),
        ("updated_at", "0000-01-01T00:00:00Z", None),
        ("updated_at", "10000-01-01T00:00:00Z", None),
        ("updated_at", "0001-01-01T00:00:00+05:00", None),
        ("updated_at", "2026-01-01T25:00:00Z", None),
        ("updated_at", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("updated_at", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("updated_at", "2026-01-01T02:00:00.999+02:00", "2026-01-01T00:00:00Z"),
        ("updated_at", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z"),
        ("progress", 2**63 - 1, 2**63 - 1),
        ("progress", -5, -5),
        ("tags", [], []),
        ("source_links", {}, {}),
        ("source_links", {"n": 10**70, "f": 1.5, "t": True, "z": None}, {"n": 10**70, "f": 1.5, "t": True, "z": None}),
    ],
)
def test_a_value_at_the_edge_is_kept_or_null(place: Place, column: str, value: Json, kept: Json) -> None:
    destination = ready(place)
    assert deliver(destination, task(**{column: value})) == Receipt(1)
    assert rows(place)["1"][column] == kept
    assert deliver(destination, task(**{column: value})) == Receipt(0)


def test_a_body_of_5_mb_is_kept(place: Place) -> None:
    body = "<p>größer 😀</p>" * 300_000
    deliver(ready(place), email("big", body_html=body), email("m2"), *(task(str(number)) for number in range(50)))
    assert rows(place, EMAILS)["big"]["body_html"] == body
    assert len(rows(place)) == 50


POISON = [
    task("bad", progress=10**70),
    task("bad", progress="secret"),
    task("bad", title={"secret": 1}),
    task("bad", tags="secret"),
    task("bad", tags=["secret", None]),
    task("bad", source_links={"x": float("nan")}),
    task(""),
    task("se\x00cret"),
    email("bad", attachments=[attachment(size_bytes=2**63)]),
    email("bad", attachments=[{"filename": "secret"}]),
]


@pytest.mark.parametrize("poison", POISON, ids=range(len(POISON)))
def test_a_row_that_cannot_be_stored_is_rejected_and_nothing_is_written(place: Place, poison: FeedRow) -> None:
    destination = ready(place)
    deliver(destination, task("0"), seq=1)
    with pytest.raises(Rejected) as raised:
        deliver(destination, task("1"), poison, task("2"), email("m2"), seq=2)
    assert "secret" not in told(raised.value).replace("task_id", "") or poison.key.startswith("se")
    assert (list(rows(place)), rows(place, EMAILS), destination.prepare()) == (["0"], {}, at(1))
    deliver(destination, task("1"), task("2"), seq=2)
    assert (list(rows(place)), destination.prepare()) == (["0", "1", "2"], at(2))


def test_attachments_appear_change_and_are_deleted(place: Place) -> None:
    destination = ready(place)
    deliver(destination, email("m1", attachments=[attachment("f1"), attachment("f2"), attachment("f2")]), email("m2"))
    found = rows(place, ATTACHMENTS)
    assert list(found) == ["f1", "f2"]
    assert found["f1"] == {**attachment("f1"), "email_id": "m1", "deleted": False, "deleted_at": None}

    place.clock.time = LATER
    assert deliver(destination, email("m1", attachments=[attachment("f1", filename="new.png")])) == Receipt(0)
    assert rows(place, ATTACHMENTS)["f1"]["filename"] == "new.png"
    assert rows(place, ATTACHMENTS)["f2"] == {**found["f2"], "deleted": True, "deleted_at": "2026-03-01T13:00:00Z"}

    deliver(destination, email("m1", attachments=[attachment("f1"), attachment("f2")]))
    assert rows(place, ATTACHMENTS) == found


def test_an_email_that_does_not_speak_of_attachments_leaves_them_alone(place: Place) -> None:
    destination = ready(place)
    deliver(destination, email(attachments=[attachment()]))
    deliver(destination, email(subject="New", attachments=None))
    assert rows(place, ATTACHMENTS)["f1"]["deleted"] is False


def test_attachments_of_a_deleted_email_are_deleted_with_it(place: Place) -> None:
    destination = ready(place)
    deliver(destination, email(attachments=[attachment("f1"), attachment("f2")]))
    place.clock.time = LATER
    deliver(destination, email(attachments=[attachment("f1")], gone=NOON))
    found = rows(place, ATTACHMENTS)
    assert [(row["deleted"], row["deleted_at"]) for row in found.values()] == [(True, "2026-03-01T12:00:00Z")] * 2
    deliver(destination, email(attachments=[attachment("f1")]))
    assert [row["deleted"] for row in rows(place, ATTACHMENTS).values()] == [False, True]


def test_an_attachment_moves_to_another_email(place: Place) -> None:
    destination = ready(place)
    deliver(destination, email("m1", attachments=[attachment()]), email("m2"))
    deliver(destination, email("m1"), email("m2", attachments=[attachment()]))
    assert [(row["email_id"], row["deleted"]) for row in rows(place, ATTACHMENTS).values()] == [("m2", False)]


def test_every_destination_ends_with_the_same_rows(tmp_path: Path, fresh_postgres: str) -> None:
    """Random histories, delivered in batches of their own to each destination."""
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    history = [random_row(draw) for _ in range(400)]
    places = [memory_place(), sqlite_place(tmp_path / "data.db"), postgres_place(fresh_postgres)]
    for place in places:
        start = 0
        while start < len(history):
            end = start + draw.randint(1, 40)
            newest = {(row.stream, row.key): row for row in history[start:end]}  # a batch has each key once
            deliver(ready(place), *newest.values(), seq=end)
            start = end
    for stream in (TASKS, EMAILS):
        first, *others = [rows(place, stream) for place in places]
        assert first, f"seed {seed}"
        assert all(other == first for other in others), f"seed {seed}"
    for place in places:
        place.close()


def random_row(draw: random.Random) -> FeedRow:
    gone = draw.choice([None, None, NOON])
    text = draw.choice(["", "x", "é\x00", "\ud800", "long " * 1000, None])
    if draw.random() < 0.5:
        return task(
            str(draw.randint(1, 60)), gone=gone, title=text, progress=draw.choice([None, 1, 2]), tags=draw.choice([None, [], ["x"]])
        )
    files = [attachment(f"f{draw.randint(1, 9)}") for _ in range(draw.randint(0, 3))]
    return email(str(draw.randint(1, 60)), gone=gone, body_text=text, attachments=files)


# What SQL databases do


def stamps(place: Place, *tables: str) -> Sequence[Any]:
    """Changes whenever a row is written, even with equal values."""
    physical = "xmin, ctid" if "_postgres" in place.sql.__qualname__ or "postgres" in place.sql.__qualname__ else "rowid"
    return [place.sql(f"SELECT {physical}, synced_at FROM {table} ORDER BY 1, 2") for table in tables]


def test_equal_rows_are_not_touched(sql_place: Place) -> None:
    destination = ready(sql_place)
    whole = [task("1"), task("2"), email(attachments=[attachment()])]
    deliver(destination, *whole)
    before = stamps(sql_place, "tasks", "emails", "attachments")
    sql_place.clock.time = LATER
    deliver(destination, *whole, seq=2)
    assert stamps(sql_place, "tasks", "emails", "attachments") == before
    deliver(destination, task("1", title="New"), task("2"), seq=3)
    assert stamps(sql_place, "tasks") != before[:1]
    assert stamps(sql_place, "emails", "attachments") == before[1:]


def test_the_contract_s_types_are_what_sql_sees(sql_place: Place) -> None:
    deliver(ready(sql_place), task(gone=NOON))
    found = sql_place.sql("SELECT tags, due_at, updated_at, source_links, deleted, deleted_at, synced_at FROM tasks")[0]
    link = {"web": "https://example.com/1"}
    if isinstance(found[0], str):
        times = ["2026-03-05", "2026-03-01T10:00:00Z", "2026-03-01T12:00:00Z"]
        assert found == ('["a","b"]', *times[:2], json.dumps(link, separators=(",", ":")), 1, times[2], times[2])
    else:
        assert found == (["a", "b"], datetime(2026, 3, 5).date(), NOON - timedelta(hours=2), link, True, NOON, NOON)  # noqa: DTZ001


def test_a_missing_column_is_added_and_filled_again(sql_place: Place) -> None:
    deliver(ready(sql_place), task("1"), task("2", gone=NOON), email(), seq=5)
    before = rows(sql_place)
    sql_place.sql("ALTER TABLE tasks DROP COLUMN title")
    destination = sql_place.open()
    assert destination.prepare() is None
    assert rows(sql_place) == {key: {**row, "title": None} for key, row in before.items()}
    assert deliver(destination, task("1"), task("2", gone=NOON), email(), seq=5) == Receipt(2)
    assert rows(sql_place) == before
    assert destination.prepare() == at(5)


def test_a_table_without_our_bookkeeping_gets_it_and_keeps_its_rows(sql_place: Place) -> None:
    sql_place.sql("CREATE TABLE tasks (task_id text PRIMARY KEY, title text, mine text, count integer NOT NULL DEFAULT 3)")
    sql_place.sql("INSERT INTO tasks (task_id, title, mine) VALUES ('1', 'old', 'kept'), ('x', 'old', NULL)")
    assert deliver(ready(sql_place), task("1")) == Receipt(1)
    found = sql_place.sql("SELECT task_id, title, mine, count FROM tasks ORDER BY 1")
    assert found == [("1", "Task 1", "kept", 3), ("x", "old", None, 3)]
    assert rows(sql_place)["x"]["deleted"] is False


def test_a_dropped_table_is_made_again_and_asks_to_be_fed(sql_place: Place) -> None:
    destination = ready(sql_place)
    deliver(destination, task(), email(attachments=[attachment()]), seq=5)
    sql_place.sql("DROP TABLE attachments")
    with pytest.raises(Transient):
        deliver(destination, email())
    assert destination.prepare() is None
    assert deliver(destination, task(), email(attachments=[attachment()]), seq=5) == Receipt(0)
    assert list(rows(sql_place, ATTACHMENTS)) == ["f1"]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("CREATE TABLE tasks (id integer PRIMARY KEY, title text)", "tasks: task_id is not its primary key"),
        ("CREATE TABLE tasks (task_id text, title text)", "tasks: task_id is not its primary key"),
        ("CREATE TABLE emails (email_id text, box text, PRIMARY KEY (email_id, box))", "emails: email_id is not its primary key"),
        ("CREATE TABLE emails (email_id integer PRIMARY KEY)", "emails: email_id is"),
        ("CREATE TABLE tasks (task_id text PRIMARY KEY, title varchar(9))", "tasks: title is"),
        ("CREATE TABLE tasks (task_id text PRIMARY KEY, progress text)", "tasks: progress is"),
        ("CREATE TABLE tasks (task_id text PRIMARY KEY, owner text NOT NULL)", "tasks: owner must not be null, and has no default"),
        ("CREATE TABLE tasks (task_id text PRIMARY KEY, title text NOT NULL)", "tasks: title must not be null"),
        ("CREATE VIEW tasks AS SELECT '1' AS task_id", "tasks: task_id is not its primary key"),
        ("CREATE TABLE syncjob_position (mirror text)", "syncjob_position: id is not its primary key"),
    ],
)
def test_a_foreign_table_is_refused_and_left_as_it_is(sql_place: Place, statement: str, problem: str) -> None:
    sql_place.sql(statement)
    with pytest.raises(ConfigError) as raised:
        sql_place.open().prepare()
    assert problem in raised.value.message
    assert "rename" in raised.value.hint
    assert "PG_SCHEMA" in raised.value.hint or "SQLITE_PATH" in raised.value.hint
    assert len(table_names(sql_place)) == 1


def table_names(place: Place) -> set[str]:
    try:
        return {name for (name,) in place.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")}
    except sqlite3.OperationalError:
        return {name for (name,) in place.sql("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")}


def test_all_foreign_tables_are_named_at_once(sql_place: Place) -> None:
    sql_place.sql("CREATE TABLE tasks (id text PRIMARY KEY)")
    sql_place.sql("CREATE TABLE emails (email_id text PRIMARY KEY, thread_id bigint)")
    with pytest.raises(ConfigError, match=r"tasks: .*; emails: thread_id is"):
        sql_place.open().prepare()


def test_a_newer_set_up_is_refused(sql_place: Place) -> None:
    ready(sql_place)
    sql_place.sql("UPDATE syncjob_position SET version = 99")
    with pytest.raises(ConfigError, match="newer syncjob") as raised:
        sql_place.open().prepare()
    assert "upgrade" in raised.value.hint


def test_nothing_connects_before_prepare(tmp_path: Path) -> None:
    SqlDestination("sqlite", sqlite_url(tmp_path / "new" / "data.db"), clock=HandClock()).close()
    SqlDestination("postgres", postgres_url("postgresql://nobody@nowhere.invalid/x"), clock=HandClock()).close()
    assert list(tmp_path.iterdir()) == []


@contextmanager
def another_writer(place: Place, statement: str, connect: Callable[[], Any]) -> Iterator[None]:
    connection = connect()
    connection.cursor().execute(statement)
    yield
    connection.close()


def test_two_writers_do_not_interleave_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_module, "LOCK_SECONDS", 0)
    place = sqlite_place(tmp_path / "data.db")
    destination = ready(place)
    with another_writer(place, "BEGIN IMMEDIATE", lambda: sqlite3.connect(tmp_path / "data.db")):
        with pytest.raises(Transient, match="another program is writing"):
            deliver(destination, task())
        assert list(destination.rows(TASKS)) == []
    assert deliver(destination, task()) == Receipt(1)
    place.close()


def test_two_writers_do_not_interleave_on_postgres(fresh_postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "LOCK_SECONDS", 0.1)
    place = postgres_place(fresh_postgres)
    destination = ready(place)
    other = postgres_module.Postgres(postgres_url(fresh_postgres), "public")
    engine = other.engine()
    with engine.begin() as conn:
        other.begin(conn, write=True)
        with pytest.raises(Transient, match="another program is writing"):
            deliver(destination, task())
        assert list(destination.rows(TASKS)) == []
    engine.dispose()
    assert deliver(destination, task()) == Receipt(1)
    place.close()


# What only PostgreSQL does


@pytest.fixture
def pg(fresh_postgres: str) -> Iterator[Place]:
    made = postgres_place(fresh_postgres)
    yield made
    made.close()


def test_a_server_that_is_down_is_transient_and_recovers(postgres_server: PostgresServer) -> None:
    destination = SqlDestination("postgres", postgres_url(postgres_server.dsn), schema="down", clock=HandClock())
    destination.prepare()
    deliver(destination, task("1"), seq=1)
    postgres_server.stop()
    try:
        for attempt in (lambda: deliver(destination, task("2"), seq=2), destination.prepare, lambda: list(destination.rows(TASKS))):
            with pytest.raises(Transient, match="cannot be reached") as raised:
                attempt()
            assert PASSWORD not in told(raised.value)
    finally:
        postgres_server.start()
    assert deliver(destination, task("2"), seq=2) == Receipt(1)
    assert destination.prepare() == at(2)
    assert [row["task_id"] for row in destination.rows(TASKS)] == ["1", "2"]
    destination.close()


def test_a_restart_between_two_batches_is_not_noticed(postgres_server: PostgresServer) -> None:
    destination = SqlDestination("postgres", postgres_url(postgres_server.dsn), schema="restarted", clock=HandClock())
    destination.prepare()
    postgres_server.stop()
    postgres_server.start()
    assert deliver(destination, task()) == Receipt(1)
    destination.close()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (PASSWORD, "wrong-secret", "refused the user or the password"),
        (f":{PASSWORD}@", "@", "refused the user or the password"),
        ("postgres:", "nobody-here:", "refused the user or the password"),
        ("/postgres?", "/no_such_database?", "does not have the database"),
        ("?", "?schema=x&", "options of PG_DSN"),
        ("?", "?sslmode=wrong&", "options of PG_DSN"),
    ],
)
def test_a_dsn_that_cannot_work_is_a_matter_of_settings(postgres_server: PostgresServer, old: str, new: str, message: str) -> None:
    dsn = postgres_server.dsn.replace(old, new)
    with pytest.raises(ConfigError, match=message) as raised:
        SqlDestination("postgres", postgres_url(dsn), clock=HandClock()).prepare()
    assert "PG_DSN" in raised.value.hint
    assert PASSWORD not in told(raised.value)
    assert "wrong-secret" not in told(raised.value)


@pytest.mark.parametrize(
    "dsn",
    ["", "host=localhost", "mysql://u:secret@h/d", "postgresql://u:p@h:secret/db", "postgresql://u:p@secret@h/db", "postgresql:/secret"],
)
def test_a_dsn_that_cannot_be_read_is_refused_without_showing_it(dsn: str) -> None:
    with pytest.raises(ConfigError, match="PG_DSN cannot be read") as raised:
        postgres_url(dsn)
    assert "secret" not in "".join(traceback.format_exception_only(raised.value)) + raised.value.hint


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_usual_scheme_is_understood(scheme: str) -> None:
    url = postgres_url(f"{scheme}://user:p%40ss@db.example.com:5433/name?sslmode=require")
    assert (url.drivername, url.password, url.host, url.port, url.database) == (
        "postgresql+psycopg2",
        "p@ss",
        "db.example.com",
        5433,
        "name",
    )
    assert "p@ss" not in str(url)


def test_a_missing_schema_is_made_and_a_strange_name_is_quoted(fresh_postgres: str) -> None:
    destination = SqlDestination("postgres", postgres_url(fresh_postgres), schema='My "50%" schema', clock=HandClock())
    assert destination.prepare() is None
    deliver(destination, task(), email(attachments=[attachment()]))
    assert [row["task_id"] for row in destination.rows(TASKS)] == ["1"]
    assert postgres_place(fresh_postgres).sql('SELECT task_id FROM "My ""50%"" schema".tasks') == [("1",)]
    destination.close()


def test_a_user_without_rights_is_told_what_to_grant(pg: Place, fresh_postgres: str) -> None:
    ready(pg)
    role = "reader_" + fresh_postgres.rpartition("syncjob_")[2].partition("?")[0]
    pg.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'other-secret'")
    try:
        own = fresh_postgres.replace(f"postgres:{PASSWORD}@", f"{role}:other-secret@")
        if own == fresh_postgres:
            pytest.fail("TEST_DATABASE_URL must have the user postgres and the password of the tests")
        for schema in ("public", "another"):
            with pytest.raises(ConfigError, match="does not let the user") as raised:
                SqlDestination("postgres", postgres_url(own), schema=schema, clock=HandClock()).prepare()
            assert "grant" in raised.value.hint
            assert "other-secret" not in told(raised.value)
    finally:
        pg.sql(f"DROP ROLE {role}")


def test_a_database_that_is_not_utf8_is_refused(postgres_server: PostgresServer) -> None:
    execute(postgres_server.dsn, "CREATE DATABASE old_text ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(ConfigError, match="UTF8"):
        SqlDestination("postgres", postgres_url(postgres_server.dsn.replace("/postgres?", "/old_text?")), clock=HandClock()).prepare()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        *(
            (code, Transient)
            for code in ("40001", "40P01", "53100", "53300", "57014", "08006", "25006", "42P01", "55P03", "XX000", "57P01")
        ),
        *((code, ConfigError) for code in ("42501", "3F000", "28000")),
        *((code, Rejected) for code in ("22001", "22P02", "23514", "54000", "P0001")),
    ],
)
def test_a_failure_is_classified_by_its_code_and_never_quoted(pg: Place, code: str, error: type[SyncjobError]) -> None:
    destination = ready(pg)
    deliver(destination, task("0"), seq=1)
    pg.sql(
        f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'secret %', NEW.title USING ERRCODE = '{code}', DETAIL = 'secret'; END $$"""
    )
    pg.sql("CREATE TRIGGER fail BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION fail()")
    pg.sql("ALTER TABLE emails ADD COLUMN title text")
    with pytest.raises(error, match=code) as raised:
        deliver(destination, task("1", title="secret"), email(subject="secret"), seq=2)
    assert "secret" not in told(raised.value)
    assert type(raised.value) is error
    pg.sql("DROP TRIGGER fail ON emails")
    assert (list(rows(pg)), destination.prepare()) == (["0"], at(1))
    assert deliver(destination, task("1"), email(), seq=2) == Receipt(2)


def test_a_connection_that_is_cut_off_in_the_middle_is_transient(pg: Place) -> None:
    destination = ready(pg)
    pg.sql(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NEW; END $$"""
    )
    pg.sql("CREATE TRIGGER die BEFORE INSERT ON emails FOR EACH ROW EXECUTE FUNCTION die()")
    with pytest.raises(Transient):
        deliver(destination, task(), email())
    pg.sql("DROP TRIGGER die ON emails")
    assert rows(pg) == {}
    assert deliver(destination, task(), email()) == Receipt(2)


def test_a_key_too_long_for_the_index_is_rejected(pg: Place) -> None:
    key = "".join(random.Random(1).choices("0123456789abcdef", k=9_000))
    with pytest.raises(Rejected, match="54000"):
        deliver(ready(pg), task(key))


def test_values_that_somebody_else_wrote_do_not_stop_reading(pg: Place) -> None:
    deliver(ready(pg), task("1"))
    pg.sql("UPDATE tasks SET updated_at = 'infinity', due_at = '10000-01-01', created_at = '0044-03-15 BC'")
    assert [row["task_id"] for row in ready(pg).rows(TASKS)] == ["1"]


def test_statements_stay_under_their_limits() -> None:
    sizes = [400_000, 400_000, 400_000, 5_000_000, 1, 1, *[10] * 1_200]
    parts = [len(part) for part in postgres_module.statements([(size,) for size in sizes], sizes)]
    assert parts == [2, 1, 1, 500, 500, 202]
    assert list(postgres_module.statements([], [])) == []


# What only SQLite does


def test_the_file_and_its_new_folder_are_for_this_user_alone(tmp_path: Path) -> None:
    place = sqlite_place(tmp_path / "new" / "data.db")
    destination = ready(place)
    deliver(destination, task())
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()} == {0o600}
    assert place.sql("PRAGMA journal_mode") == [("wal",)]
    place.close()


@pytest.mark.parametrize("name", ["odd ?#%:@ né.db", "%2e.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    place = sqlite_place(tmp_path / name)
    ready(place)
    place.close()
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_a_path_that_cannot_be_a_database_is_a_matter_of_settings(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Not a database, but a text of some length. " * 50)
    for path in (tmp_path / "notes.txt", tmp_path, tmp_path / "notes.txt" / "data.db"):
        with pytest.raises(ConfigError, match=r"notes\.txt|test_a_path") as raised:
            sqlite_place(path).open().prepare()
        assert "SQLITE_PATH" in raised.value.hint
    assert (tmp_path / "notes.txt").read_text().startswith("Not a database")


@pytest.mark.parametrize(
    ("pragma", "message"), [("max_page_count = 60", "the disk is full"), ("query_only = 1", "is read-only")], ids=["full", "read-only"]
)
def test_a_disk_that_cannot_be_written_is_transient(tmp_path: Path, pragma: str, message: str) -> None:
    place = sqlite_place(tmp_path / "data.db")
    deliver(ready(place), task("0"), seq=1)

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    destination = place.open()
    sa.event.listen(sa.Engine, "connect", limit)
    try:
        with pytest.raises(Transient, match=message):
            deliver(destination, task("1"), email(body_html="x" * 1_000_000), seq=2)
    finally:
        sa.event.remove(sa.Engine, "connect", limit)
    assert (list(rows(place)), destination.prepare()) == (["0"], at(1))
    assert deliver(destination, task("1"), seq=2) == Receipt(1)
    place.close()


def test_a_constraint_of_the_user_rejects_the_row(tmp_path: Path) -> None:
    place = sqlite_place(tmp_path / "data.db")
    destination = ready(place)
    place.sql("CREATE TRIGGER no BEFORE INSERT ON tasks WHEN NEW.title = 'secret' BEGIN SELECT RAISE(ABORT, 'secret'); END")
    with pytest.raises(Rejected, match="refused by SQLite: SQLITE_CONSTRAINT_TRIGGER") as raised:
        deliver(destination, task("1"), task("2", title="secret"))
    assert "secret" not in told(raised.value)
    assert rows(place) == {}
    place.close()


def test_clean_changes_nothing_that_can_be_stored() -> None:
    draw = random.Random(7)
    for _ in range(200):
        text = "".join(chr(draw.choice([draw.randint(1, 0xD7FF), draw.randint(0xE000, 0x10FFFF)])) for _ in range(50))
        assert clean(text) == text
