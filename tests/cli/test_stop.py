"""SIGTERM: out within five seconds, whatever the process waits for, and nothing is lost."""

import signal
import time
from contextlib import closing
from subprocess import Popen

import psycopg2
import pytest

from syncjob.sandbox import Fault, Kind

from .job import Job, until

SOON = 5.0
BACK_OFF = {"HTTP_BACKOFF_SECONDS": "20", "HTTP_RETRIES": "5"}
LIST, MESSAGES = "/conversations$", "/messages"


def stop(job: Job, process: "Popen[str]") -> None:
    """End it, as an administrator or systemd would."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    took = time.monotonic() - began
    job.check(out + err)
    assert process.returncode == 143, out + err
    assert took < SOON


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        pytest.param(Fault(Kind.ERROR_HTML), MESSAGES, id="in a back-off"),
        pytest.param(Fault(Kind.LIMIT, retry_after=12), LIST, id="held off by the vendor"),
        pytest.param(Fault(Kind.SLOW, delay=0.5), MESSAGES, id="in a slow answer"),
        pytest.param(Fault(Kind.HANG), LIST, id="in a silence"),
    ],
)
def test_a_wait_for_the_api_ends_at_once(job: Job, fault: Fault, path: str) -> None:
    job.sandbox.faults.always(path, fault, face="missive")
    with job.started("once", **BACK_OFF) as process:
        until(lambda: any(path.strip("$") in each.path for each in job.sandbox.requests("missive")))
        time.sleep(0.3)
        stop(job, process)
    job.sandbox.faults.clear()
    until(lambda: job.once().exit == 0 and job.differences() == [])


def test_a_transaction_that_another_program_holds_up_is_given_up(both: Job) -> None:
    assert both.once().exit == 0
    task = int(next(iter(both.sandbox.truth.tasks())))
    both.sandbox.world.teamwork.edit_task(task, name="changed while the table is locked")
    with closing(psycopg2.connect(both.dsn)) as other, closing(psycopg2.connect(both.dsn)) as watch:
        other.cursor().execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        watch.autocommit = True
        with both.started("once") as process, watch.cursor() as cursor:
            until(lambda: cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted") or cursor.fetchall())
            stop(both, process)
    assert both.once().exit == 0
    assert both.differences() == []
