"""What Airtable shows of a true row, by the contract: written here once more, from the documentation alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from .things import Table

CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
LONGEST, CUT_MARK = 100_000, " […]"

FIELDS = {
    "emails": {
        "Email ID": "email_id", "Thread ID": "thread_id", "Subject": "subject", "From": "from_address", "To": "to_addresses",
        "Cc": "cc_addresses", "Bcc": "bcc_addresses", "Body HTML": "body_html", "Sent At": "sent_at", "Received At": "received_at",
        "Labels": "labels", "Deleted": "deleted", "Deleted At": "deleted_at", "Source Links": "source_links", "From Name": "from_name",
        "Message Type": "message_type",
    },
    "tasks": {
        "Task ID": "task_id", "Project ID": "project_id", "Title": "title", "Description": "description", "Status": "status",
        "Tags": "tags", "Assignees": "assignees", "Due At": "due_at", "Updated At": "updated_at", "Deleted": "deleted",
        "Deleted At": "deleted_at", "Source Links": "source_links", "Project Name": "project_name", "Task List": "tasklist_name",
        "Priority": "priority", "Progress": "progress", "Start At": "start_at", "Created At": "created_at",
        "Completed At": "completed_at", "Parent Task ID": "parent_task_id",
    },
}  # fmt: skip
"""Airtable's field -> the contract's column. `Body Text` is left to those who make it."""


def expected_row(kind: str, row: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """The cells that a table shows of a true row; an empty cell is not shown."""
    found = {}
    for field in table.fields:
        if column := FIELDS[kind].get(field.name):
            value = row[column]
            shown = None if value is None else _SHOWN[field.type](value)
            if shown not in (None, "", [], False):
                found[field.name] = shown
    return found


def _single(value: Any) -> str:
    return _cut(re.sub(r"\s*[\r\n\u2028\u2029]+\s*", " ", _long(value)), 10_000)


def _long(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("web") or ""
    if isinstance(value, datetime):
        return _time(value)
    text = "\n".join(_label(each) for each in value) if isinstance(value, list) else str(value)
    return _cut(CONTROL.sub("", text), LONGEST)


def _cut(text: str, most: int) -> str:
    units = text.encode("utf-16-le")
    if len(units) <= 2 * most:
        return text
    return units[: 2 * (most - len(CUT_MARK))].decode("utf-16-le", "ignore") + CUT_MARK


def _label(text: str) -> str:
    return " ".join(CONTROL.sub("", text).split())


def _labels(value: Any) -> list[str]:
    return list(dict.fromkeys(filter(None, map(_label, value))))


def _time(value: Any) -> str:
    if not isinstance(value, datetime):
        return f"{value.isoformat()}T00:00:00.000Z"
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _day(value: Any) -> str:
    day: date = value.astimezone(UTC).date() if isinstance(value, datetime) else value
    return day.isoformat()


_SHOWN: dict[str, Callable[[Any], Any]] = {
    "singleLineText": _single, "multilineText": _long, "dateTime": _time, "date": _day, "checkbox": bool, "number": int,
    "singleSelect": _label, "multipleSelects": _labels,
}  # fmt: skip
