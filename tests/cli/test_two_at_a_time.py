"""One process at a time works on a state folder."""

import json
import threading
from collections.abc import Iterator

import pytest

from syncjob.sandbox import Request

from .job import Job, is_one_screen


class Gate:
    """Holds every request of the sandbox until it is opened."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Event(), threading.Event()

    def __call__(self, request: Request) -> None:
        self.reached.set()
        self._open.wait(60)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(job: Job) -> Iterator[Gate]:
    gate = Gate()
    job.sandbox.before_request.append(gate)
    yield gate
    gate.open()


def test_a_second_run_ends_at_once_names_the_first_and_harms_nothing(job: Job, gate: Gate) -> None:
    with job.started("once") as first:
        assert gate.reached.wait(30)

        second = job.once()
        as_json = job.once("--json")
        quiet = job.once("--quiet")

        assert first.poll() is None, "the first run must go on"
        gate.open()
        out, err = first.communicate(timeout=60)
    for ran in (second, as_json, quiet):
        assert ran.exit == 75
        assert str(first.pid) in ran.err
        assert ran.seconds < 10
        assert is_one_screen(ran.all)
    assert first.returncode == 0, out + err
    assert job.differences() == []
    found = json.loads(as_json.out)
    assert (found["version"], found["exit"]) == (1, 75)
    assert str(first.pid) in found["error"]
    assert found["hint"]


def test_status_is_told_while_a_run_is_at_work(job: Job, gate: Gate) -> None:
    with job.started("once") as first:
        assert gate.reached.wait(30)

        ran = job.call("status", "--json")

        gate.open()
        first.communicate(timeout=60)
    assert ran.exit == 0, ran.all
    assert first.returncode == 0
