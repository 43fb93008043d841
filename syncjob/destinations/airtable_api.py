"""Airtable's Web API through pyairtable, within the budget, tried again while that may help.

pyairtable's own retries would give up after 3 s, where a lock-out lasts 30 s, and would hide why: so they are off, and what
an error becomes is decided here, as `sources.api` does it. Nothing is imported and nothing connects before the first call.
"""

import base64
import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Never, TypeVar

from requests import HTTPError, RequestException, Response, Session
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from urllib3.exceptions import HTTPError as BrokenAnswer

from syncjob.core.errors import ConfigError, Later, Transient, Unwritable
from syncjob.core.model import Json, parsed_object
from syncjob.core.ports import Clock, Ledger
from syncjob.destinations.airtable_budget import count_call
from syncjob.http import answers
from syncjob.http.limits import Limiter
from syncjob.http.wire import open_session

T = TypeVar("T")
LOCKOUT_SECONDS = 30.0
"""After one request too many, Airtable refuses all for so long: https://airtable.com/developers/web/api/rate-limits"""

OVERTAKEN_SECONDS = 30.0
"""A write that was not answered in time may still be under way, and two at once would both create the record."""

QUOTA_SECONDS = 3600.0
"""A spent month is asked about again after so long: the plan may have been changed."""

SPENT = "spent_until"
ANSWER_SECONDS, ANSWER_BYTES = 300.0, 64 * 1024 * 1024
CONNECT_SECONDS = 10.0
RECORD_ID = re.compile(r"rec[0-9A-Za-z]{14}")
NO_LIST = "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"


class Unprocessable(Exception):
    """A 422, or a 404 of a record: what was sent does not fit, and nothing of it was written."""

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(message or type_)
        self.type, self.message = type_, message or type_


class TooLarge(Exception):
    """A 413."""


class Unreadable(Transient):
    """A 422 to a question: a field that it names may be another one now."""


