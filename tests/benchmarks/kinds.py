"""The two kinds of data, and what they have in common: which columns are compared, and how they are made of the sandbox's."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

SPAN, REST = 290 * 86_400, 3_600
"""Times are spread over this long, up to so long ago: nothing is left in the overlap of a poll."""
UNSTORABLE = re.compile(r"\\u0000|[\ud800-\udfff]")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A table of the contract: its key and other texts that every contender must hold alike, and times."""

    table: str
    key: str
    texts: tuple[str, ...]
    times: tuple[str, ...]
    columns: Mapping[str, str]
    """All that the floors write, with PostgreSQL's types."""

    @property
    def compared(self) -> tuple[str, ...]:
        return (self.key, *self.texts, *self.times)


class Source(Protocol):
    """What the server shows."""

    kind: Kind
    count: int

    def change(self, changed_at: float | None) -> None:
        """From now on the second data set, changed just then; None: the first one again."""

    def rows(self) -> Iterator[Row]:
        """What a perfect mirror holds."""

    def answer(self, path: str, asked: Mapping[str, str]) -> bytes | None:
        """The body for a request; None: there is no such thing."""

    def allowed(self, step: str) -> int:
        """How many requests a step may cost, by the formula."""


def _columns(texts: str, **others: str) -> Mapping[str, str]:
    return dict.fromkeys(texts.split(), "text") | {name: kind for kind, names in others.items() for name in names.split()}


TASKS = Kind(
    "tasks",
    "task_id",
    ("title", "description", "status", "progress", "priority", "tasklist_id"),
    ("created_at", "updated_at"),
    _columns(
        "task_id project_id project_name tasklist_id tasklist_name title description status priority parent_task_id",
        **{"bigint": "progress", "text[]": "tags assignees", "date": "start_at due_at"},
        timestamptz="created_at updated_at completed_at",
    ),
)
EMAILS = Kind(
    "emails",
    "email_id",
    ("thread_id", "subject", "message_type", "internet_message_id", "body_html"),
    (),
    _columns(
        "email_id thread_id subject from_address from_name message_type internet_message_id body_html",
        **{"text[]": "to_addresses cc_addresses bcc_addresses labels"},
        timestamptz="sent_at received_at",
    ),
)


def time_text(seconds: int) -> str:
    """As Teamwork writes it, and as times are compared."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(row: Row) -> Row:
    """A row of the sandbox's truth with its times as text."""
    return {name: time_text(int(value.timestamp())) if isinstance(value, datetime) else value for name, value in row.items()}


def dumps(value: Any) -> str:
    """JSON as the vendors write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
