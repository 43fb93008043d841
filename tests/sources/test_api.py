import base64
import gc
import gzip
import json
import socket
import socketserver
import ssl
import struct
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
import responses
from requests import exceptions
from requests.structures import CaseInsensitiveDict
from urllib3 import exceptions as url3

from syncjob.core.errors import ConfigError, Forbidden, Later, Limited, SyncjobError, Transient
from syncjob.core.model import Answer, Call
from syncjob.http import answers
from syncjob.http.limits import SHARES, Limiter, Window
from syncjob.sandbox import Sandbox
from syncjob.sources.api import Api, basic, bearer

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


def test_an_answer_leaves_no_circular_garbage(new_api: Callable[..., Api]) -> None:
    with Sandbox(seed=1, tasks=1, conversations=0) as sandbox:
        api, found = new_api(sandbox.settings()["TEAMWORK_BASE_URL"], auth=basic(sandbox.settings()["TEAMWORK_API_KEY"])), list[int]()
        for _ in range(3):
            api.get(TASKS, "changes")
            found.append(gc.collect())
    assert found[1:] == [0, 0]


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


def test_an_answer_goes_without_the_garbage_collector_which_looks_seldom(
    web: responses.RequestsMock, new_api: Callable[..., Api]
) -> None:  # fmt: skip
    answer(web)
    gc.disable()
    gone = weakref.ref(new_api().get(TASKS, "changes"))
    gc.enable()
    assert gone() is None


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
    assert answers.asked_wait(CaseInsensitiveDict(headers), body, START) == seconds


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


def test_refused_again_and_again_is_told_as_such(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, 429, b"", Retry_After="1")
    api = new_api()
    error = failure(api)
    assert type(error) is Limited
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
    api = new_api(limiter=Limiter([Window(2, 20)], {"changes": 1.0}, clock))
    for _ in range(3):
        api.get(TASKS, "changes")
    assert clock.waits == [20]


def test_a_full_window_ends_the_step_when_it_is_long(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web)
    api = new_api(limiter=Limiter([Window(2, 900)], {"changes": 1.0}, clock))
    for _ in range(2):
        api.get(TASKS, "changes")
    error = failure(api)
    assert isinstance(error, Later)
    assert error.until == START + timedelta(seconds=900)
    assert clock.waits == []


def test_the_servers_own_limit_is_learned(web: responses.RequestsMock, new_api: Callable[..., Api], clock: Clock) -> None:
    answer(web, X_RateLimit_Limit="2")
    api = new_api(limiter=Limiter([Window(150, 60)], {"changes": 1.0}, clock, learns=True))
    for _ in range(2):
        api.get(TASKS, "changes")
    assert isinstance(failure(api), Later)


# --- the network, over real sockets ---


class Host(socketserver.ThreadingTCPServer):
    """Sends the replies in turn, the last one for ever, as they are. After `...` it keeps the line open and says no more."""

    daemon_threads = True

    def __init__(self, *replies: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Line)
        self.replies = list(replies)
        self.connections = 0
        self.test_over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> "Host":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.test_over.set()
        self.shutdown()
        self.server_close()


class Line(socketserver.StreamRequestHandler):
    server: Host

    def handle(self) -> None:
        self.server.connections += 1
        if self.rfile.peek(1).startswith(b"\x16"):  # type: ignore[attr-defined]  # a TLS greeting
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        while list(takewhile(bytes.strip, iter(self.rfile.readline, b""))):
            reply = self.server.replies.pop(0) if len(self.server.replies) > 1 else self.server.replies[0]
            if reply == RESET:
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            with suppress(ConnectionError):  # whoever has enough hangs up
                self.wfile.write(reply.removesuffix(b"..."))
            if reply.endswith(b"..."):
                self.server.test_over.wait()
            if b"keep-alive" not in reply:
                return


RESET = b"reset"
GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: keep-alive\r\n\r\n{"a": 1}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PING = Call("ping", "/ping")


def test_one_connection_serves_many_calls(new_api: Callable[..., Api]) -> None:
    with Host(GOOD) as host:
        api = new_api(host.url + "/")
        for _ in range(3):
            assert api.get(PING, "full").body == b'{"a": 1}'
        assert host.connections == 1


@pytest.mark.parametrize(
    "broken",
    [
        RESET,
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b'HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n{"a": 1}',
        CHUNKED + b'8\r\n{"a": 1}\r\n',
        CHUNKED + b'9\r\n{"a": 1}',
        CHUNKED + b'zz\r\n{"a": 1}\r\n0\r\n\r\n',
        b"no HTTP at all\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n{"a": 1}',
        b'HTTP/1.1 404 Not Found\r\nContent-Length: 80\r\n\r\n{"a": 1}',
    ],
)
def test_a_broken_answer_is_asked_for_again(new_api: Callable[..., Api], clock: Clock, broken: bytes) -> None:
    call = Call("ping", "/ping", accept=(404,))
    with Host(broken, broken, GOOD) as host:
        api = new_api(host.url)
        assert api.get(call, "changes").body == b'{"a": 1}'
        assert clock.waits == [1, 2]
        assert api.requests == 3
    with Host(broken) as host:
        error = failure(new_api(host.url), call)
        assert type(error) is Transient
        assert error.message.startswith(f"Teamwork ({host.url.removeprefix('http://')}): ")
        assert error.message.endswith("; 5 tries")


