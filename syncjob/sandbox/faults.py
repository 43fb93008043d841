"""Faults between a face and its client: scripted one by one, for a whole route, or drawn by a seeded lot."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from email.utils import formatdate, parsedate_to_datetime
from enum import StrEnum
from random import Random
from typing import Any

from .exchange import ConnectionReset, Hang, Request, Response, json_response

TWO_GIGABYTES = 2**31
HTML = {"Content-Type": "text/html; charset=utf-8"}
FROM_INDEX = re.compile(rb'\{"(tasks|conversations|messages)": ?\[')
JSON = {"Content-Type": "application/json; charset=utf-8"}


class Kind(StrEnum):
    """What goes wrong."""

    LIMIT = "429"  # with every header and a body
    LIMIT_BODY_ONLY = "429 body only"
    LIMIT_HTTP_DATE = "429 http date"
    LIMIT_EMPTY = "429 empty"
    LIMIT_400 = "400 rate limit"  # `remaining: 0`, as Teamwork's error guide lists it
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    TOO_LARGE = "413"
    UNPROCESSABLE = "422"
    ERROR_HTML = "500 html"
    ERROR_JSON = "500 json"
    ERROR_EMPTY = "500 empty"
    BAD_GATEWAY_HTML = "502 html"
    UNAVAILABLE_JSON = "503 json"
    UNAVAILABLE_EMPTY = "503 empty"
    RESET_BEFORE_BODY = "reset before body"
    RESET_WITHIN_BODY = "reset within body"
    ANSWER_LOST = "answer lost"  # applied and counted, and nothing comes back
    HANG = "hang"
    TRUNCATED_JSON = "truncated json"  # with the Content-Length of what is left
    LOGIN_PAGE = "login page"  # 200
    EMPTY_OBJECT = "empty object"  # 200
    EMPTY_LIST = "empty list"  # 200, and it claims that there is nothing
    WRONG_TYPE = "wrong type"  # 200, the rows are no list
    SLOW = "slow"  # one byte each `delay` seconds
    ENDLESS = "endless"  # 2 GB
    PREVIOUS_PAGE = "previous page"  # the answer before this one, on the same path
    DUPLICATE_ROWS = "duplicate rows"
    ROWS_MISSING = "rows missing"  # every third one, as from an index that lags, and nothing says so
    DATE_SKEWED = "date skewed"  # by `hours`
    DATE_MISSING = "date missing"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one answer."""

    kind: str
    delay: float = 1.0  # seconds between two bytes of a slow answer
    retry_after: int = 1  # seconds, told by a limit
    hours: float = 6.0  # how far the `Date` header is off
    applied: bool = True  # whether a write took effect before it went wrong; one that was refused never did

    def __post_init__(self) -> None:
        Kind(self.kind)  # refuse a misspelt kind


@dataclass(slots=True)
class Rule:
    """When a fault happens: at chosen requests, at all, or by lot; everywhere, on one face, or where path and query match."""

    fault: Fault | None
    face: str | None = None
    path: str | None = None
    countdown: int = 0  # how many matching requests still pass first
    times: int | None = None  # how often it happens; None: always
    lot: Callable[[], Fault | None] | None = None
    query: str | None = None

    def strike(self, face: str, request: Request) -> Fault | None:
        """The fault for this request, if any."""
        if self.times == 0 or (self.face not in (None, face)) or (self.path is not None and not re.search(self.path, request.path)):
            return None
        if self.query is not None and not re.search(self.query, "&".join(f"{name}={value}" for name, value in request.params.items())):
            return None
        if self.countdown > 0:
            self.countdown -= 1
            return None
        if self.times is not None:
            self.times -= 1
        return self.lot() if self.lot is not None else self.fault


@dataclass(slots=True)
class Faults:
    """The script. The first rule that strikes wins."""

    rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, n: int, fault: Fault, *, face: str | None = None, path: str | None = None, times: int = 1) -> None:
        """The n-th request from now (1: the next), of those that match, and `times - 1` after it."""
        self.rules.append(Rule(fault, face, path, countdown=n - 1, times=times))

    def always(self, path: str, fault: Fault, *, face: str | None = None, query: str | None = None) -> None:
        """Every request whose path, and query, match the regular expressions."""
        self.rules.append(Rule(fault, face, path, query=query))

    def seeded(self, rng: Random, rate: float, kinds: Iterable[str] = tuple(Kind), *, face: str | None = None) -> None:
        """That share of all requests, with kinds drawn by `rng`."""
        drawn = tuple(kinds)
        self.rules.append(Rule(None, face, lot=lambda: _drawn(rng, drawn) if rng.random() < rate else None))

    def clear(self) -> None:
        """All is well again."""
        self.rules.clear()

    def next(self, face: str, request: Request) -> Fault | None:
        """The fault for the request that just came in."""
        with self._lock:
            return next((fault for rule in self.rules if (fault := rule.strike(face, request))), None)


def _drawn(rng: Random, kinds: tuple[str, ...]) -> Fault:
    return Fault(rng.choice(kinds), applied=rng.random() < 0.5)


def is_refusal(fault: Fault, face: str) -> bool:
    """Whether Airtable never does what was asked, so that its face must not be: nothing else is written to."""
    return face == "airtable" and (not fault.applied or Kind(fault.kind).startswith("4"))


