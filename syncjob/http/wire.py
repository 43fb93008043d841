"""A session that sends what it is told, nothing else, and that no server can hold up for ever."""

import http.client
import io
from collections.abc import Callable, Iterator
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from syncjob.core.ports import Clock
from syncjob.http.answers import TooLong


def open_session(clock: Clock, deadline: float, *, most: int | None = None) -> requests.Session:
    """A session without proxies, netrc, cookies and redirects, whose answers are read for at most `deadline` seconds. One of more than
    `most` bytes, unpacked, raises TooLong: None where the caller counts them."""
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # a key and an old cookie might be two users
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(clock, deadline, most))
    return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: else requests reads the whole body of a redirect, of any size, even if it must not follow it."""


class _Adapter(HTTPAdapter):
    """Gives every answer a deadline, headers included: time-outs of sockets start anew with every byte."""

    def __init__(self, clock: Clock, deadline: float, most: int | None) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._clock, self._deadline, self._most = clock, deadline, most

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(*args, **kwargs)
        if self._most is not None:
            raw: Any = response.raw
            raw.stream = partial(_at_most, self._most, raw, raw.stream)  # by which requests reads every body
        return response

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = partial(self._connect, type(pool).ConnectionCls)
        return pool

    def _connect(self, connection_class: Callable[..., Any], **options: Any) -> Any:
        connection = connection_class(**options)
        connection.response_class = self._response  # http.client's own hook, inherited by urllib3
        return connection

    def _response(self, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(*args, **kwargs)
        until = self._clock.monotonic() + self._deadline
        response.fp = io.BufferedReader(_Timed(response.fp.detach(), self._clock, until))
        return response


def _at_most(most: int, raw: Any, stream: Callable[..., Iterator[bytes]], *args: Any, **kwargs: Any) -> Iterator[bytes]:
    size = 0
    for chunk in stream(*args, **kwargs):
        size += len(chunk)
        if size > most:
            raw.close()
            raise TooLong
        yield chunk


class _Timed(io.RawIOBase):
    """A socket's file that times out as a whole."""

    def __init__(self, file: io.RawIOBase, clock: Clock, until: float) -> None:
        self._file, self._clock, self._until = file, clock, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._clock.monotonic() > self._until:
            raise TimeoutError
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
