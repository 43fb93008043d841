"""What every SQL database does, whichever it is."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncjob.core.errors import ConfigError, Transient
from syncjob.core.model import Batch, Receipt
from syncjob.destinations import ATTACHMENTS, SqlDestination, postgres_url, sqlite_url
from tests.contracts.places import (
    LATER,
    NOON,
    HandClock,
    Place,
    at,
    attachment,
    deliver,
    email,
    ready,
    rows,
    task,
)


def stamps(place: Place, *tables: str) -> Sequence[Any]:
    """Changes whenever a row is written, even with equal values."""
    return [place.sql(f"SELECT {place.stamp}, synced_at FROM {table} ORDER BY 1, 2") for table in tables]


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


def test_one_that_stands_elsewhere_than_the_batch_says_is_not_written(sql_place: Place) -> None:
    destination = ready(sql_place)
    deliver(destination, task("1"), seq=1)
    deliver(destination, task("2"), seq=5)
    for elsewhere in (1, 9):
        with pytest.raises(Transient, match="was set back"):
            destination.deliver(Batch((task("3"),), at(12), after=at(elsewhere)))
    assert (list(rows(sql_place)), destination.position()) == (["1", "2"], at(5))
    assert destination.deliver(Batch((task("3"),), at(12), after=at(5))) == Receipt(1)


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
        ("CREATE TABLE tasks (task_id text PRIMARY KEY, title text NOT NULL DEFAULT '')", "tasks: title must not be null"),
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
