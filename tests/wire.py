"""A `requests` session without a network: the sandbox answers in process, so that the real retries and judgements run in virtual time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from requests import exceptions
from requests.structures import CaseInsensitiveDict

from syncjob.core.ports import Clock
from syncjob.http.limits import Limiter
from syncjob.sandbox import ConnectionReset, Hang, Request, Response, Sandbox
from syncjob.sources.api import Api, basic, bearer

CHUNK = 65_536


class WireSession:
    """What `Api` needs of a session. `on_request` is called before each request leaves."""

    def __init__(self, sandbox: Sandbox, clock: Clock, *, deadline: float = 300.0, on_request: Callable[[], None] = lambda: None) -> None:
        self._sandbox, self._clock, self._deadline, self._on_request = sandbox, clock, deadline, on_request

    def get(
        self, url: str, *, params: Sequence[tuple[str, str]], headers: Mapping[str, str], timeout: tuple[float, float], **_: Any
    ) -> "WireResponse":
        """The answer; raises as `requests` would when none comes."""
        self._on_request()
        try:
            response, broken_at = self._sandbox.respond(Request("GET", urlsplit(url).path, dict(params), headers)), None
        except ConnectionReset as reset:
            if reset.response is None or not reset.sent:
                raise exceptions.ConnectionError("reset") from None
            response, broken_at = reset.response, reset.sent
        except Hang:
            self._clock.wait(timeout[1])
            raise exceptions.ReadTimeout("silence") from None
        return WireResponse(response, broken_at, self._clock, self._deadline)

    def close(self) -> None:
        """There is nothing to let go of."""


class WireResponse:
    """An answer on its way: it may break off after some bytes, trickle until nobody waits any longer, or never end."""

    def __init__(self, response: Response, broken_at: int | None, clock: Clock, deadline: float) -> None:
        self.status_code, self.headers = response.status, CaseInsensitiveDict(response.headers)
        self._response, self._broken_at, self._clock, self._deadline = response, broken_at, clock, deadline

    def __enter__(self) -> "WireResponse":
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to let go of."""

    def iter_content(self, size: int = CHUNK) -> Iterator[bytes]:
        """The body in pieces."""
        body = self._response.body
        slow = self._response.pace * len(body)
        self._clock.wait(min(slow, self._deadline))
        if slow > self._deadline:
            raise exceptions.ConnectionError("the answer's time is over")
        if self._broken_at is not None:
            yield body[: self._broken_at]
            raise exceptions.ChunkedEncodingError("reset")
        for _ in range(self._response.repeat):
            yield from (body[start : start + size] for start in range(0, len(body), size))


def wired_api(face: str, sandbox: Sandbox, clock: Clock, session: Any, limiter: Limiter, **options: Any) -> Api:
    """One face's API, with the real client before a session like the one above."""
    url, auth = {
        "teamwork": (sandbox.teamwork_url, basic(sandbox.teamwork_key)),
        "missive": (sandbox.missive_url, bearer(sandbox.missive_token)),
    }[face]
    return Api(face, url, auth, limiter, clock, key_setting=f"{face.upper()}_KEY", session=session, **options)
