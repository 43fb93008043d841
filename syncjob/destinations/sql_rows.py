"""Rows of the feed as rows of SQL tables: every value checked, cleaned and hashed, and nothing sent yet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import NamedTuple

from syncjob.core.errors import Rejected
from syncjob.core.model import FeedRow, Json
from syncjob.core.tables import ATTACHMENTS_TABLE, TABLES, Kind, Table
from syncjob.destinations.text import canonical

MAX_INT = 2**63 - 1


class Rendered(NamedTuple):
    """A row as JSON values: key, contract columns, `deleted`, `deleted_at`; its hash; its size in bytes."""

    key: str
    values: Sequence[Json]
    hash: str
    size: int


def render(table: Table, key: str, data: Mapping[str, Json], deleted_at: datetime | None) -> Rendered:
    """One row of `table`. Raises Rejected, without naming the value, for what the table cannot hold."""
    values: list[Json] = [key]
    for name, read in COLUMNS[table.name]:
        value = data.get(name)
        try:
            values.append(None if value is None else read(value))
        except ValueError as error:
            raise Rejected(f"{table.name} {key!r}: {name} is {error}") from None
    values += deleted_at is not None, deleted_at and time_text(deleted_at)
    try:
        values, raw = canonical(values)
    except (ValueError, RecursionError):
        raise Rejected(f"{table.name} {key!r}: not JSON") from None
    if not key or values[0] != key:
        raise Rejected(f"{table.name} {key!r}: an id that a database cannot hold")
    return Rendered(key, values, blake2b(raw, digest_size=16).hexdigest(), len(raw))


def attachment_rows(emails: Iterable[FeedRow], stored: Iterable[Mapping[str, Json]], now: datetime) -> dict[str, Rendered]:
    """The attachments that these emails list, and as deleted those of the `stored` live ones that they no longer list.

    An email that says nothing of attachments leaves them alone, unless it is deleted itself.
    """
    rows: dict[str, Rendered] = {}
    silent: set[str] = set()
    gone: dict[str, datetime | None] = {}
    for email in emails:
        listed = email.data.get("attachments")
        gone[email.key] = email.deleted_at
        if listed is None and email.deleted_at is None:
            silent.add(email.key)
        for item in listed or ():
            data = {**item, "email_id": email.key}
            key = item.get("attachment_id") or ""
            rows[key] = render(ATTACHMENTS_TABLE, key, data, email.deleted_at)
    for live in stored:
        key, email_id = live["attachment_id"], live["email_id"]
        if key not in rows and email_id not in silent:
            rows[key] = render(ATTACHMENTS_TABLE, key, live, gone[email_id] or now)
    return rows


def time_text(moment: datetime) -> str:
    """A time as the contract writes it: `YYYY-MM-DDTHH:MM:SSZ`."""
    return moment.astimezone(UTC).isoformat()[:19] + "Z"


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("not text")


def _int(value: Json) -> int:
    if type(value) is not int:
        raise ValueError("not a whole number")
    if not -MAX_INT <= value <= MAX_INT:
        raise ValueError("too large a number")
    return value


def _bool(value: Json) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("neither true nor false")


def _date(value: Json) -> str | None:
    """The date, or None for one that is in no calendar: a wrong date must not cost the row."""
    try:
        return date.fromisoformat(_text(value)).isoformat()
    except ValueError:
        return None


def _time(value: Json) -> str | None:
    """The time, or None for one that is in no calendar. Without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(_text(value))
        return time_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def _list(value: Json) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise ValueError("not a list of texts")


def _json(value: Json) -> Json:
    return value


READERS: Mapping[Kind, Callable[[Json], Json]] = {
    "text": _text, "int": _int, "bool": _bool, "date": _date, "time": _time, "list": _list, "json": _json,
}  # fmt: skip
COLUMNS = {
    table.name: [(column.name, READERS[column.kind]) for column in table.columns[1:]] for table in (*TABLES.values(), ATTACHMENTS_TABLE)
}
