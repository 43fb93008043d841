"""What an answer, or the lack of one, says: pure functions of status, headers, body and error."""

import re
import ssl
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions

from syncjob.core.model import Json, parsed_object

EPOCH = 1e9
"""Teamwork's reset is documented as epoch seconds and sent as a length: whatever is above this is a point in time."""

DEFAULT_WAIT, LONGEST_RESET, LONGEST_WAIT = 60.0, 120.0, 86_400.0
TEXT_LENGTH = 200

UNREACHED = "Check {setting} and the network; the next run tries again."
BROKEN = "The next run tries again."
NO_ANSWER = "no complete answer in time"


class TooLong(requests.RequestException):
    """An answer that does not end."""


_FAILURES: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((ssl.SSLCertVerificationError,), "its TLS certificate is not accepted", "Check {setting}, this machine's clock and its certificates."),
    ((ssl.SSLError, exceptions.SSLError, requests.exceptions.SSLError), "no TLS connection", UNREACHED),
    ((exceptions.NameResolutionError,), "its name is unknown", UNREACHED),
    ((exceptions.NewConnectionError,), "the connection was refused, or there is no way to it", UNREACHED),
    ((exceptions.ConnectTimeoutError, requests.ConnectTimeout), "no connection in time", UNREACHED),
    ((exceptions.ReadTimeoutError, requests.ReadTimeout), NO_ANSWER, BROKEN),
    ((TooLong,), "an answer that does not end", BROKEN),
    ((exceptions.DecodeError, requests.exceptions.ContentDecodingError), "an answer that cannot be decompressed", BROKEN),
)


def explain(error: BaseException) -> tuple[str, str]:
    """What happened, and a hint, in our own words: the library's contain addresses with their queries."""
    causes = tuple(_causes(error))
    for kinds, what, hint in _FAILURES:
        if any(isinstance(cause, kinds) for cause in causes):
            return what, hint
    return "the connection broke off", BROKEN


def _causes(error: object) -> Iterator[BaseException]:
    """The error and what requests and urllib3 wrapped in it."""
    while isinstance(error, BaseException):
        yield error
        wrapped = (getattr(error, "reason", None), *error.args)
        error = next((each for each in wrapped if isinstance(each, BaseException)), None)


def host(url: str) -> str:
    """The host and port of an address: without password, path and query it can be shown."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def date(headers: Mapping[str, str]) -> datetime | None:
    """The server's own time."""
    return _http_date(headers.get("Date", ""))


def rate(headers: Mapping[str, str], name: str) -> str:
    """A rate limit header in either spelling, or nothing."""
    return headers.get(f"X-RateLimit-{name}") or headers.get(f"X-Rate-Limit-{name}") or ""


def limit(headers: Mapping[str, str]) -> int:
    """How many requests the vendor allows in its window, 0 if it does not say."""
    found = re.fullmatch(r"[0-9]{1,9}", rate(headers, "Limit").strip())
    return int(found[0]) if found else 0


def is_refused(status: int, headers: Mapping[str, str]) -> bool:
    """Is it over the limit? Teamwork's error guide lists that under 400, too."""
    return status == 429 or (status == 400 and rate(headers, "Remaining").strip() == "0")


def asked_wait(headers: Mapping[str, str], body: bytes, now: datetime) -> float:
    """How many seconds a refusal asks to wait, by `Retry-After` and Missive's body, else by the window's reset."""
    told = (_seconds(headers.get("Retry-After", ""), now), _seconds(str(_retry_after(body)), now))
    if any(seconds is not None for seconds in told):
        return min(LONGEST_WAIT, max(1.0, *(seconds or 0.0 for seconds in told)))
    reset = _seconds(rate(headers, "Reset"), now)
    return DEFAULT_WAIT if reset is None else min(LONGEST_RESET, max(1.0, reset))


def vendor_text(body: bytes, *, hide: Collection[str] = ()) -> str:
    """The vendor's own short words for an error, from the fields made for it, should they quote a secret without it."""
    words = next((text for text in _texts(parsed_object(body)) if isinstance(text, str) and text.strip()), "")
    for secret in hide:
        words = words.replace(secret, "***")
    return short(words)


def short(words: str) -> str:
    """A vendor's words on one line, without what steers a terminal, not too many of them."""
    return "".join(sign for sign in " ".join(words.split()) if sign.isprintable())[:TEXT_LENGTH]


def largest_limit(body: bytes) -> int | None:
    """The N of Missive's 400 `max 'limit' value is N`, which a call may accept; None where the text is another."""
    found = re.search(r"max 'limit' value is (\d{1,6})\b", vendor_text(body))
    return int(found[1]) if found else None


def _texts(said: Json) -> Iterator[Json]:
    """Where the vendors put their words: Missive `error.message`; Teamwork v3 `errors[]`, inside `content` with a 5xx; v1 `MESSAGE`."""
    if not isinstance(said, dict):
        return
    error, errors = said.get("error"), said.get("errors")
    yield error.get("message") if isinstance(error, dict) else error
    for each in errors if isinstance(errors, list) else ():
        if isinstance(each, dict):
            yield each.get("detail") or each.get("title")
    yield said.get("MESSAGE")
    content = said.get("content")
    yield from _texts({"errors": content.get("errors")} if isinstance(content, dict) else None)


def _retry_after(body: bytes) -> Json:
    found: Json = parsed_object(body)
    for name in ("error", "params", "retry_after"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _seconds(text: str, now: datetime) -> float | None:
    """The seconds from `now` in a header that holds seconds, epoch seconds or a date."""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text.strip()):
        seconds = float(text)
        return seconds - now.timestamp() if seconds > EPOCH else seconds
    at = _http_date(text)
    return (at - now).total_seconds() if at else None


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)  # `-0000` is UTC of unknown place
