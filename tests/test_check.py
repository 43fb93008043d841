"""`check` says of everything whether a run would find it, and changes nothing."""

import io
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from syncjob.build import Choices
from syncjob.check import run_check
from syncjob.once import run_once
from syncjob.report import Report
from syncjob.sandbox import Fault, Kind, Sandbox
from syncjob.settings import load

LOOKS = ("settings", "state folder", "mirror", "disk", "teamwork", "missive", "sqlite")


class Bench:
    def __init__(self, folder: Path, sandbox: Sandbox, **more: str) -> None:
        self.folder, self.sandbox, self.more = folder, sandbox, {"SQLITE_PATH": "db/data.db", **more}

    def once(self, **more: str) -> int:
        return run_once(load(self._environment(more), cwd=self.folder), Choices(), Report(out=io.StringIO()), threading.Event()).exit

    def check(self, **more: str) -> tuple[int, str]:
        out = io.StringIO()
        exit_ = run_check(load(self._environment(more), cwd=self.folder), Report(out=out, err=out), threading.Event())
        return exit_, out.getvalue()

    def files(self) -> Mapping[str, bytes]:
        """Everything on disk, but for the log of requests: they count, whoever asked."""
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".limits"}

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**self.sandbox.settings(), **self.more, **more}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Sandbox(1, 10, 3) as sandbox:
        yield Bench(tmp_path, sandbox)


def test_all_is_well_before_the_first_run_and_after_it_and_nothing_is_changed(bench: Bench) -> None:
    exit_, text = bench.check()
    assert (exit_, [line.partition(":")[0] for line in text.splitlines() if ": ok, " in line]) == (
        0, [*LOOKS[:6], "folder of SQLITE_PATH", "sqlite"],
    )  # fmt: skip
    assert list(bench.folder.iterdir()) == []

    assert bench.once() == 0
    before, asked = bench.files(), len(bench.sandbox.log)
    exit_, text = bench.check()
    assert (exit_, bench.files()) == (0, before)
    assert len(bench.sandbox.log) - asked == 4
    assert all(f"{look}: ok, " in text for look in LOOKS)


@pytest.mark.parametrize(
    ("more", "exit_", "part", "words"),
    [
        ({"TEAMWORK_API_KEY": "tkn_wr0ng"}, 2, "teamwork", "TEAMWORK_API_KEY"),
        ({"MISSIVE_BASE_URL": "http://127.0.0.1:9/v1"}, 3, "missive", "MISSIVE_BASE_URL"),
        ({"SYNCJOB_STATE_DIR": "/proc/state"}, 2, "state folder", "SYNCJOB_STATE_DIR"),
        ({"SQLITE_PATH": "/proc/db/data.db"}, 2, "folder of SQLITE_PATH", "SQLITE_PATH"),
        ({"DB_BACKEND": "postgres", "PG_DSN": "postgresql://x:longpassword@127.0.0.1:9/x"}, 3, "postgres", "PG_DSN"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do_and_the_rest_is_looked_at_all_the_same(
    bench: Bench, more: Mapping[str, str], exit_: int, part: str, words: str
) -> None:
    found, text = bench.check(**more)
    assert found == exit_
    lines = text.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith(f"{part}: ") and ": ok, " not in line]
    assert words in lines[place + 1]
    assert sum(": ok, " in line for line in lines) >= 5


def test_another_users_key_is_told(bench: Bench) -> None:
    assert bench.once() == 0
    with Sandbox(4, 5, 2) as other:
        exit_, text = Bench(bench.folder, other).check()
    assert exit_ == 2
    assert "missive: the key acts for missive user" in text
    assert "--new-identity" in text


def test_a_list_that_may_not_be_read_is_told(bench: Bench) -> None:
    bench.sandbox.faults.always("/tasks.json", Fault(Kind.FORBIDDEN), face="teamwork")
    exit_, text = bench.check()
    assert exit_ == 3
    assert "refuses access" in text
    assert "the right to read this" in text


@pytest.mark.parametrize(("hours", "exit_", "words"), [(3, 0, "clock is off by "), (30, 3, "the server says that it is")])
def test_a_clock_that_is_off_is_told(bench: Bench, hours: float, exit_: int, words: str) -> None:
    bench.sandbox.faults.always(".*", Fault(Kind.DATE_SKEWED, hours=hours), face="teamwork")
    found, text = bench.check()
    assert found == exit_
    assert words in text


def test_a_mirror_of_a_newer_version_and_a_damaged_one_are_told(bench: Bench) -> None:
    assert bench.once() == 0
    mirror = bench.folder / "state" / "mirror.db"
    with closing(sqlite3.connect(mirror)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "newer syncjob" in bench.check()[1]
    mirror.write_bytes(b"no database" * 1000)
    exit_, text = bench.check()
    assert exit_ == 2
    assert "is damaged" in text


def test_foreign_tables_are_told_and_left_alone(bench: Bench) -> None:
    place = bench.folder / "db" / "data.db"
    place.parent.mkdir()
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute("CREATE TABLE emails (subject TEXT)")
    exit_, text = bench.check()
    assert exit_ == 2
    assert "sqlite: SQLite has tables that are not syncjob's" in text
    with closing(sqlite3.connect(place)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("emails",)]


def test_a_database_user_without_rights_is_told(bench: Bench, fresh_postgres: str) -> None:
    reader = f"reader{abs(hash(fresh_postgres)) % 1000}"
    with closing(psycopg2.connect(fresh_postgres)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"DROP ROLE IF EXISTS {reader}")
        cursor.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'readers-password'")
    parts = urlsplit(fresh_postgres)
    dsn = fresh_postgres.replace(f"{parts.username}:{parts.password}", f"{reader}:readers-password")
    more = {"DB_BACKEND": "postgres"}
    assert bench.check(**more, PG_DSN=fresh_postgres)[0] == 0
    exit_, text = bench.check(**more, PG_DSN=dsn)
    assert (exit_, "grant it" in text) == (2, True)

    assert bench.once(**more, PG_DSN=fresh_postgres) == 0
    with closing(psycopg2.connect(fresh_postgres)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
    exit_, text = bench.check(**more, PG_DSN=dsn)
    assert (exit_, "grant it" in text) == (2, True)
    assert bench.check(**more, PG_DSN=fresh_postgres)[0] == 0
    with closing(psycopg2.connect(fresh_postgres)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


def test_a_full_disk_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncjob.check.LEAST_FREE", 10**18)
    exit_, text = bench.check()
    assert exit_ == 3
    assert "disk: only " in text
