"""Case i: a first delivery into Airtable, in the sandbox with Airtable's real limits: five requests of ten rows a second."""

import math
import os
import sys
import tempfile
from pathlib import Path

from syncjob.sandbox import Limits, Sandbox

from .chains import took
from .contenders import FAST
from .place import ROOT
from .results import Run

AIRTABLE = "syncjob, Airtable"
ROWS_PER_SECOND = 50


def deliver(tasks: int) -> Run:
    """The seconds are those of the writes. Raises if a request was refused, or a row is missing in the end."""
    limits = Limits(airtable=Limits.documented().airtable)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Sandbox(seed=7, tasks=tasks, conversations=0, limits=limits) as sandbox:
        env = {"PATH": os.environ["PATH"], "HOME": folder, "PYTHONPATH": str(ROOT), **_settings(sandbox)}
        syncjob = (sys.executable, "-m", "syncjob")
        took([[*syncjob, "init", "airtable"]], env, Path(folder))
        told = took([[*syncjob, "once", "--quiet"]], env, Path(folder))
        asked, rows = sandbox.requests("airtable"), len(sandbox.truth.tasks())
        held = len(sandbox.world.airtable.base.table("Tasks").records)
    assert {exchange.status for exchange in asked} == {200}, "a request too many"
    assert held == rows, f"{held} of {rows} rows"
    writes = [exchange.at for exchange in asked if exchange.method == "PATCH"]
    seconds = (max(writes) - min(writes)) * len(writes) / (len(writes) - 1)
    allowed = math.ceil(rows / 10) + math.ceil(rows / 1000)
    return Run("i", AIRTABLE, rows, seconds, told["cpu"], told["memory"], len(writes), allowed, None)


def _settings(sandbox: Sandbox) -> dict[str, str]:
    """Only tasks, and Airtable's limit as it is by default."""
    left_out = ("AIRTABLE_RATE_LIMIT", "MISSIVE_API_TOKEN")
    given = {name: value for name, value in sandbox.settings().items() if name not in left_out}
    return given | {"DB_BACKEND": "airtable", "TEAMWORK_RATE_LIMIT": FAST}