@pytest.mark.parametrize("status", [b"429 Too Many Requests\r\nRetry-After: 50", b"401 Unauthorized", b"403 Forbidden"])
def test_a_refusal_counts_even_if_its_body_breaks_off(new_api: Callable[..., Api], status: bytes) -> None:
    with Host(b"HTTP/1.1 " + status + b"\r\nContent-Length: 80\r\n\r\n{") as host:
        api = new_api(host.url)
        assert isinstance(failure(api), (Later, ConfigError, Forbidden))
        assert api.requests == 1


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nContent-L...", b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{..."])
def test_a_byte_now_and_then_does_not_hold_us(new_api: Callable[..., Api], sent: bytes) -> None:
    slow = Clock(tick=200)
    with Host(sent) as host:
        error = failure(new_api(host.url, clock=slow, total_deadline=300))
    assert error.message.endswith(": no complete answer in time; 1 try")


def test_silence_is_timed_out(new_api: Callable[..., Api]) -> None:
    with Host(b"...") as host:
        error = failure(new_api(host.url, timeout=0.05, tries=2))
    assert error.message.endswith(": no complete answer in time; 2 tries")


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_above_the_cap_is_given_up_at_once(new_api: Callable[..., Api], packed: bool) -> None:
    body = b'{"a": "' + b"x" * 3_000_000 + b'"}'
    kind = b"Content-Encoding: gzip\r\n" if packed else b""
    sent = gzip.compress(body) if packed else body
    with Host(b"HTTP/1.1 200 OK\r\n" + kind + b"Content-Length: %d\r\n\r\n" % len(sent) + sent) as host:
        assert new_api(host.url, max_bytes=len(body)).get(PING, "full").body == body
        api = new_api(host.url, max_bytes=len(body) - 1)
        error = failure(api)
        assert type(error) is Transient
        assert "the answer is larger than 3,000,008 bytes" in error.message
        assert api.requests == 1


def test_an_answer_above_a_calls_own_cap_counts_as_413(new_api: Callable[..., Api]) -> None:
    body = b'{"a": "' + b"x" * 300_000 + b'"}'
    with Host(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as host:
        api = new_api(host.url)
        call = Call("bodies", "/messages/1,2", accept=(413,), most_bytes=200_000)
        answer = api.get(call, "full")
        assert (answer.status, answer.body, api.requests) == (413, b"", 1)


@pytest.mark.parametrize("status", [b"301 Moved\r\nLocation: /elsewhere", b"422 Unprocessable", b"401 Unauthorized"])
def test_of_an_error_only_the_beginning_is_read(new_api: Callable[..., Api], status: bytes) -> None:
    with Host(b"HTTP/1.1 " + status + b"\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200_000 + b"...") as host:
        assert status[:3].decode() in failure(new_api(host.url)).message


def test_an_error_in_pieces_is_put_together(new_api: Callable[..., Api], clock: Clock) -> None:
    pieces = b'11\r\n{"error": {"param\r\n1c\r\ns": {"retry_after": 45}  }}\r\n\r\n0\r\n\r\n'
    with Host(b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces) as host:
        error = failure(new_api(host.url))
    assert isinstance(error, Later)
    assert error.until == START + timedelta(seconds=45)


def test_nobody_listening(new_api: Callable[..., Api]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    error = failure(new_api(url))
    assert type(error) is Transient
    assert error.message.endswith(": the connection was refused, or there is no way to it; 5 tries")
    assert error.hint == "Check TEAMWORK_BASE_URL and the network; the next run tries again."


def test_a_server_without_tls(new_api: Callable[..., Api]) -> None:
    with Host(GOOD) as host:
        assert failure(new_api(host.url.replace("http", "https"))).message.endswith(": no TLS connection; 5 tries")


def test_what_went_wrong_is_said_in_our_own_words() -> None:
    unknown = url3.NameResolutionError("acme", url3.HTTPError, socket.gaierror(-2, "no such name"))  # type: ignore[arg-type]
    bad_certificate = ssl.SSLCertVerificationError("self-signed")
    for cause, what in (
        (unknown, "its name is unknown"),
        (url3.ConnectTimeoutError("slow"), "no connection in time"),
        (url3.SSLError(bad_certificate), "its TLS certificate is not accepted"),
    ):
        error = exceptions.ConnectionError(url3.MaxRetryError(None, "/path?key=s3cret", cause))  # type: ignore[arg-type]
        assert answers.explain(error)[0] == what


def test_proxies_netrc_and_cookies_are_not_used(new_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Host(GOOD.replace(b"OK\r\n", b"OK\r\nSet-Cookie: user=other\r\n")) as host:
        api = new_api(host.url)
        api.get(PING, "changes")
        assert not api._session.cookies


@pytest.mark.parametrize("address", ["acme.teamwork.com", "ftp://acme.teamwork.com", "https://", "https://acme..com"])
def test_an_impossible_address_is_the_users_to_mend(new_api: Callable[..., Api], address: str) -> None:
    error = failure(new_api(address))
    assert isinstance(error, ConfigError)
    assert error.hint == "Check TEAMWORK_BASE_URL."


@pytest.mark.parametrize("token", ["twp_s3cret\n", "twp_s3cret\N{EURO SIGN}"])
def test_an_impossible_key_is_the_users_to_mend_and_not_shown(new_api: Callable[..., Api], token: str) -> None:
    with Host(GOOD) as host:
        error = failure(new_api(host.url, auth=bearer(token)), PING)
    assert isinstance(error, ConfigError)
    assert error.hint == "Check TEAMWORK_API_KEY."