def spoil(fault: Fault, face: str, good: Response, previous: Response | None, now: float) -> Response:
    """What arrives instead of the good answer. `good` has its `Date` already. Raises what no response can express."""
    kind = Kind(fault.kind)
    if kind == Kind.HANG:
        raise Hang
    if kind == Kind.ANSWER_LOST:
        raise ConnectionReset
    if kind in (Kind.RESET_BEFORE_BODY, Kind.RESET_WITHIN_BODY):
        raise ConnectionReset(good, len(good.body) // 2 if kind == Kind.RESET_WITHIN_BODY else 0)
    if kind in _SPOILED:
        return _SPOILED[kind](fault, good)
    if kind == Kind.PREVIOUS_PAGE:
        return replace(good, body=previous.body) if previous is not None else good
    answer = _limit(kind, fault, face, now) if kind.startswith(("429", "400")) else _failure(kind, face)
    return replace(answer, headers={"Date": good.headers["Date"], **answer.headers})


def _limit(kind: Kind, fault: Fault, face: str, now: float) -> Response:
    seconds = fault.retry_after
    if kind == Kind.LIMIT_400:
        spent = {"x-ratelimit-limit": "150", "x-ratelimit-remaining": "0"}
        return json_response(400, _error(face, "You have exceeded your rate limit"), spent)
    if kind == Kind.LIMIT_HTTP_DATE:
        return Response(429, {"Retry-After": formatdate(now + seconds, usegmt=True)})
    if kind == Kind.LIMIT_EMPTY:
        return Response(429)
    body = _error(face, "Rate limit exceeded", {"retry_after": seconds})
    if kind == Kind.LIMIT_BODY_ONLY:
        return json_response(429, body)
    reset = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(now) + seconds)}
    return json_response(429, body, {"Retry-After": str(seconds), **reset})


def _failure(kind: Kind, face: str) -> Response:
    status = int(kind[:3])
    if kind.endswith("html"):
        return Response(status, HTML, f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>".encode())
    if kind.endswith("empty"):
        return Response(status)
    return json_response(status, {"content": _error(face, "broken")} if status >= 500 and face == "teamwork" else _error(face, "refused"))


def _error(face: str, message: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    if face == "airtable":
        return {"error": {"type": "RATE_LIMIT_REACHED" if params else "INVALID_REQUEST_UNKNOWN", "message": message}}
    if face == "teamwork":
        return {"errors": [{"title": message, "detail": message}]}
    return {"error": {"message": message, **({"params": params} if params else {})}}


def _truncated(fault: Fault, good: Response) -> Response:
    return replace(good, body=good.body[: len(good.body) * 2 // 3])


def _login_page(fault: Fault, good: Response) -> Response:
    page = b"<!doctype html><html><title>Log in</title><form action=/login><input name=password></form></html>"
    return replace(good, status=200, headers={**good.headers, **HTML}, body=page)


def _empty_object(fault: Fault, good: Response) -> Response:
    return replace(good, status=200, headers={**good.headers, **JSON}, body=b"{}")


def _wrong_type(fault: Fault, good: Response) -> Response:
    return _with_rows(good, lambda rows: "none of your business")


def _empty_list(fault: Fault, good: Response) -> Response:
    return _with_rows(good, lambda rows: [] if isinstance(rows, list) else rows, at_end=True)


def _duplicate_rows(fault: Fault, good: Response) -> Response:
    return _with_rows(good, lambda rows: [*rows, *rows[: max(1, len(rows) // 3)]] if isinstance(rows, list) else rows)


def _rows_missing(fault: Fault, good: Response) -> Response:
    if not FROM_INDEX.match(good.body):
        return good
    return _with_rows(good, lambda rows: [row for place, row in enumerate(rows, 1) if place % 3])


def _with_rows(good: Response, change: Callable[[Any], Any], *, at_end: bool = False) -> Response:
    """The same answer with its first member, where both vendors put the rows, changed; `at_end`: it says that no more follow."""
    try:
        value = json.loads(good.body)
    except ValueError:
        return good
    name = next(iter(value))
    if at_end and "page" in value.get("meta", {}):
        value["meta"]["page"]["hasMore"] = False
    return replace(json_response(good.status, {**value, name: change(value[name])}), headers=good.headers)


def _slow(fault: Fault, good: Response) -> Response:
    return replace(good, pace=fault.delay)


def _endless(fault: Fault, good: Response) -> Response:
    blank = b" " * 65536  # white space before a JSON value never ends being valid
    return replace(good, body=blank, repeat=TWO_GIGABYTES // len(blank))


def _date_skewed(fault: Fault, good: Response) -> Response:
    moment = parsedate_to_datetime(good.headers["Date"]).timestamp() + fault.hours * 3600
    return replace(good, headers={**good.headers, "Date": formatdate(moment, usegmt=True)})


def _date_missing(fault: Fault, good: Response) -> Response:
    return replace(good, headers={name: value for name, value in good.headers.items() if name != "Date"})


_SPOILED: dict[Kind, Callable[[Fault, Response], Response]] = {
    Kind.TRUNCATED_JSON: _truncated,
    Kind.LOGIN_PAGE: _login_page,
    Kind.EMPTY_OBJECT: _empty_object,
    Kind.EMPTY_LIST: _empty_list,
    Kind.WRONG_TYPE: _wrong_type,
    Kind.DUPLICATE_ROWS: _duplicate_rows,
    Kind.ROWS_MISSING: _rows_missing,
    Kind.SLOW: _slow,
    Kind.ENDLESS: _endless,
    Kind.DATE_SKEWED: _date_skewed,
    Kind.DATE_MISSING: _date_missing,
}
