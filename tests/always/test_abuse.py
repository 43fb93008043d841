"""Everything that can be done to the door for hints, on a real process: refused or ignored, and nothing else is disturbed."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
import requests

from syncjob.sandbox import Sandbox
from syncjob.web import MOST_BYTES, MOST_CONNECTIONS
from tests.cli.job import Job

from . import test_health
from .service import Service, running, until
from .webhooks import BODY, SETTINGS, door, hint, signed

POLL_SECONDS = 3600
MALFORMED = (
    b"\x00\xff" * 500,
    b"POST /hints/teamwork HTTP/9.9\r\n\r\n",
    b"POST /hints/teamwork HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /hints/teamwork HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"A: " + b"b" * 99_999,
)


@dataclass(frozen=True, slots=True)
class Victim:
    """A service whose next poll is far, so that every request to the sandbox is a hint's doing."""

    service: Service
    sandbox: Sandbox
    hints: str
    health: str

    @property
    def where(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.hints.rpartition(":")[2])

    @property
    def polls(self) -> int:
        return len(self.sandbox.requests("teamwork"))

    def raw(self, text: bytes) -> bytes:
        """The first line of the answer to these bytes; empty for none."""
        with socket.create_connection(self.where, timeout=20) as connection:
            connection.sendall(text)
            with suppress(OSError):  # it has answered, and hung up already
                connection.shutdown(socket.SHUT_WR)
            return connection.recv(200).partition(b"\r\n")[0]


@pytest.fixture
def victim(job: Job, sandbox: Sandbox) -> Iterator[Victim]:
    rhythm = {"POLL_INTERVAL_SECONDS": str(POLL_SECONDS), "STALE_AFTER_SECONDS": "600", "HINT_MIN_INTERVAL_SECONDS": "2"}
    with running(job, "--hints", "0", "--health", "0", **rhythm, **SETTINGS) as service:
        service.until_printed("destination=sqlite written")
        until(lambda: job.differences() == [])
        yield Victim(service, sandbox, door(service), test_health.door(service))
        service.stop()
        assert service.process.returncode == 0


def test_nothing_that_is_done_to_the_door_makes_a_poll_or_disturbs_the_rest(victim: Victim) -> None:
    before = victim.polls
    assert hint(victim.hints, "teamwork", headers={}) == 401
    assert hint(victim.hints, "teamwork", headers=signed("teamwork", secret="forged")) == 401
    assert hint(victim.hints, "missive", headers=signed("teamwork")) == 200, "as good as unsigned, which is a trial of Missive's"
    assert hint(victim.hints, "teamwork", body=b"x" * (MOST_BYTES + 1)) == 413
    for text in MALFORMED:
        assert not victim.raw(text).startswith(b"HTTP/1.1 2")
    with ExitStack() as burst:
        for _ in range(2 * MOST_CONNECTIONS):
            burst.enter_context(socket.create_connection(victim.where, timeout=20)).sendall(b"POST /hints/teamwork HTTP/1.1\r\n")
        assert requests.get(f"{victim.health}/healthz", timeout=20).status_code == 200
    assert victim.polls == before
    until(lambda: hint(victim.hints, "teamwork") == 200)
    until(lambda: victim.polls > before)


def test_a_hint_that_is_replayed_again_and_again_is_a_poll_now_and_then(victim: Victim) -> None:
    before, headers = victim.polls, signed("teamwork")
    with requests.Session() as session:
        answers = {session.post(f"{victim.hints}/hints/teamwork", data=BODY, headers=headers, timeout=20).status_code for _ in range(300)}
    assert answers == {200}
    until(lambda: victim.polls > before)
    assert victim.polls - before <= 2 * 10, "two requests each, and no more than one in two seconds"
    assert victim.service.job.differences() == []
