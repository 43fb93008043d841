"""The tables of the contract (DESIGN, section 8), independent of any database.

A column's kind: `text`, `int`, `bool`, `date`, `time` (UTC), `list` (of text), `json`.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from syncjob.core.model import ATTACHMENTS, EMAILS, TASKS

Kind: TypeAlias = Literal["text", "int", "bool", "date", "time", "list", "json"]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its first column is the key."""

    name: str
    columns: tuple[Column, ...]

    @property
    def key(self) -> str:
        return self.columns[0].name


def _columns(spec: str) -> tuple[Column, ...]:
    """Columns from words like `title progress:int`."""
    return tuple(Column(*word.split(":")) for word in spec.split())  # type: ignore[arg-type]


TASKS_TABLE = Table("tasks", _columns(
    "task_id project_id project_name tasklist_id tasklist_name title description status priority progress:int "
    "tags:list assignees:list parent_task_id start_at:date due_at:date created_at:time updated_at:time completed_at:time "
    "source_links:json"
))  # fmt: skip
EMAILS_TABLE = Table("emails", _columns(
    "email_id thread_id subject from_address from_name to_addresses:list cc_addresses:list bcc_addresses:list "
    "body_text body_html sent_at:time received_at:time labels:list message_type internet_message_id source_links:json"
))  # fmt: skip
ATTACHMENTS_TABLE = Table("attachments", _columns(
    "attachment_id email_id filename media_type size_bytes:int inline:bool sha256 path"
))  # fmt: skip

TABLES = {TASKS: TASKS_TABLE, EMAILS: EMAILS_TABLE}
"""Which stream goes to which table. The attachments of an email travel in its `attachments` list."""

SQL_TABLES = {**TABLES, ATTACHMENTS: ATTACHMENTS_TABLE}
"""The tables of a SQL destination."""
