import base64
import gzip
import json
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from requests import exceptions

from syncjob.core.errors import ConfigError, Forbidden, Later, SyncjobError, Transient
from syncjob.core.model import Answer, Call
from syncjob.sources import answers
from syncjob.sources.api import Api, basic, bearer
from syncjob.sources.limits import SHARES, Limiter, Window

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BASE = "https://acme.teamwork.com"
KEY = "twp_s3cret"
TASKS = Call("tasks", "/projects/api/v3/tasks.json", (("pageSize", "250"), ("token", "s3cret-in-query")))


class Clock:
    """Time that passes only in `wait`, and by `tick` each time somebody measures."""

    def __init__(self, tick: float = 0.0) -> None:
        self.seconds, self.tick = 0.0, tick
        self.waits: list[float] = []
        self.stop_after = 10**6

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        self.seconds += self.tick
        return self.seconds

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.seconds += seconds
        return len(self.waits) > self.stop_after


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def new_api(clock: Clock) -> Iterator[Callable[..., Api]]:
    opened = []

    def make(base_url: str = BASE, **options: Any) -> Api:
        limiter = options.pop("limiter", None) or Limiter([Window(1000, 60)], SHARES, clock)
        options = {"key_setting": "TEAMWORK_API_KEY", "jitter": lambda: 1.0, **options}
        opened.append(Api("teamwork", base_url, options.pop("auth", basic(KEY)), limiter, options.pop("clock", clock), **options))
        return opened[-1]

    yield make
    for api in opened:
        api.close()


def answer(web: responses.RequestsMock, status: int = 200, body: Any = b"{}", **headers: str) -> None:
    web.add(responses.GET, BASE + TASKS.path, body=body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})


def failure(api: Api, call: Call = TASKS) -> SyncjobError:
    with pytest.raises(SyncjobError) as caught:
        api.get(call, "changes")
    shown = caught.value.message + caught.value.hint + "".join(traceback.format_exception(caught.value))
    for secret in (KEY, "s3cret", basic(KEY)["Authorization"].split()[1]):
        assert secret not in shown
    return caught.value


# --- answers ---


def test_an_answer_is_the_raw_body_with_the_servers_time(web: responses.RequestsMock, new_api: Callable[..., Api]) -> None:
    answer(web, body=b' {"tasks": []}\n', Date="Sun, 01 Mar 2026 11:59:58 GMT")
    api = new_api()
    assert api.get(TASKS, "changes") == Answer(200, b' {"tasks": []}\n', datetime(2026, 3, 1, 11, 59, 58, tzinfo=UTC))
    sent = web.calls[0].request
    assert sent.url == f"{BASE}{TASKS.path}?pageSize=250&token=s3cret-in-query"
    assert sent.headers["Authorization"] == "Basic " + base64.b64encode(b"twp_s3cret:x").decode()
    assert sent.headers["Accept"] == "application/json"
    assert sent.headers["User-Agent"].startswith("syncjob/")
    assert (api.requests, api.refused) == (1, 0)


def test_a_bearer_token_keeps_its_prefix() -> None:
    assert bearer("missive_pat-1") == {"Authorization": "Bearer missive_pat-1"}


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 99 Mar 2026 11:59:58 GMT"])
def test_an_unreadable_date_is_none(web: responses.RequestsMock, new_api: Callable[..., Api], date: str) -> None:
    answer(web, Date=date)
    assert new_api().get(TASKS, "changes").date is None


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_an_accepted_status_is_an_answer_whatever_its_body(web: responses.RequestsMock, new_api: Callable[..., Api], status: int) -> None:
    answer(web, status, b"")
    call = Call("task", TASKS.path, accept=(400, 403, 404, 410))
    assert new_api().get(call, "sweep") == Answer(status, b"")


@pytest.mark.parametrize("body", [b"", b"<html>log in</html>", b"[]", b'"text"', b"null", b'{"tasks": [', b"\xff\xfe\xff", b"[" * 100_000])
def test_what_is_not_a_json_object_is_a_failure_and_never_no_rows(
    web: responses.RequestsMock, new_api: Callable[..., Api], body: bytes
) -> None:
    answer(web, body=body)
    api = new_api()
    error = failure(api)
    assert type(error) is Transient
    assert error.message == "Teamwork (acme.teamwork.com): it answered something that is not JSON; 5 tries"
    assert api.requests == 5


# --- errors of status ---


