"""The sandbox over real HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from syncjob.sandbox import Fault, Kind, Sandbox
from syncjob.sandbox.serve import instructions

HEADERS = {"Authorization": "Bearer missive_pat-sandbox"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tasks=20, conversations=10) as started:
        yield started


@pytest.fixture
def connection(sandbox: Sandbox) -> Iterator[http.client.HTTPConnection]:
    port = urlsplit(sandbox.url).port
    opened = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    yield opened
    opened.close()


def get(connection: http.client.HTTPConnection, path: str = "/v1/users") -> bytes:
    connection.request("GET", path, headers=HEADERS)
    return connection.getresponse().read()


def test_one_connection_serves_many_requests_without_delay(sandbox: Sandbox, connection: http.client.HTTPConnection) -> None:
    get(connection)
    before, began = connection.sock, time.perf_counter()
    for _ in range(50):
        assert json.loads(get(connection))["users"]
    assert connection.sock is before
    assert time.perf_counter() - began < 1.0  # a delayed ACK would cost 40 ms each time
    assert sandbox.counts["missive", 200] == 51


def test_headers_and_parameters_arrive(sandbox: Sandbox, connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/v1/users?limit=2&offset=1", headers=HEADERS)
    answer = connection.getresponse()
    assert len(json.loads(answer.read())["users"]) == 2
    assert answer.headers["Date"].endswith("GMT")
    assert sandbox.log[-1].params == {"limit": "2", "offset": "1"}


@pytest.mark.parametrize("kind", [Kind.ANSWER_LOST, Kind.RESET_BEFORE_BODY, Kind.RESET_WITHIN_BODY])
def test_a_reset_breaks_the_connection(sandbox: Sandbox, connection: http.client.HTTPConnection, kind: Kind) -> None:
    sandbox.faults.at(1, Fault(kind))
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        get(connection)
    connection.close()
    assert get(connection)


def test_a_truncated_answer_has_the_length_of_what_is_left(sandbox: Sandbox, connection: http.client.HTTPConnection) -> None:
    sandbox.faults.at(1, Fault(Kind.TRUNCATED_JSON))
    with pytest.raises(json.JSONDecodeError):
        json.loads(get(connection))
    assert json.loads(get(connection))


def test_a_slow_answer_trickles(sandbox: Sandbox, connection: http.client.HTTPConnection) -> None:
    sandbox.faults.at(1, Fault(Kind.SLOW, delay=0.001))
    began = time.perf_counter()
    body = get(connection)
    assert json.loads(body)
    assert time.perf_counter() - began > 0.001 * len(body)


def test_an_endless_answer_never_ends(sandbox: Sandbox, connection: http.client.HTTPConnection) -> None:
    sandbox.faults.at(1, Fault(Kind.ENDLESS))
    connection.request("GET", "/v1/users", headers=HEADERS)
    answer = connection.getresponse()
    assert answer.length == 2**31
    assert len(answer.read(1_000_000)) == 1_000_000


def test_a_hanging_connection_says_nothing(sandbox: Sandbox) -> None:
    sandbox.faults.at(1, Fault(Kind.HANG))
    opened = http.client.HTTPConnection("127.0.0.1", urlsplit(sandbox.url).port, timeout=0.2)
    with pytest.raises(TimeoutError):
        get(opened)
    opened.close()


def test_stopping_ends_open_slow_and_hanging_connections_and_frees_the_port() -> None:
    sandbox = Sandbox(tasks=5, conversations=2).start()
    port = urlsplit(sandbox.url).port
    assert port is not None
    sandbox.faults.at(1, Fault(Kind.HANG))
    sandbox.faults.at(1, Fault(Kind.SLOW, delay=60))
    opened = [http.client.HTTPConnection("127.0.0.1", port, timeout=5) for _ in range(3)]
    for connection in opened:
        connection.request("GET", "/v1/users", headers=HEADERS)
    while len(sandbox.log) < 3:
        time.sleep(0.01)
    began = time.perf_counter()
    sandbox.stop()
    assert time.perf_counter() - began < 2
    for connection in opened:
        connection.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
    assert not [thread for thread in threading.enumerate() if thread.name == "sandbox"]


def test_many_threads_get_right_answers_while_the_world_changes(sandbox: Sandbox) -> None:
    bodies: list[bytes] = []

    def ask() -> None:
        opened = http.client.HTTPConnection("127.0.0.1", urlsplit(sandbox.url).port, timeout=5)
        for _ in range(20):
            bodies.append(get(opened, "/v1/conversations?all=true&limit=50"))
        opened.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        sandbox.world.missive.add_conversation()
    for thread in threads:
        thread.join()
    assert all(json.loads(body)["conversations"] for body in bodies)
    assert len(bodies) == 80


def test_the_instructions_can_be_pasted(sandbox: Sandbox) -> None:
    lines = instructions(sandbox)
    assert f"export MISSIVE_BASE_URL='{sandbox.url}/v1'" in lines
    assert lines[-1] == "python -m syncjob once"
