"""The schema API: what tables and fields may be made, and how they are shown (reference section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..switches import AirtableSwitches
from .errors import invalid
from .things import TEXTS, WRITABLE, Base, Field, Table

NewId = Callable[[str], str]
OPTIONS = {
    "checkbox": {"icon", "color"},
    "date": {"dateFormat"},
    "dateTime": {"timeZone", "dateFormat", "timeFormat"},
    "singleSelect": {"choices"},
    "multipleSelects": {"choices"},
    "number": {"precision"},
    "percent": {"precision"},
}
"""What has to be there to make a field of a type. Texts and attachments take no options at all, not even empty ones."""


def new_table(base: Base, body: dict[str, Any], new_id: NewId, switches: AirtableSwitches) -> Table:
    """A table as asked for. Raises `Refused`."""
    name, fields = body.get("name"), body.get("fields")
    if not isinstance(name, str) or not name or not isinstance(fields, list) or not fields:
        raise invalid("INVALID_REQUEST_BODY", "Invalid request: a table needs a name and fields")
    if any(table.name.lower() == name.lower() for table in base.tables):
        raise invalid("DUPLICATE_TABLE_NAME", "Cannot create table with name that already exists")
    table = Table(new_id("tbl"), name, [])
    for each in fields:
        table.fields.append(new_field(table, each, new_id, switches))
    if table.fields[0].type not in (*TEXTS, "number", "date", "dateTime"):
        raise invalid("UNSUPPORTED_FIELD_TYPE_FOR_CREATE", "The first field cannot be primary")
    return table


def new_field(table: Table, body: dict[str, Any], new_id: NewId, switches: AirtableSwitches) -> Field:
    """A field as asked for. Raises `Refused`."""
    name, type_, options = body.get("name"), body.get("type"), body.get("options")
    if not isinstance(name, str) or not name or any(each.name.lower() == name.lower() for each in table.fields):
        raise invalid("DUPLICATE_OR_EMPTY_FIELD_NAME", "Field names must be unique and not empty")
    if type_ not in WRITABLE:
        raise invalid("UNSUPPORTED_FIELD_TYPE_FOR_CREATE", f"Creating {type_} fields is not supported")
    needed = OPTIONS.get(type_, set())
    if needed != set(options or ()) or (options is not None and not needed):
        raise invalid("INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE", f"Invalid options for {name}")
    if type_ == "dateTime" and (options or {}).get("timeZone") != "utc":
        raise invalid("INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE", f"Invalid options for {name}.timeZone")
    kept = dict(options or {})
    if "choices" in kept:
        if not kept["choices"] and not switches.empty_choices:
            raise invalid("INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE", f"Invalid options for {name}.choices")
        kept["choices"] = [{"id": new_id("sel"), **choice} for choice in kept["choices"]]
    return Field(new_id("fld"), name, type_, kept)


def table_json(table: Table) -> dict[str, Any]:
    """The table as the API shows it."""
    fields = [field_json(each) for each in table.fields]
    views = [{"id": "viw" + table.id[3:], "name": "Grid view", "type": "grid"}]
    return {"id": table.id, "name": table.name, "primaryFieldId": table.fields[0].id, "fields": fields, "views": views}


def field_json(field: Field) -> dict[str, Any]:
    """The field as the API shows it."""
    return {"id": field.id, "name": field.name, "type": field.type, **({"options": field.options} if field.options else {})}
