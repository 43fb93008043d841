"""A real `requests` session whose every request the sandbox answers in process, so that pyairtable runs in virtual time."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from syncjob.core.ports import Clock
from syncjob.sandbox import ConnectionReset, Hang, Request, Sandbox

LONGEST = 10_000_000


def wire_session(sandbox: Sandbox, clock: Clock, on_request: Callable[[], None] = lambda: None) -> requests.Session:
    """The session. `on_request` is called before each request leaves."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", _InProcess(sandbox, clock, on_request))
    return session


class _InProcess(BaseAdapter):
    def __init__(self, sandbox: Sandbox, clock: Clock, on_request: Callable[[], None]) -> None:
        super().__init__()
        self._sandbox, self._clock, self._on_request = sandbox, clock, on_request

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        self._on_request()
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        try:
            found = self._sandbox.respond(Request.read(request.method or "", request.url or "", dict(request.headers), body))
        except ConnectionReset:
            raise requests.ConnectionError("reset") from None
        except Hang:
            self._clock.wait(60)
            raise requests.ReadTimeout("silence") from None
        if len(found.body) * found.repeat > LONGEST or found.pace * len(found.body) > 300:
            raise requests.ConnectionError("the answer's time is over")
        answer = requests.Response()
        answer.status_code, answer.headers, answer.raw = found.status, CaseInsensitiveDict(found.headers), BytesIO(found.body)
        answer.url, answer.request, answer._content = request.url or "", request, found.body
        return answer

    def close(self) -> None:
        """There is nothing to let go of."""
