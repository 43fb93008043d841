"""Commands in processes that are forked from one which has imported all of syncjob: that is more than half of what a short one costs."""

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0

SERVER = """
import gc, importlib, json, os, pkgutil, sys
import psycopg2, sqlalchemy.dialects.postgresql
import syncjob

for each in pkgutil.walk_packages(syncjob.__path__, "syncjob."):
    importlib.import_module(each.name)
gc.freeze()
for line in sys.stdin:
    order = json.loads(line)
    if not (child := os.fork()):
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["env"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{order['prints']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        exec(order["first"])
        sys.exit(syncjob.cli.main(order["args"]))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """Runs commands one after another. Only what happens while Python starts is not as in a process of its own."""

    def __init__(self) -> None:
        env, pipe = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}, subprocess.PIPE
        self._prints = TemporaryDirectory()
        self._server = subprocess.Popen([sys.executable, "-c", SERVER], env=env, stdin=pipe, stdout=pipe, text=True)

    def run(self, folder: Path, env: Mapping[str, str], *args: str, first: str = "") -> tuple[int, str, str]:
        """A command's exit code, and what it printed to both. `first`: code that its process runs before. Killed if it takes too long."""
        assert self._server.stdin is not None
        order = {"folder": str(folder), "env": env, "args": args, "first": first, "prints": self._prints.name}
        print(json.dumps(order), file=self._server.stdin, flush=True)
        late = Timer(PATIENCE, os.kill, (self._answer(), signal.SIGKILL))
        late.start()
        exit_ = self._answer()
        late.cancel()
        out, err = ((Path(self._prints.name) / name).read_text() for name in ("out", "err"))
        return exit_, out, err

    def _answer(self) -> int:
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())

    def stop(self) -> None:
        """Let the process go."""
        self._server.communicate()
        self._prints.cleanup()


@cache
def forks() -> Forks:
    """The one for all tests in this process: their commands have nothing in common but their modules."""
    found = Forks()
    atexit.register(found.stop)
    return found
