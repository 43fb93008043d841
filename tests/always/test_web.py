"""The web server: it serves, bounds what it takes, and ends without a trace."""

import socket
import threading
import time
from collections.abc import Iterable

import pytest
import requests
from waitress.trigger import trigger

from syncjob import web
from syncjob.web import Environ, StartResponse, answer, serving


def echo(environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """Says how much came."""
    return answer(start, "200 OK", str(len(environ["wsgi.input"].read())))


def test_it_serves_until_the_end_of_the_block() -> None:
    before = threading.active_count()
    with serving(echo, "0", flag="--door", extra="hints") as url:
        assert requests.post(url, data=b"x" * 1000, timeout=5).text == "1000"
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    assert threading.active_count() == before


def test_it_closes_nothing_that_is_written_to_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    pull = trigger._physical_pull

    def slow(self: trigger) -> None:
        pull(self)  # its thread awakes, and finds that it shall end
        time.sleep(0.2)
        pull(self)

    with serving(echo, "0", flag="--door", extra="hints") as url:
        assert requests.post(url, data=b"x", timeout=5).text == "1"
        monkeypatch.setattr(trigger, "_physical_pull", slow)


def test_a_body_that_is_too_large_is_refused_told_or_not() -> None:
    with serving(echo, "0", flag="--door", extra="hints") as url:
        assert requests.post(url, data=b"x" * (web.MOST_BYTES + 1), timeout=5).status_code == 413
        assert requests.post(url, data=iter([b"x" * (web.MOST_BYTES + 1)]), timeout=5).status_code == 413
        assert requests.post(url, data=b"x" * web.MOST_BYTES, timeout=5).text == str(web.MOST_BYTES)


def test_who_trickles_is_let_go_and_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MOST_SECONDS", 1)
    with serving(echo, "0", flag="--door", extra="hints") as url:
        where = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(where, timeout=0.1) as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n")
            for _ in range(90):
                assert requests.post(url, data=b"x", timeout=5).text == "1"
                try:
                    slow.sendall(b"x")
                    if slow.recv(1) == b"":
                        return
                except ConnectionError:
                    return  # let go while a letter was on its way
                except TimeoutError:
                    continue
    raise AssertionError("it was served for ever")
