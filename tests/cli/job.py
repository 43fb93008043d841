"""`python -m syncjob` as cron runs it: a process of its own, with nothing but an environment. Most are spared the start of Python."""

import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncjob.sandbox import Sandbox
from tests.postgres import PASSWORD

from .forks import PATIENCE, ROOT, forks
from .rows import difference

SCREEN = 24


@dataclass(frozen=True, slots=True)
class Ran:
    """How a process ended."""

    exit: int
    out: str
    err: str
    seconds: float
    asked: Mapping[str, int]
    """How many requests the sandbox had, by face."""

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def all(self) -> str:
        return self.out + self.err


@dataclass(slots=True)
class Job:
    """A set-up of syncjob in a folder, pointed at a sandbox."""

    folder: Path
    sandbox: Sandbox
    more: dict[str, str] = field(default_factory=dict)
    dsn: str | None = None
    through: Sequence[str] = ()
    """A program that starts ours, with its flags."""
    forked: bool = True
    """Whether a command that is called to its end may be spared the start of Python."""

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def sqlite(self) -> Path:
        return self.folder / "data.db"

    def once(self, *args: str, **env: str) -> Ran:
        """`once`, to its end."""
        return self.call("once", *args, **env)

    def call(self, *args: str, **env: str) -> Ran:
        """Any command, to its end. Whatever it prints, a traceback or a secret is never part of it."""
        before, began = self._counts(), time.monotonic()
        exit_, out, err = self._forked(args, env) if self.forked and not self.through else self._anew(args, env)
        self.check(out + err)
        return Ran(exit_, out, err, time.monotonic() - began, self._counts() - before)

    def _forked(self, args: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
        return forks().run(self.folder, self.env(**env), *args)

    def _anew(self, args: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
        with self.started(*args, **env) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    @contextmanager
    def started(self, *args: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """A command at work; killed at the end, if it has not ended by itself."""
        command, pipe = [*self.through, sys.executable, "-m", "syncjob", *args], subprocess.PIPE
        with subprocess.Popen(command, env=self.env(**env), cwd=self.folder, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def env(self, **more: str) -> dict[str, str]:
        """The whole environment; an empty value unsets a variable."""
        backends = {"DB_BACKEND": "sqlite,postgres", "PG_DSN": self.dsn} if self.dsn else {"DB_BACKEND": "sqlite"}
        places = {"SYNCJOB_STATE_DIR": "state", "SQLITE_PATH": "data.db", "HTTP_RETRIES": "2", "HTTP_BACKOFF_SECONDS": "0.01"}
        python = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        found = {**python, **self.sandbox.settings(), **backends, **places, **self.more, **more}
        return {name: value for name, value in found.items() if value}

    def check(self, text: str) -> None:
        """No traceback, no secret."""
        assert "Traceback" not in text, text
        keys = [value for name, value in self.env().items() if name.endswith(("_KEY", "_TOKEN"))]
        for secret in (*keys, PASSWORD, *(base64.b64encode(f"{key}:x".encode()).decode() for key in keys)):
            assert secret not in text, f"{secret} is in: {text}"

    def differences(self) -> Sequence[str]:
        """In what the destinations differ from the sandbox's truth."""
        databases = (self.sqlite, self.dsn) if self.dsn else (self.sqlite,)
        return [problem for database in databases for problem in difference(database, self.sandbox)]

    def _counts(self) -> Counter[str]:
        return Counter(exchange.face for exchange in list(self.sandbox.log))


def is_one_screen(text: str) -> bool:
    """Whether a message fits on a terminal of 24 lines, and no line is absurdly long."""
    lines = text.splitlines()
    return len(lines) <= SCREEN and all(len(line) <= 400 for line in lines)


def until(true: Callable[[], object], *, seconds: float = 60) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
