"""What would grow for ever is cut back, and what is open in one place is not closed by another."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from syncjob.core.model import TASKS
from syncjob.destinations import SqlDestination, sqlite_url
from syncjob.drive import WallClock
from syncjob.store import Store
from tests.walks.bench import Bench

NOW = datetime(2026, 9, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TAKE_THE_FILE = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
"""
"""What SQLite does when it wants a file for itself alone."""


def is_held(path: Path) -> bool:
    """Whether another process finds the database in use."""
    return subprocess.run([sys.executable, "-c", TAKE_THE_FILE, path], check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_walks_are_forgotten_after_a_while_but_for_the_newest_of_each_kind(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=3)
    bench.run("teamwork")
    for _ in range(5):
        bench.cycle("teamwork", wait=DAY.total_seconds())
    kinds = [walk["kind"] for walk in bench.walks(TASKS)]
    bench.store.tidy(bench.clock.now(), 2.5 * DAY)
    with closing(sqlite3.connect(tmp_path / "mirror.db")) as connection:
        left = [kind for (kind,) in connection.execute("SELECT kind FROM walks ORDER BY id")]
    assert kinds == ["full", *["changes"] * 5]
    assert left == ["full", *["changes"] * 3]
    bench.close()


def test_tidying_is_for_once_a_day(tmp_path: Path) -> None:
    store = Store(tmp_path / "mirror.db")
    for at, noted in ((NOW, NOW), (NOW + 0.9 * DAY, NOW), (NOW + DAY, NOW + DAY), (NOW - DAY, NOW - DAY)):
        store.tidy(at, DAY)
        with store.read() as tx:
            assert tx.mirror.meta("tidied") == noted.isoformat()
    store.close()


def test_the_log_gives_its_room_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=300)
    bench.run("teamwork")
    log = tmp_path / "mirror.db-wal"
    before = log.stat().st_size
    bench.store.tidy(NOW, DAY)
    assert before > 0
    assert log.stat().st_size == 0
    bench.close()


def test_the_mirror_opened_twice_in_a_process_stays_held(tmp_path: Path) -> None:
    path = tmp_path / "mirror.db"
    first = Store(path)
    assert is_held(path)
    Store(path).close()
    assert is_held(path)
    first.close()
    assert not is_held(path)


def test_the_destination_opened_twice_in_a_process_stays_held(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    first, second = (SqlDestination("sqlite", sqlite_url(path), clock=WallClock(None)) for _ in range(2))  # type: ignore[arg-type]
    first.prepare()
    assert is_held(path)
    second.prepare()
    second.close()
    assert is_held(path)
    first.close()