def test_401_is_the_users_to_mend_and_not_repeated(web: responses.RequestsMock, new_api: Callable[..., Api]) -> None:
    answer(web, 401, json.dumps({"errors": [{"detail": f"bad key {KEY}, {basic(KEY)['Authorization']}"}]}))
    api = new_api()
    error = failure(api)
    assert isinstance(error, ConfigError)
    assert "bad key ***" in error.message
    assert error.hint == "Check TEAMWORK_API_KEY."
    assert api.requests == 1


def test_403_is_forbidden_and_not_repeated(web: responses.RequestsMock, new_api: Callable[..., Api]) -> None:
    answer(web, 403, b'{"MESSAGE": "no permission", "STATUS": "Error"}')
    api = new_api()
    error = failure(api)
    assert isinstance(error, Forbidden)
    assert error.message.endswith("it answered 403 to /projects/api/v3/tasks.json: no permission")
    assert api.requests == 1


@pytest.mark.parametrize("status", [204, 304, 400, 404, 410, 422])
def test_any_other_status_is_transient_and_not_repeated(web: responses.RequestsMock, new_api: Callable[..., Api], status: int) -> None:
    answer(web, status, b"")
    api = new_api()
    error = failure(api)
    assert type(error) is Transient
    assert f"it answered {status}" in error.message
    assert api.requests == 1


def test_a_redirect_names_its_target_and_is_not_followed(web: responses.RequestsMock, new_api: Callable[..., Api]) -> None:
    answer(web, 302, b"", Location="https://login.example.org/launchpad?continue=s3cret")
    api = new_api()
    error = failure(api)
    assert "redirects to login.example.org" in error.message
    assert error.hint == "Check TEAMWORK_BASE_URL."
    assert len(web.calls) == 1


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b'{"content": {"errors": [{"title": "bad gateway"}]}}'])
def test_5xx_is_repeated_with_doubling_waits_then_transient(
    web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock, body: bytes
) -> None:
    answer(web, 502, body)
    api = new_api(tries=8)
    error = failure(api)
    assert type(error) is Transient
    assert "it answered 502" in error.message
    assert "html" not in error.message
    assert error.message.endswith("; 8 tries")
    assert clock.waits == [1, 2, 4, 8, 16, 30, 30]


def test_the_jitter_shortens_a_wait(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, 500)
    answer(web)
    new_api(backoff=3.0, jitter=lambda: 0.25).get(TASKS, "changes")
    assert clock.waits == [0.75]


def test_no_new_try_begins_after_the_total_deadline(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, 500)
    assert failure(new_api(tries=100, total_deadline=60)).message.endswith("; 7 tries")
    assert clock.seconds == 1 + 2 + 4 + 8 + 16 + 30


def test_a_stop_request_ends_a_back_off_and_the_step(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, 500)
    clock.stop_after = 1
    api = new_api()
    error = failure(api)
    assert isinstance(error, Later)
    assert error.exit == 0
    assert api.requests == 2


def test_only_the_fields_made_for_it_are_quoted_and_shortly() -> None:
    for body in (
        {"error": {"message": "so it is"}},
        {"error": "so it is"},
        {"errors": [{"detail": "so it is", "title": "Bad Request"}]},
        {"errors": [{"title": " so\n it is\x07"}]},
        {"errors": [{}, 3, {"detail": "so it is"}]},
        {"MESSAGE": "so it is", "STATUS": "Error"},
        {"content": {"errors": [{"title": "so it is"}]}},
    ):
        assert answers.vendor_text(json.dumps(body).encode()) == "so it is", body
    for other in (b"", b"plain text", b"[]", b'{"body": "private"}', b'{"errors": {}}', b'{"error": {"message": {"body": "private"}}}'):
        assert answers.vendor_text(other) == "", other
    assert answers.vendor_text(b'{"MESSAGE": "%s"}' % (b"x" * 1000)) == "x" * 200
    assert answers.vendor_text(b'{"MESSAGE": "%sabcdef"}' % (b"x" * 197), hide=["abcdef"]) == "x" * 197 + "***"


def test_missives_largest_limit_is_read_from_its_400() -> None:
    assert answers.largest_limit(b'{"error": {"message": "max \'limit\' value is 10"}}') == 10
    assert answers.largest_limit(b'{"error": {"message": "missing mailbox"}}') is None


