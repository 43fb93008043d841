"""Answers as JSON values, checked for the one thing every list must have: its array."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from syncjob.core.errors import Transient
from syncjob.core.model import Answer, Json, Rejection
from syncjob.core.text import clean

M = TypeVar("M", bound=BaseModel)
LONGEST_ID = 200


def parsed(answer: Answer, expected: str) -> Mapping[str, Json]:
    """The answer's JSON object. Raises Transient unless it has the `expected` member: that is a failure, never "no rows"."""
    found = answer.payload
    if found is None or expected not in found:
        raise Transient(f"the answer has no `{expected}`", hint="the vendor may be having trouble; the next run tries again")
    return found


def listed(answer: Answer, name: str) -> tuple[list[Json], Mapping[str, Json]]:
    """The array `name` of the answer, and the whole answer."""
    found = parsed(answer, name)
    if not isinstance(found[name], list):
        raise Transient(f"`{name}` in the answer is no list", hint="the vendor may be having trouble; the next run tries again")
    return found[name], found


def has_more(payload: Mapping[str, Json]) -> bool | None:
    """`meta.page.hasMore`; None where the answer does not say."""
    meta = payload.get("meta")
    page = meta.get("page") if isinstance(meta, dict) else None
    more = page.get("hasMore") if isinstance(page, dict) else None
    return more if isinstance(more, bool) else None


def validated(model: type[M], raws: Sequence[Json], stream: str) -> tuple[list[M], tuple[Rejection, ...]]:
    """The records that can be read, and dead letters for the others."""
    found: list[M] = []
    rejected: list[Rejection] = []
    for raw in raws:
        try:
            found.append(model.model_validate(raw))
        except ValidationError as error:
            rejected.append(rejection(stream, raw, error))
    return found, tuple(rejected)


def rejection(stream: str, raw: Json, error: Exception | str) -> Rejection:
    """A dead letter for a record that cannot be read: its id is the key, else a digest of the whole."""
    text = json.dumps(raw, sort_keys=True)  # escaped: a lone surrogate in it could not be stored
    id_ = raw.get("id") if isinstance(raw, dict) else None
    has_id = type(id_) in (int, str) and 0 < len(str(id_)) <= LONGEST_ID
    key = clean(str(id_)) if has_id else f"digest:{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"
    return Rejection(stream, key, clean(reason(error)), text)


def times_of(rejected: Sequence[Rejection], *names: str) -> list[int]:
    """The times of records that cannot be read, as far as they have one: a list goes on below these too. Of each the first of these
    fields that it has; not of drafts, which have no place among the others."""
    raws = [json.loads(each.raw) for each in rejected]
    found = [[raw.get(name) for name in names] for raw in raws if isinstance(raw, dict) and not raw.get("draft")]
    first = [next((value for value in values if value is not None), None) for values in found]
    return [time for time in first if type(time) is int and time > 0]


def reason(error: Exception | str) -> str:
    """Why a record could not be read, without any of its values (they may be private)."""
    problems = getattr(error, "errors", None)
    if callable(problems):
        return "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems(include_input=False, include_url=False)
        )
    return str(error) if isinstance(error, str) else type(error).__name__


def stamp(time: datetime) -> str:
    """A time in whole seconds, UTC, as vendors and tables write it."""
    return time.astimezone(UTC).isoformat()[:19] + "Z"


def instant(text: str | None) -> datetime | None:
    """A vendor's time as an aware UTC time; None for an absent or absurd one. No zone means UTC."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def from_epoch(seconds: int | None) -> datetime | None:
    """Unix seconds as an aware UTC time; None for an absent or absurd one."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def day(text: str | None) -> str | None:
    """A vendor's date, cut before any time of day: never converted between zones. None for an absurd one."""
    try:
        return date.fromisoformat(text[:10]).isoformat() if text else None
    except ValueError:
        return None
