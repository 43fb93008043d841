"""Destinations that were down, new, set back or ahead, and state folders that were lost or set back: whole again."""

import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.postgres import PostgresServer, execute

from .job import Job, is_one_screen
from .rows import difference, read

QUIET = 2
TABLES = ("tasks", "emails", "attachments", "syncjob_position")


@pytest.fixture
def stopped(postgres_server: PostgresServer) -> Iterator[Callable[[], None]]:
    """Stops the server when called; it runs again for the next test."""
    yield postgres_server.stop
    postgres_server.stop()
    postgres_server.start()


def change(job: Job, number: int, *, seed: int = 1) -> None:
    """Make so many changes: renamed tasks, mails that get a label."""
    luck = random.Random(seed)
    teamwork, missive = job.sandbox.world.teamwork, job.sandbox.world.missive
    tasks, emails = list(job.sandbox.truth.tasks()), job.sandbox.truth.emails()
    threads = sorted({row["thread_id"] for row in emails.values()})[::2]  # the others stay old: a quiet poll ends at the first of them
    label = sorted(missive.labels)[0]
    while number > 0:
        if number % 2:
            teamwork.edit_task(int(luck.choice(tasks)), name=f"Renamed {number} {seed}")
            number -= 1
        else:
            thread = luck.choice(threads)
            missive.add_message(thread)
            (missive.unlabel if luck.random() < 0.5 else missive.label)(thread, label)
            number -= 1 + sum(row["thread_id"] == thread for row in emails.values())


def database_of(job: Job) -> str:
    assert job.dsn
    return job.dsn.partition("@/")[2].partition("?")[0]


def test_postgres_that_is_down_for_three_cycles_holds_up_nothing_and_catches_up(
    both: Job, postgres_server: PostgresServer, stopped: Callable[[], None]
) -> None:
    assert both.once().exit == 0
    stopped()
    for cycle in range(3):
        change(both, 7, seed=cycle)

        ran = both.once("--json")

        assert ran.exit == 3, ran.all
        assert difference(both.sqlite, both.sandbox) == []
        assert "cannot be reached" in ran.document["destinations"]["postgres"]["error"]
        assert "cannot be reached" in ran.err
        assert ran.document["destinations"]["postgres"]["behind"] > 0
        assert ran.document["destinations"]["sqlite"] == {**ran.document["destinations"]["sqlite"], "behind": 0, "error": None}
        assert is_one_screen(ran.err)
    shown = both.call("status")
    assert "behind" in shown.out
    assert "cannot be reached" in shown.out
    postgres_server.start()

    ran = both.once("--json")

    assert ran.exit == 0, ran.all
    assert both.differences() == []
    assert max(ran.asked.values()) <= QUIET
    assert both.call("status", "--json").document["destinations"]["postgres"] == {
        "behind": 0, "behind_seconds": None, "dead": 0, "error": None,
    }  # fmt: skip


def test_a_destination_added_later_fills_itself_from_the_mirror_without_a_request(both: Job) -> None:
    assert both.once(DB_BACKEND="sqlite").exit == 0

    ran = both.once("--json")

    assert ran.exit == 0, ran.all
    assert both.differences() == []
    polls = {walk["kind"] for stream in ran.document["streams"].values() for walk in stream["walks"]}
    assert polls == {"changes"}
    assert max(ran.asked.values()) <= QUIET
    assert ran.document["destinations"]["sqlite"]["written"] == 0


def test_a_destination_can_be_filled_alone_and_the_other_one_is_left_alone(both: Job) -> None:
    assert both.once("--destination", "postgres").exit == 0

    assert not both.sqlite.exists()
    assert both.dsn
    assert difference(both.dsn, both.sandbox) == []


def test_postgres_set_back_to_a_backup_is_whole_again_after_one_cycle(big: Callable[..., Job], postgres_server: PostgresServer) -> None:
    job = big(tasks=300, conversations=20)
    assert job.once().exit == 0
    name = database_of(job)
    execute(postgres_server.dsn, f"CREATE DATABASE {name}_backup TEMPLATE {name}")
    change(job, 500)
    assert job.once().exit == 0
    assert job.differences() == []
    execute(postgres_server.dsn, f"DROP DATABASE {name}")
    execute(postgres_server.dsn, f"CREATE DATABASE {name} TEMPLATE {name}_backup")
    assert job.differences() != []
    seen = len(job.sandbox.log)

    ran = job.once("--json")

    assert ran.exit == 0, ran.all
    assert job.differences() == []
    assert max(ran.asked.values()) <= QUIET, job.sandbox.log[seen:]


def test_postgres_set_back_under_a_kept_up_process_is_whole_again_though_nothing_happens(both: Job) -> None:
    assert both.dsn
    with both.started("run", POLL_INTERVAL_SECONDS="1") as process:
        wait_until_equal(both)
        do(both.dsn, "CREATE SCHEMA backup", *(f"CREATE TABLE backup.{table} AS TABLE {table}" for table in TABLES))
        change(both, 20)
        wait_until_equal(both)
        do(both.dsn, *(f"TRUNCATE {table}; INSERT INTO {table} TABLE backup.{table}" for table in TABLES))
        assert difference(both.dsn, both.sandbox) != []
        wait_until_equal(both)
        assert process.poll() is None


def do(dsn: str, *statements: str) -> None:
    """Run statements in one transaction."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def wait_until_equal(job: Job) -> None:
    """Until both databases hold the truth."""
    deadline = time.monotonic() + 60
    while True:
        try:
            if not job.differences():
                return
        except (sqlite3.Error, psycopg2.Error):  # no tables yet
            pass
        assert time.monotonic() < deadline, "too slow"
        time.sleep(0.2)


def test_a_lost_state_folder_is_filled_again_and_no_equal_row_is_rewritten(both: Job) -> None:
    assert both.dsn
    assert both.once().exit == 0
    in_postgres, in_sqlite = read(both.dsn), read(both.sqlite)
    shutil.rmtree(both.state)

    ran = both.once("--json")

    assert ran.exit == 0, ran.all
    assert both.differences() == []
    assert read(both.dsn) == in_postgres, "xmin and synced_at included"
    assert read(both.sqlite) == in_sqlite
    assert [found["written"] for found in ran.document["destinations"].values()] == [0, 0]


def test_a_state_folder_set_back_while_the_databases_are_ahead_is_whole_again(both: Job) -> None:
    assert both.once().exit == 0
    backup = copied(both.state)
    change(both, 40)
    assert both.once().exit == 0
    restore(both.state, backup)

    ran = both.once("--json")

    assert ran.exit == 0, ran.all
    assert both.differences() == []
    change(both, 10, seed=2)
    assert both.once().exit == 0
    assert both.differences() == []


def test_a_mirror_set_back_that_outruns_the_position_of_an_absent_database_still_feeds_it_everything(both: Job) -> None:
    """The restored mirror gives the same numbers to other changes: a position of before must not be believed."""
    assert both.once().exit == 0
    backup = copied(both.state)
    change(both, 15)
    assert both.once().exit == 0
    restore(both.state, backup)
    change(both, 60, seed=2)
    assert both.once("--destination", "sqlite").exit == 0

    ran = both.once("--json")

    assert ran.exit == 0, ran.all
    assert both.differences() == []


def copied(state: Path) -> Path:
    return Path(shutil.copytree(state, state.with_name("backup")))


def restore(state: Path, backup: Path) -> None:
    shutil.rmtree(state)
    shutil.copytree(backup, state)