# --- refusals ---


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, b"", 7),
        ({"Retry-After": "0"}, b"", 1),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:20 GMT"}, b"", 20),
        ({"Retry-After": "3"}, b'{"error": {"params": {"retry_after": 12}}}', 12),
        ({}, b'{"error": {"params": {"retry_after": "5"}}}', 5),
        ({"Retry-After": "9", "X-RateLimit-Reset": "60"}, b"", 9),
        ({"X-RateLimit-Reset": "25"}, b"", 25),
        ({"x-rate-limit-reset": "0"}, b"", 1),
        ({"X-RateLimit-Reset": "900"}, b"", 120),
        ({"X-RateLimit-Reset": str(int(START.timestamp()) + 17)}, b"", 17),
        ({"X-RateLimit-Reset": str(int(START.timestamp()) - 17)}, b"", 1),
        ({}, b"", 60),
        ({}, b'{"error": {"params": []}}', 60),
        ({"Retry-After": "soon", "X-RateLimit-Reset": "nan"}, b"too many", 60),
        ({"Retry-After": "999999999"}, b"", 86_400),
    ],
)
def test_how_long_a_refusal_asks_to_wait(headers: dict[str, str], body: bytes, seconds: float) -> None:
    assert answers.asked_wait(exceptions.requests.structures.CaseInsensitiveDict(headers), body, START) == seconds


def test_a_short_refusal_is_waited_out(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, 429, b"", Retry_After="7")
    answer(web, body=b'{"ok": 1}')
    api = new_api()
    assert api.get(TASKS, "changes").body == b'{"ok": 1}'
    assert sum(clock.waits) == 7
    assert (api.requests, api.refused) == (2, 1)


def test_a_refusals_date_counts_from_the_servers_clock(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, 429, b"", Date="Sun, 01 Mar 2026 09:00:00 GMT", Retry_After="Sun, 01 Mar 2026 09:00:09 GMT")
    answer(web)
    new_api().get(TASKS, "changes")
    assert sum(clock.waits) == 9


@pytest.mark.parametrize("status", [429, 400])
def test_a_long_refusal_ends_the_step_and_holds_the_next_ones(
    web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock, status: int
) -> None:
    answer(web, status, b"", X_Rate_Limit_Remaining="0", X_Rate_Limit_Reset="31")
    api = new_api(tries=1)
    for _ in range(2):
        error = failure(api)
        assert isinstance(error, Later)
        assert error.until == START + timedelta(seconds=31)
        assert error.message == "Teamwork (acme.teamwork.com) is not asked again before 2026-03-01 12:00:31Z"
    assert clock.waits == []
    assert (api.requests, api.refused) == (1, 1)


def test_refused_again_and_again_is_transient(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, 429, b"", Retry_After="1")
    api = new_api()
    error = failure(api)
    assert type(error) is Transient
    assert "too many requests; 5 tries" in error.message
    assert sum(clock.waits) == 4
    assert api.refused == 5


def test_a_5xx_that_names_a_long_wait_is_obeyed(web: responses.RequestsMock, new_api: Callable[..., Api]) -> None:
    answer(web, 503, b"", Retry_After="600")
    api = new_api()
    assert isinstance(failure(api), Later)
    assert (api.requests, api.refused) == (1, 0)


def test_a_full_window_is_waited_for_when_it_is_short(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web)
    api = new_api(limiter=Limiter([Window(2, 20)], {"changes": 1.0}, clock))  # type: ignore[dict-item]
    for _ in range(3):
        api.get(TASKS, "changes")
    assert clock.waits == [20]


def test_a_full_window_ends_the_step_when_it_is_long(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web)
    api = new_api(limiter=Limiter([Window(2, 900)], {"changes": 1.0}, clock))  # type: ignore[dict-item]
    for _ in range(2):
        api.get(TASKS, "changes")
    error = failure(api)
    assert isinstance(error, Later)
    assert error.until == START + timedelta(seconds=900)
    assert clock.waits == []


def test_the_servers_own_limit_is_learned(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, X_RateLimit_Limit="2")
    api = new_api(limiter=Limiter([Window(150, 60)], {"changes": 1.0}, clock, learns=True))  # type: ignore[dict-item]
    for _ in range(2):
        api.get(TASKS, "changes")
    assert isinstance(failure(api), Later)


# --- the network, over real sockets ---

type_of_script = Callable[[socket.socket], None]


@contextmanager
def server(*script: bytes) -> Iterator[str]:
    """Answers each request with the next bytes of the script (the last one for ever) and hangs up, or holds the line after `...`."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        remaining = list(script)
        held = []
        while not done.is_set():
            connection, _ = listener.accept()
            with connection if not remaining[0].endswith(b"...") else _held(connection, held):
                asked = b""
                while b"\r\n\r\n" not in asked and (more := connection.recv(65_536)):
                    asked += more
                connection.sendall(remaining[0].removesuffix(b"..."))
            remaining = remaining[1:] or remaining
        for connection in held:
            connection.close()

    @contextmanager
    def _held(connection: socket.socket, held: list[socket.socket]) -> Iterator[None]:
        held.append(connection)
        yield

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        done.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()
        listener.close()
