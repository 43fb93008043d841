"""`run` as a process: it starts, polls, listens to signals and to systemd, and stops soon, wherever it is."""

import signal
import socket
from pathlib import Path

import pytest

from syncjob.sandbox import Fault, Kind, Sandbox
from tests.cli.job import Job
from tests.cli.rows import read

from .service import running, until

SOON = 5.0


def test_it_polls_at_every_interval_and_stops_with_exit_0(job: Job, sandbox: Sandbox) -> None:
    with running(job) as service:
        service.until_printed("destination=sqlite written")
        until(lambda: len(sandbox.requests("teamwork")) > 6)
        task = next(iter(sandbox.truth.tasks()))
        sandbox.world.teamwork.edit_task(int(task), name="seen while it runs")
        until(lambda: job.differences() == [])
        assert service.stop(signal.SIGINT) < SOON
        assert service.process.returncode == 0
    assert "state folder" in service.out.splitlines()[0]


@pytest.mark.parametrize("fault", [Fault(Kind.SLOW, delay=60), Fault(Kind.ERROR_EMPTY), Fault(Kind.LIMIT, retry_after=20)], ids=str)
def test_it_stops_soon_from_a_slow_request_a_back_off_and_a_limit(job: Job, sandbox: Sandbox, fault: Fault) -> None:
    sandbox.faults.always(".*", fault)
    with running(job, HTTP_BACKOFF_SECONDS="60") as service:
        until(lambda: sandbox.requests("teamwork") and sandbox.requests("missive"))
        assert service.stop() < SOON
        assert service.process.returncode == 0


def test_a_source_that_hangs_keeps_the_other_from_nothing(job: Job, sandbox: Sandbox) -> None:
    sandbox.faults.always(".*", Fault(Kind.HANG), face="missive")
    with running(job) as service:
        until(lambda: len(sandbox.requests("teamwork")) > 6)
        service.stop()


def test_a_hangup_polls_at_once(job: Job, sandbox: Sandbox) -> None:
    with running(job, POLL_INTERVAL_SECONDS="3600") as service:
        service.until_printed("destination=sqlite written")
        until(lambda: len(sandbox.requests("missive")) >= 4)
        asked = len(sandbox.requests("teamwork"))
        service.process.send_signal(signal.SIGHUP)
        until(lambda: len(sandbox.requests("teamwork")) > asked)
        service.stop()


def test_a_second_one_names_the_first(job: Job) -> None:
    with running(job) as service:
        service.until_printed("teamwork.tasks")
        ran = job.once()
        assert ran.exit == 75
        assert f"process {service.process.pid} (run" in ran.err
        service.stop()


def test_systemd_hears_that_it_is_ready_alive_and_stopping(job: Job, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(20)
        with running(job, NOTIFY_SOCKET=address, WATCHDOG_USEC="400000") as service:
            told = [listening.recv(999).decode()]
            while "WATCHDOG=1" not in told:
                told.append(listening.recv(999).decode())
            service.stop()
            while told[-1] != "STOPPING=1":
                told.append(listening.recv(999).decode())
    assert told[0].startswith("READY=1\n")


def test_what_only_the_user_can_mend_ends_it_at_the_start(job: Job) -> None:
    assert job.call("run", "--destination", "oracle").exit == 2


def test_fresh_data_does_not_wait_for_a_long_backfill_of_the_other_source(job: Job, sandbox: Sandbox) -> None:
    sandbox.faults.always("/v1/conversations", Fault(Kind.SLOW, delay=60), face="missive")
    task = next(iter(sandbox.truth.tasks()))
    with job.started("once") as process:
        until(lambda: len(sandbox.requests("teamwork")) > 3)
        sandbox.world.teamwork.edit_task(int(task), name="while the mails are read")
        until(lambda: job.sqlite.exists() and "while the mails are read" in read(job.sqlite)["tasks"].get(task, {}).get("title", ""))
        assert process.poll() is None
