"""`verify` and `replay`: what somebody did to a database by hand is named, and made right."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from .job import Job, Ran
from .rows import difference, mirror, read


@pytest.fixture
def full(both: Job) -> Job:
    """The small world, already in both databases."""
    assert both.once().exit == 0
    return both


def execute(database: Path | str, *statements: str) -> None:
    """What a person types into a database."""
    with closing(sqlite3.connect(database) if isinstance(database, Path) else psycopg2.connect(database)) as connection:
        for statement in statements:
            cursor = connection.cursor()
            cursor.execute(statement)
            assert cursor.rowcount == 1, statement
        connection.commit()


def hurt(job: Job, database: Path | str) -> dict[str, list[Any]]:
    """5 rows edited, 3 deleted and 2 invented by hand; what `verify` should name, by stream."""
    tasks, emails, files = (sorted(read(database)[table]) for table in ("tasks", "emails", "attachments"))
    execute(
        database,
        f"UPDATE tasks SET title = 'Edited', status = 'odd' WHERE task_id = '{tasks[3]}'",
        f"UPDATE tasks SET deleted = true, deleted_at = '2026-01-01T00:00:00Z' WHERE task_id = '{tasks[-1]}'",
        f"UPDATE emails SET body_text = 'Edited' WHERE email_id = '{emails[0]}'",
        f"UPDATE emails SET labels = NULL, row_hash = 'x' WHERE email_id = '{emails[5]}'",
        f"UPDATE attachments SET size_bytes = -1 WHERE attachment_id = '{files[0]}'",
        f"DELETE FROM tasks WHERE task_id = '{tasks[0]}'",
        f"DELETE FROM emails WHERE email_id = '{emails[7]}'",
        f"DELETE FROM attachments WHERE attachment_id = '{files[-1]}'",
        "INSERT INTO tasks (task_id, title, row_hash) VALUES ('zz-invented', 'Mine', '')",
        "INSERT INTO emails (email_id, subject, row_hash) VALUES ('00-invented', 'Mine', '')",
    )
    return {
        "teamwork.tasks": [
            (tasks[0], "missing", []), (tasks[3], "differs", ["title", "status"]),
            (tasks[-1], "differs", ["deleted", "deleted_at"]), ("zz-invented", "extra", []),
        ],
        "missive.emails": [
            ("00-invented", "extra", []), (emails[0], "differs", ["body_text"]), (emails[5], "differs", ["labels"]),
            (emails[7], "missing", []),
        ],
        "attachments": [(files[0], "differs", ["size_bytes"]), (files[-1], "missing", [])],
    }  # fmt: skip


def named(ran: Ran, destination: str) -> dict[str, Sequence[Any]]:
    """What a verification named, by stream."""
    streams = ran.document["destinations"][destination]["streams"]
    return {stream: sorted((row["key"], row["verdict"], row["columns"]) for row in found["rows"]) for stream, found in streams.items()}


def test_rows_edited_deleted_and_invented_by_hand_are_named_repaired_and_verified_again(full: Job) -> None:
    assert full.dsn
    places = {"sqlite": full.sqlite, "postgres": full.dsn}
    before = {name: read(database) for name, database in places.items()}
    expected = {name: hurt(full, database) for name, database in places.items()}
    hurt_rows = {name: read(database) for name, database in places.items()}

    ran = full.call("verify", "--json")
    assert ran.exit == ran.document["exit"] == 3, ran.all
    for name in places:
        assert named(ran, name) == expected[name]
    assert {name: read(database) for name, database in places.items()} == hurt_rows, "it only reads"
    text = full.call("verify")
    assert text.exit == 3
    for row in (row for found in expected.values() for rows in found.values() for row in rows):
        assert f"  {row[0]}: {row[1] if row[1] != 'differs' else 'differs in ' + ', '.join(row[2])}" in text.out.splitlines()
    assert "verify --repair" in text.err

    ran = full.call("verify", "--repair", "--json")
    assert ran.exit == 0, ran.all
    for name in places:
        assert named(ran, name) == expected[name]
    for name, database in places.items():
        found = ran.document["destinations"][name]["streams"].values()
        assert sum(stream["repaired"] for stream in found) == 10
        now = read(database)
        invented = [now["tasks"].pop("zz-invented"), now["emails"].pop("00-invented")]
        assert [(row["deleted"], row["deleted_at"] is not None) for row in invented] == [(True, True)] * 2
        assert [invented[0]["title"], invented[1]["subject"]] == ["Mine", "Mine"]
        touched = {row[0] for rows in expected[name].values() for row in rows}
        for table, rows in before[name].items():
            assert {key: row for key, row in now[table].items() if key not in touched} == {
                key: row for key, row in rows.items() if key not in touched
            }, "nothing else is written, xmin and synced_at included"
    assert full.differences() == []

    ran = full.call("verify", "--json")
    assert ran.exit == 0, ran.all
    assert {name: named(ran, name) for name in places} == {name: {stream: [] for stream in expected[name]} for name in places}
    assert not ran.asked


def test_a_good_verification_says_how_much_it_compared(full: Job) -> None:
    ran = full.call("verify", "--destination", "postgres")
    assert (ran.exit, ran.err) == (0, "")
    rows = read(full.dsn or "")
    assert ran.out.splitlines() == [
        f"postgres teamwork.tasks: {len(rows['tasks'])} equal",
        f"postgres missive.emails: {len(rows['emails'])} equal",
        f"postgres attachments: {len(rows['attachments'])} equal",
    ]


def test_rows_that_are_merely_behind_are_no_difference_and_a_repair_delivers_them(full: Job) -> None:
    task = next(iter(full.sandbox.truth.tasks()))
    full.sandbox.world.teamwork.edit_task(int(task), name="New")
    assert full.once("--destination", "sqlite").exit == 0

    ran = full.call("verify", "--json")
    assert ran.exit == 0, ran.all
    found = ran.document["destinations"]["postgres"]
    assert (found["behind"], found["streams"]["teamwork.tasks"]["behind"]) == (1, 1)
    assert "1 rows behind" in full.call("verify").out

    assert full.call("verify", "--repair").exit == 0
    assert full.differences() == []
    assert full.call("verify", "--json").document["destinations"]["postgres"]["behind"] == 0


def test_a_destination_that_was_never_fed_is_told_and_nothing_is_made(job: Job) -> None:
    assert job.once().exit == 0
    before = sorted(job.folder.iterdir())
    ran = job.call("verify", "--json", SQLITE_PATH="other.db")
    assert ran.exit == 0, ran.all
    found = ran.document["destinations"]["sqlite"]
    assert (found["behind"], found["streams"]) == (len(mirror(job.state)) - count_of(job, "missive.conversations"), {})
    assert sorted(job.folder.iterdir()) == before


def count_of(job: Job, stream: str) -> int:
    return sum(key.startswith(stream) for key in mirror(job.state))


def test_it_needs_no_lock_but_a_repair_and_a_replay_do(full: Job) -> None:
    with closing(open_locked(full)):
        assert full.call("verify").exit == 0
        for command in (("verify", "--repair"), ("replay", "--destination", "sqlite")):
            ran = full.call(*command)
            assert ran.exit == 75
            assert "works on" in ran.err


def open_locked(job: Job) -> Any:
    """The lock, held by somebody."""
    import fcntl

    handle = (job.state / "lock").open("r+")
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def test_one_that_is_down_is_told_and_the_other_is_verified(full: Job) -> None:
    ran = full.call("verify", "--json", PG_DSN="postgresql://postgres:pg-sandbox-pa55@127.0.0.1:9/x")
    assert ran.exit == 3
    assert "cannot be reached" in ran.document["destinations"]["postgres"]["error"]
    assert ran.document["destinations"]["sqlite"]["streams"]["teamwork.tasks"]["equal"] > 0


def test_before_the_first_run_it_says_so_and_makes_nothing(job: Job) -> None:
    for command in (("verify",), ("replay", "--destination", "sqlite")):
        ran = job.call(*command)
        assert ran.exit == 2
        assert "once" in ran.err
    assert not job.sqlite.exists()


def test_a_replay_brings_back_what_was_edited_by_hand_and_writes_nothing_else(full: Job) -> None:
    assert full.dsn
    before = read(full.dsn)
    expected = hurt(full, full.dsn)
    touched = {row[0] for rows in expected.values() for row in rows}

    ran = full.call("replay", "--destination", "postgres")

    assert ran.exit == 0, ran.all
    assert not ran.asked
    now = read(full.dsn)
    for table, rows in before.items():
        same = [key for key in rows if key not in touched]
        assert [now[table][key] for key in same] == [rows[key] for key in same], "xmin and synced_at included"
    assert [line for line in difference(full.dsn, full.sandbox) if "invented" not in line] == []
    assert full.call("replay", "--destination", "postgres").out.startswith("postgres: written=0")
    assert full.once().exit == 0
    assert full.call("replay").exit == 2, "a destination has to be named"
