"""One vendor's HTTP API: calls become answers, within the budget, tried again while that may help.

What an error becomes follows from what the caller does next (see `core.errors`): a refused key is the user's to mend,
403 concerns one call, a wait over half a minute ends the step, everything else is tried again, at once or by the
next run. No answer ever means "nothing there" because something went wrong.
"""

import base64
import io
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Never
from urllib.parse import urljoin

import requests
from requests import exceptions
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from urllib3.exceptions import HTTPError, LocationValueError

from syncjob.core.errors import ConfigError, Forbidden, Later, Limited, Transient
from syncjob.core.model import Answer, Call, WalkKind
from syncjob.core.ports import Clock
from syncjob.http import answers
from syncjob.http.limits import SLICE_SECONDS, Limiter, Window
from syncjob.http.wire import open_session

CONNECT_SECONDS = 10.0
PATIENCE_SECONDS = float(SLICE_SECONDS)
"""A longer wait ends the step, and the limiter remembers it for the next one."""

CHUNK = 65_536
TOO_LARGE = 413


def basic(key: str) -> dict[str, str]:
    """Teamwork's way: the key as user name, any password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:x".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    """Missive's way. Its `missive_pat-` is part of the token."""
    return {"Authorization": f"Bearer {token}"}


class Api:
    """GETs against one base URL, one at a time. Counts what it sends, and how much of that was over the limit."""

    def __init__(
        self,
        name: str,
        base_url: str,
        auth_headers: Mapping[str, str],
        limiter: Limiter,
        clock: Clock,
        *,
        key_setting: str,
        tries: int = 5,
        backoff: float = 1.0,
        timeout: float = 60.0,
        total_deadline: float = 300.0,
        max_bytes: int = 64 * 1024 * 1024,
        session: requests.Session | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`timeout` bounds connecting and each silence, `total_deadline` one answer; no new try begins after it, either."""
        self.requests = self.refused = 0
        self._host = f"{name.capitalize()} ({answers.host(base_url)})"
        self._base_url, self._url_setting, self._key_setting = base_url.rstrip("/"), f"{name.upper()}_BASE_URL", key_setting
        self._headers = {"User-Agent": f"syncjob/{_version()}", "Accept": "application/json", **auth_headers}
        self._secrets = tuple(filter(None, _secrets(auth_headers)))
        self._limiter, self._clock, self._jitter = limiter, clock, jitter
        self._tries, self._backoff, self._deadline, self._max_bytes = tries, backoff, total_deadline, max_bytes
        self._timeouts = min(CONNECT_SECONDS, timeout), timeout
        self._session = session or open_session(clock, total_deadline)
        self._until = 0.0
        self._again_and_again = Retrying(  # once: it is a circle, and many of them would have to be looked for
            retry=retry_if_exception_type(_Again),
            stop=lambda state: state.attempt_number >= self._tries or self._clock.monotonic() >= self._until,
            wait=self._wait_after,
            sleep=self._pause,
            retry_error_callback=self._give_up,
        )

    def get(self, call: Call, urgency: WalkKind) -> Answer:
        """The answer to a call.

        Raises ConfigError (401, an impossible address), Forbidden, Later (a wait over half a minute, or the program
        was asked to stop during a shorter one), else Transient.
        """
        self._until = self._clock.monotonic() + self._deadline
        return self._again_and_again(self._try, call, urgency)

    def budget_left(self) -> Mapping[Window, int]:
        """How many requests each of the vendor's windows still allows."""
        return self._limiter.left()

    def close(self) -> None:
        self._session.close()

    def _try(self, call: Call, urgency: WalkKind) -> Answer:
        while wait := self._limiter.reserve(urgency):
            self._pause(wait)
        self.requests += 1
        answer, headers = self._exchange(call)
        self._heed(answer, headers)
        self._judge(call, answer, headers)
        return answer

    def _exchange(self, call: Call) -> tuple[Answer, Mapping[str, str]]:
        """What came back, whatever it was. Errors are renamed `from None`: the library's own show queries and headers."""
        try:
            with self._session.get(
                self._base_url + call.path,
                params=call.params,
                headers=self._headers,
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                status, headers = response.status_code, response.headers
                body = self._body(response, call.most_bytes or self._max_bytes, needed=status == 200 or status in call.accept)
                if body is None and call.most_bytes:
                    return Answer(TOO_LARGE, b"", answers.date(headers)), headers
                if body is None:
                    raise Transient(f"{self._host}: the answer is larger than {self._max_bytes:,} bytes")
                return Answer(status, body, answers.date(headers)), headers
        except (exceptions.InvalidURL, exceptions.MissingSchema, exceptions.InvalidSchema, LocationValueError):
            raise ConfigError(f"{self._host}: this is not a web address", hint=f"Check {self._url_setting}.") from None
        except (exceptions.InvalidHeader, UnicodeError):
            raise ConfigError(f"{self._host}: the key has characters that no key has", hint=f"Check {self._key_setting}.") from None
        except (exceptions.RequestException, HTTPError) as error:
            raise _Again(*answers.explain(error)) from None

    def _body(self, response: requests.Response, most: int, *, needed: bool) -> bytes | None:
        """The body; None: it is larger than that. Of an error the beginning will do, as far as it comes."""
        body, cap = io.BytesIO(), most if needed else CHUNK
        try:
            for chunk in response.iter_content(CHUNK):
                body.write(chunk)
                if body.tell() > cap:
                    break
        except (exceptions.RequestException, HTTPError):
            if needed:
                raise
        if needed and body.tell() > cap:
            return None
        return body.getvalue()

    def _heed(self, answer: Answer, headers: Mapping[str, str]) -> None:
        """Keep what the answer says about the budget, for all processes, and stop at a refusal."""
        self._limiter.learn(answers.limit(headers))
        refused = answers.is_refused(answer.status, headers)
        if not refused and not (answer.status >= 500 and "Retry-After" in headers):
            return
        self.refused += refused
        now = self._clock.now()
        wait = answers.asked_wait(headers, answer.body, answer.date or now)
        self._limiter.not_before(now + timedelta(seconds=wait))
        if wait > PATIENCE_SECONDS:
            self._pause(wait)
        if refused:
            raise _Again("too many requests", "The next run tries again. Something else may be using this key.", paced=True)

    def _judge(self, call: Call, answer: Answer, headers: Mapping[str, str]) -> None:
        """Return if this is an answer, else raise what it is instead."""
        status = answer.status
        if status == 200 and answer.payload is None:
            raise _Again("it answered something that is not JSON", f"If this stays, check {self._url_setting}.")
        if status == 200 or status in call.accept:
            return
        what = self._described(call, answer)
        if status == 401:
            raise ConfigError(f"{self._host} does not accept the key: {what}", hint=f"Check {self._key_setting}.")
        if status == 403:
            raise Forbidden(
                f"{self._host} refuses access: {what}", hint="Give the key's user the right to read this; the next run tries again."
            )
        if "Location" in headers:
            target = answers.host(urljoin(self._base_url, headers["Location"]))
            raise Transient(f"{self._host} redirects to {target}: {what}", hint=f"Check {self._url_setting}.")
        if status >= 500:
            raise _Again(what, answers.BROKEN)
        raise Transient(f"{self._host}: {what}", hint=f"If this stays, check {self._url_setting}.")

    def _described(self, call: Call, answer: Answer) -> str:
        """The status and the vendor's own words."""
        text = answers.vendor_text(answer.body, hide=self._secrets)
        return f"it answered {answer.status} to {call.path}" + (f": {text}" if text else "")

    def _pause(self, seconds: float) -> None:
        """Wait a little. A long wait ends the step instead, and so does a request to stop."""
        until = self._clock.now() + timedelta(seconds=seconds)
        if seconds > PATIENCE_SECONDS or self._clock.wait(seconds):
            raise Later(f"{self._host} is not asked again before {until:%Y-%m-%d %H:%M:%S}Z", until=until)

    def _wait_after(self, state: RetryCallState) -> float:
        """Doubling, with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"""
        ceiling = min(PATIENCE_SECONDS, self._backoff * 2.0 ** (state.attempt_number - 1))
        return 0.0 if _failure(state).paced else ceiling * self._jitter()

    def _give_up(self, state: RetryCallState) -> Never:
        failure, count = _failure(state), state.attempt_number
        hint = failure.hint.format(setting=self._url_setting)
        error = Limited if failure.paced else Transient
        raise error(f"{self._host}: {failure.what}; {count} {'try' if count == 1 else 'tries'}", hint=hint) from None


class _Again(Exception):
    """Worth another try. `paced`: the limiter knows when, so that no back-off is needed."""

    def __init__(self, what: str, hint: str, *, paced: bool = False) -> None:
        super().__init__(what)
        self.what, self.hint, self.paced = what, hint, paced


def _failure(state: RetryCallState) -> _Again:
    failure = state.outcome and state.outcome.exception()
    assert isinstance(failure, _Again)  # `get` retries nothing else
    return failure


def _secrets(headers: Mapping[str, str]) -> Iterator[str]:
    """What no text may repeat: the last word of each header, and the key inside it if it is `basic`."""
    for value in headers.values():
        scheme, _, word = value.rpartition(" ")
        yield word
        if scheme == "Basic":
            yield base64.b64decode(word).decode().partition(":")[0]


@cache
def _version() -> str:
    try:
        return version("syncjob")
    except PackageNotFoundError:  # run from a checkout
        return "0"
