"""Where contenders work: the server with the answers, PostgreSQL, an empty database and folder for each."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import requests

from tests.postgres import PostgresServer, new_database

from .kinds import Source
from .server import CONTROL, SOURCES

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Place:
    """A contender's own folder and database, and where the server is."""

    folder: Path
    dsn: str
    site: str

    def written(self) -> int:
        """Rows inserted, updated and deleted so far, by PostgreSQL's counters, in tables that still exist and are nobody's bookkeeping."""
        query = (
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables "
            r"WHERE relname NOT LIKE '\_dlt%' AND relname <> 'syncjob_position'"
        )
        with closing(psycopg2.connect(self.dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return int(cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class Stage:
    """What all contenders share."""

    source: Source
    site: str
    server: PostgresServer
    folder: Path

    @contextmanager
    def place(self) -> Iterator[Place]:
        """An empty database and folder for one of them, removed in the end."""
        with new_database(self.server.dsn) as dsn, tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Place(Path(folder), dsn, self.site)


class Counts:
    """The server's control: which data set it shows, and how many requests it had."""

    def __init__(self, site: str) -> None:
        self._url = site + CONTROL

    def show(self, changed_at: float) -> None:
        """The data set that changed then; 0: the one before that."""
        requests.get(f"{self._url}at/{changed_at}", timeout=600).raise_for_status()

    def take(self) -> int:
        """The number of requests since the last time. Every one of them was answered."""
        found = requests.get(f"{self._url}counts", timeout=60).json()
        assert found["unknown"] == 0, f"{found['unknown']} requests had no answer"
        return int(found["requests"])


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """The server of a process of its own; where it answers."""
    command = [sys.executable, "-m", "tests.benchmarks.server", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server with PostgreSQL's own defaults: what is committed is on the disk."""
    server = PostgresServer(as_installed=True)
    server.start()
    try:
        yield server
    finally:
        server.remove()


@contextmanager
def staged(source: str, number: int) -> Iterator[Stage]:
    """The server with so many `tasks` or `mails`, and PostgreSQL."""
    now = time.time()
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        postgres() as server,
        serving(source, str(number), str(now)) as site,
    ):
        yield Stage(SOURCES[source](number, now), site, server, Path(folder))
