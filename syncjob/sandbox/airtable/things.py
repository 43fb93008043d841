"""What exists in Airtable: bases, tables, fields, records. Cells are kept by field id; an empty one is not kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TEXTS = ("singleLineText", "multilineText", "richText", "email", "url", "phoneNumber")
NUMBERS = ("number", "percent", "currency", "rating", "duration")
SELECTS = ("singleSelect", "multipleSelects")
COMPUTED = ("formula", "createdTime", "lastModifiedTime", "autoNumber", "count", "lookup", "rollup", "createdBy", "button")
WRITABLE = (*TEXTS, *NUMBERS, *SELECTS, "checkbox", "date", "dateTime", "multipleAttachments")


@dataclass(slots=True)
class Field:
    """One column. `options` as the API shows them."""

    id: str
    name: str
    type: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def choices(self) -> list[str]:
        return [choice["name"] for choice in self.options.get("choices", ())]


@dataclass(slots=True)
class Record:
    """One row."""

    id: str
    created: float
    cells: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Table:
    """One table; its first field is the primary one."""

    id: str
    name: str
    fields: list[Field]
    records: dict[str, Record] = field(default_factory=dict)

    def find_field(self, name_or_id: str) -> Field | None:
        return next((each for each in self.fields if name_or_id in (each.id, each.name)), None)

    def named(self, record: Record) -> dict[str, Any]:
        """A record's cells by field name."""
        names = {each.id: each.name for each in self.fields}
        return {names[key]: value for key, value in record.cells.items() if key in names}

    def rows(self, key: str) -> dict[str, dict[str, Any]]:
        """All records as cells by name, by their text in the field `key`. Raises AssertionError where a key is there twice."""
        found = [self.named(record) for record in self.records.values()]
        keyed = {str(cells.get(key, "")): cells for cells in found}
        assert len(keyed) == len(found), f"{self.name} has a {key} twice"
        return keyed


@dataclass(slots=True)
class Base:
    """One base."""

    id: str
    tables: list[Table] = field(default_factory=list)

    def find_table(self, name_or_id: str) -> Table | None:
        return next((each for each in self.tables if name_or_id in (each.id, each.name)), None)

    def table(self, name: str) -> Table:
        """The table of that name, which is there."""
        found = self.find_table(name)
        assert found, f"no table {name}"
        return found

    @property
    def size(self) -> int:
        return sum(len(table.records) for table in self.tables)


@dataclass(frozen=True, slots=True)
class Download:
    """A link that was written into a cell and is fetched later."""

    due: float
    table: Table
    record_id: str
    field_id: str
    attachment_id: str
    url: str


Cells = Mapping[str, Any]
