"""Commands in processes that are forked from one which has imported all of syncjob: that is more than half of what a short one costs."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SERVER = """
import gc, json, os, sys
import psycopg2, sqlalchemy.dialects.postgresql
import syncjob.build, syncjob.check, syncjob.dead, syncjob.health, syncjob.once, syncjob.status
from syncjob.cli import main

gc.freeze()
for line in sys.stdin:
    order = json.loads(line)
    if not (child := os.fork()):
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["env"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        exec(order["first"])
        sys.exit(main(order["args"]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """Runs commands one after another. Only what happens while Python starts is not as in a process of its own."""

    def __init__(self, root: Path) -> None:
        command, pipe = [sys.executable, "-W", "error", "-c", SERVER], subprocess.PIPE
        self._server = subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True)

    def run(self, folder: Path, env: Mapping[str, str], *args: str, first: str = "") -> tuple[int, str]:
        """A command's exit code, and all that it printed. `first`: code that its process runs before."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps({"folder": str(folder), "env": env, "args": args, "first": first}), file=self._server.stdin, flush=True)
        exit_ = int(self._server.stdout.readline())
        return exit_, "".join((folder / name).read_text() for name in ("out", "err"))

    def stop(self) -> None:
        """Let the process go."""
        self._server.communicate()