class AirtableApi:
    """Calls to one base, one at a time."""

    def __init__(
        self, key: str, base: str, limiter: Limiter, clock: Clock, ledger: Ledger, *, url: str, content_url: str, tries: int = 5,
        backoff: float = 1.0, timeout: float = 60.0, monthly_calls: int | None = None, jitter: Callable[[], float] = random.random,
        session: Callable[[], Session] | None = None,
    ) -> None:  # fmt: skip
        self.requests = 0
        self._key, self._base_id, self._url, self._content_url = key, base, url, content_url
        self._limiter, self._clock, self._ledger, self._monthly_calls = limiter, clock, ledger, monthly_calls
        self._tries, self._backoff, self._timeout, self._jitter = tries, backoff, timeout, jitter
        self._host = f"Airtable ({answers.host(url)})"
        self._open = session or partial(open_session, clock, ANSWER_SECONDS, most=ANSWER_BYTES)
        self._base: Any = None

    # --- the calls ---

    def tables(self) -> Sequence[Json]:
        """The base's tables with their fields."""

        def read() -> Sequence[Json]:
            found: Sequence[Json] = self._api.get(self._meta("tables"))["tables"]
            if not all(isinstance(field["type"], str) for table in found for field in table["fields"]):
                raise ValueError
            return found

        try:
            return self._call(read)
        except Unprocessable as error:
            raise self._unreadable(error) from None

    def create_table(self, name: str, fields: Sequence[Mapping[str, Json]]) -> None:
        """Make a table. Raises Unprocessable."""
        self._call(lambda: self._api.post(self._meta("tables"), json={"name": name, "fields": list(fields)}))

    def create_field(self, table: str, field: Mapping[str, Json]) -> None:
        """Make a field. Raises Unprocessable."""
        self._call(lambda: self._api.post(self._meta("tables", table, "fields"), json=dict(field)))

    def upsert(self, table: str, records: Sequence[Mapping[str, Json]], key: str) -> tuple[list[str], Collection[str]]:
        """Write at most ten records, all or none; their ids in the same order, and the ids of those that were made.

        Raises Unprocessable and TooLarge.
        """

        def send() -> tuple[list[str], Collection[str]]:
            answer = self._table(table).batch_upsert([dict(each) for each in records], [key], typecast=True)
            written = answer["records"]
            if [record["fields"].get(key) for record in written] != [record["fields"][key] for record in records]:
                raise ValueError  # not the answer to what was asked: a wrong id would be written to for ever
            return [record["id"] for record in written], answer["createdRecords"]

        return self._call(send, large=True)

    def pages(self, table: str, fields: Sequence[str], *, formula: str | None = None) -> Sequence[Json]:
        """All records of a table, or those that a formula chooses, with some of their fields."""

        def read(options: dict[str, Any]) -> Json:
            found = self._api.request("POST", self._table(table).urls.records_post, json=options)
            if not all(isinstance(record["fields"], dict) for record in found["records"]):
                raise ValueError
            return {"records": found["records"], "offset": found.get("offset")}

        asked = {"fields": list(fields)} | ({"filterByFormula": formula} if formula else {})
        while True:
            try:
                return self._all(lambda options: self._call(lambda: read(options)), asked)
            except Unprocessable as error:
                if error.type != NO_LIST:  # its offset expired: begin anew
                    raise self._unreadable(error) from None

    def record(self, table: str, record: str) -> Json:
        """One record. Raises Unprocessable where it is gone."""
        return self._call(lambda: self._table(table).get(record))

    def update(self, table: str, record: str, fields: Mapping[str, Json]) -> None:
        """Write cells of one record. Raises Unprocessable and TooLarge."""
        self._call(lambda: self._table(table).update(record, dict(fields)), large=True)

    def upload(self, record: str, field: str, name: str, media_type: str, content: bytes) -> Sequence[Json]:
        """Append a file to a record's cell; all files that are in it now. Raises Unprocessable, TooLarge, and Lost: it may be there."""
        body = {"contentType": media_type, "filename": name, "file": base64.b64encode(content).decode()}
        path = f"{self._content_url}/v0/{self._base_id}/{record}/{field}/uploadAttachment"

        def send() -> Sequence[Json]:
            (cell,) = self._api.post(path, json=body)["fields"].values()
            return list(cell)

        return self._call(send, repeat=False, large=True)

    def close(self) -> None:
        """Let go of the connection."""
        if self._base is not None:
            self._api.session.close()
        self._base = None

    def _all(self, page: Callable[[dict[str, Any]], Json], asked: dict[str, Any]) -> Sequence[Json]:
        found: list[Json] = []
        while True:
            answer = page(asked)
            found += answer["records"]
            if not answer.get("offset"):
                return found
            asked = {**asked, "offset": answer["offset"]}

    # --- pyairtable ---

    @property
    def _api(self) -> Any:
        return self._opened().api

    def _table(self, table: str) -> Any:
        return self._opened().table(table)

    def _meta(self, *path: str) -> str:
        return str(self._api.build_url("meta", "bases", self._base_id, *path))

    def _opened(self) -> Any:
        if self._base is None:
            from pyairtable import Api  # slow to import, and a quiet cycle never comes here

            api = Api(self._key, timeout=(int(CONNECT_SECONDS), int(self._timeout) or 1), retry_strategy=None, endpoint_url=self._url)
            headers = dict(api.session.headers)
            api.session = self._open()
            api.session.headers.update(headers)
            self._base = api.base(self._base_id)
        return self._base

    # --- one call ---

    def _call(self, send: Callable[[], T], *, repeat: bool = True, large: bool = False) -> T:
        """What `send` returns. Without `repeat`, a call that may have been done is not done again: Lost. `large`: what is sent may
        be too much, TooLarge; a 413 to anything else says nothing of it."""
        again = Retrying(
            retry=retry_if_exception_type(_Again),
            stop=stop_after_attempt(self._tries),
            wait=self._wait_after,
            sleep=self._pause,
            retry_error_callback=self._give_up,
        )
        try:
            found: T = again(self._try, send, repeat)
        except TooLarge as error:
            if large:
                raise
            raise Transient(f"{self._host}: it answered {error}", hint=answers.BROKEN) from None
        return found

    def _try(self, send: Callable[[], T], repeat: bool) -> T:
        while wait := self._limiter.reserve("changes"):
            self._pause(wait)
        count_call(self._ledger, self._clock.now(), self._monthly_calls)
        self.requests += 1
        found: Exception
        try:
            return send()
        except HTTPError as error:
            found = self._judged(error.response)
        except (RequestException, BrokenAnswer) as error:
            what, hint = answers.explain(error)
            found = _Again(what, hint, sent=hint == answers.BROKEN, wait=OVERTAKEN_SECONDS if what == answers.NO_ANSWER else None)
        except (ValueError, TypeError, KeyError):  # no JSON, none of ours, or nothing at all
            found = _Again("it answered something that is not its own", answers.BROKEN, sent=True)
        finally:
            with suppress(Unwritable):  # it counts from when it was booked, then: what came back says more
                self._limiter.answered()
        if isinstance(found, _Again) and found.sent and not repeat:
            found = Lost(found.what)
        raise found from None

    def _judged(self, answer: Response) -> Exception:
        """What an error's answer becomes."""
        status, (type_, message) = answer.status_code, said(answer.content)
        words = f"{status} {type_}".rstrip() + (f": {message}" if message else "")
        if status == 429 or (status >= 500 and "Retry-After" in answer.headers):
            return self._over_limit(answer, type_, words)
        if status >= 500:
            return _Again(words, answers.BROKEN, sent=True)
        if status == 413:
            return TooLarge(words)
        if status == 422 or (status == 404 and type_ == "MODEL_ID_NOT_FOUND"):
            return Unprocessable(type_, message)
        if status == 401:
            return ConfigError(f"{self._host} does not accept the token: {words}", hint="make a new one, and set AIRTABLE_API_KEY")
        if status in (403, 404):
            return ConfigError(
                f"{self._host} does not show the base or the table to this token: {words}",
                hint="check AIRTABLE_BASE_ID; the token needs data.records:read, data.records:write and schema.bases:read on this base",
            )
        return Transient(f"{self._host}: it answered {words}", hint="If this stays, check AIRTABLE_BASE_URL.")

    def _unreadable(self, error: Unprocessable) -> Unreadable:
        return Unreadable(f"{self._host} cannot be read: {error.message}", hint=answers.BROKEN)

    def _over_limit(self, answer: Response, type_: str, words: str) -> Exception:
        now = self._clock.now()
        if type_ == "PUBLIC_API_BILLING_LIMIT_EXCEEDED":
            until = now + timedelta(seconds=QUOTA_SECONDS)
            self._limiter.not_before(until)
            self._ledger.note(SPENT, until.isoformat())
            return self._spent()
        there = answers.date(answer.headers) or now  # a date to wait for is one of the server's clock
        told = answers.asked_wait(answer.headers, answer.content, there) if "Retry-After" in answer.headers else 0.0
        wait = max(LOCKOUT_SECONDS, told) if answer.status_code == 429 else told
        self._limiter.not_before(now + timedelta(seconds=wait))
        return _Again(words, "The next run tries again. Something else may be using this base.", sent=answer.status_code != 429, wait=0.0)

    def _spent(self) -> Transient:
        return Transient(
            f"{self._host}: this month's API calls of the workspace are used up",
            hint="wait for the next month, change the plan, or set AIRTABLE_DELIVER_SECONDS higher; nothing is lost",
        )

    def _pause(self, seconds: float) -> None:
        """Wait a little. A long wait ends the step instead, and so does a request to stop."""
        until = self._clock.now() + timedelta(seconds=seconds)
        if seconds > LOCKOUT_SECONDS and self._clock.now().isoformat() < (self._ledger.recall(SPENT) or ""):
            raise self._spent()
        if seconds > LOCKOUT_SECONDS or self._clock.wait(seconds):
            raise Later(f"{self._host} is not asked again before {until:%Y-%m-%d %H:%M:%S}Z", until=until)

    def _wait_after(self, state: RetryCallState) -> float:
        wait = _failure(state).wait
        ceiling = min(LOCKOUT_SECONDS, self._backoff * 2.0 ** (state.attempt_number - 1))
        return ceiling * self._jitter() if wait is None else wait

    def _give_up(self, state: RetryCallState) -> Never:
        failure, count = _failure(state), state.attempt_number
        hint = failure.hint.format(setting="AIRTABLE_BASE_URL")
        raise Transient(f"{self._host}: {failure.what}; {count} {'try' if count == 1 else 'tries'}", hint=hint) from None


class Lost(Exception):
    """Nobody knows whether the call was done."""


class _Again(Exception):
    """Worth another try, after `wait` seconds if that is known. `sent`: it may have been done."""

    def __init__(self, what: str, hint: str, *, sent: bool, wait: float | None = None) -> None:
        super().__init__(what)
        self.what, self.hint, self.sent, self.wait = what, hint, sent, wait


def _failure(state: RetryCallState) -> _Again:
    failure = state.outcome and state.outcome.exception()
    assert isinstance(failure, _Again)  # `_call` retries nothing else
    return failure


def said(body: bytes) -> tuple[str, str]:
    """The type and the message of an error, in whichever of its four shapes: https://airtable.com/developers/web/api/errors"""
    found = parsed_object(body) or {}
    error = found.get("error")
    if isinstance(found.get("errors"), list) and found["errors"]:
        first = found["errors"][0]
        error = {"type": first.get("error"), "message": first.get("message")} if isinstance(first, dict) else first
    if isinstance(error, dict):
        return str(error.get("type") or ""), answers.short(str(error.get("message") or ""))
    return str(error or ""), ""
