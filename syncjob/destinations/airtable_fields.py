"""The contract's tables in Airtable (DESIGN, section 8): which field holds which column, and of what types it may be."""

from collections.abc import Mapping
from dataclasses import dataclass

from syncjob.core.model import ATTACHMENTS, EMAILS, TASKS, Json
from syncjob.core.tables import SQL_TABLES, Kind

ONE_LINE = ("singleLineText", "email", "url", "phoneNumber")
LONG = ("multilineText", "richText")
TEXT = (*ONE_LINE, *LONG)
ISO: Mapping[str, Json] = {"dateFormat": {"name": "iso"}}

OPTIONS: Mapping[str, Json] = {
    "dateTime": {**ISO, "timeFormat": {"name": "24hour"}, "timeZone": "utc"},
    "date": ISO,
    "checkbox": {"icon": "check", "color": "greenBright"},
    "singleSelect": {"choices": [{"name": "new"}, {"name": "reopened"}, {"name": "completed"}]},
    "multipleSelects": {"choices": [{"name": "new"}]},
}
"""What Airtable needs to make a field of a type; for the others nothing may be said. Further choices come with the first rows:
a select field without any may not be allowed."""

ACCEPTED: Mapping[Kind, tuple[str, ...]] = {
    "text": (*TEXT, "singleSelect"),
    "int": ("number", "percent", *TEXT),
    "bool": ("checkbox",),
    "date": ("date", "dateTime", *TEXT),
    "time": ("dateTime", "date", *TEXT),
    "list": ("multipleSelects", *LONG),
    "json": TEXT,
}
"""The types of a field that can show a column of each kind."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: the column it shows, and the type it is made with. `documented`: it has to be there."""

    name: str
    column: str
    type: str = "singleLineText"
    documented: bool = True


def _fields(*specs: tuple[str, str] | tuple[str, str, str]) -> tuple[Field, ...]:
    return tuple(Field(*spec) for spec in specs)


def _known(**names: str) -> tuple[Field, ...]:
    """Fields that are filled where somebody made them."""
    return tuple(Field(name, column, documented=False) for column, name in names.items())


FILES = Field("Attachments", ATTACHMENTS, "multipleAttachments")
EMAIL_FIELDS = _fields(
    ("Email ID", "email_id"), ("Thread ID", "thread_id"), ("Subject", "subject"), ("From", "from_address"),
    ("To", "to_addresses", "multilineText"), ("Cc", "cc_addresses", "multilineText"), ("Bcc", "bcc_addresses", "multilineText"),
    ("Body Text", "body_text", "multilineText"), ("Body HTML", "body_html", "multilineText"), ("Sent At", "sent_at", "dateTime"),
    ("Received At", "received_at", "dateTime"), ("Labels", "labels", "multipleSelects"), ("Deleted", "deleted", "checkbox"),
    ("Deleted At", "deleted_at", "dateTime"), ("Source Links", "source_links", "multilineText"),
)  # fmt: skip
TASK_FIELDS = _fields(
    ("Task ID", "task_id"), ("Project ID", "project_id"), ("Title", "title"), ("Description", "description", "multilineText"),
    ("Status", "status", "singleSelect"), ("Tags", "tags", "multipleSelects"), ("Assignees", "assignees", "multilineText"),
    ("Due At", "due_at", "date"), ("Updated At", "updated_at", "dateTime"), ("Deleted", "deleted", "checkbox"),
    ("Deleted At", "deleted_at", "dateTime"), ("Source Links", "source_links", "multilineText"),
)  # fmt: skip
FIELDS: Mapping[str, tuple[Field, ...]] = {
    EMAILS: EMAIL_FIELDS + _known(from_name="From Name", message_type="Message Type"),
    TASKS: TASK_FIELDS
    + _known(
        project_name="Project Name", tasklist_name="Task List", priority="Priority", progress="Progress", start_at="Start At",
        created_at="Created At", completed_at="Completed At", parent_task_id="Parent Task ID",
    ),
}  # fmt: skip
KINDS: Mapping[str, Mapping[str, Kind]] = {
    stream: {"deleted": "bool", "deleted_at": "time", **{column.name: column.kind for column in SQL_TABLES[stream].columns}}
    for stream in FIELDS
}
"""The kind of each column of a stream."""


def accepts(stream: str, field: Field, type_: str) -> bool:
    """Whether a field of this type can show the column. A key is matched word for word, so it is plain text."""
    if field is FILES:
        return type_ == FILES.type
    if field.column == SQL_TABLES[stream].key:
        return type_ in ("singleLineText", "multilineText")
    return type_ in ACCEPTED[KINDS[stream][field.column]]


def made(field: Field) -> Mapping[str, Json]:
    """The field as it is asked for from Airtable."""
    options = OPTIONS.get(field.type)
    return {"name": field.name, "type": field.type} | ({"options": options} if options else {})
