"""Airtable's side of the world: bases, who may do what, what is used up, and files that are fetched later."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from ..switches import AirtableSwitches
from .schema import new_field, new_table
from .things import Base, Download, Field, Record, Table

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SCOPES = frozenset({"data.records:read", "data.records:write", "schema.bases:read", "schema.bases:write"})

Fetch = Callable[[str], tuple[str, bytes] | None]
"""Downloads a link as Airtable's own servers do: its media type and content, or None."""


class AirtableWorld:
    """Bases in memory. Change them with the verbs, as people do in the browser; tests may also look into `bases`."""

    def __init__(self, switches: AirtableSwitches, clock: Callable[[], float], lock: threading.RLock, rng: Random) -> None:
        self.switches, self.clock, self.lock, self._rng = switches, clock, lock, rng
        self.bases: dict[str, Base] = {}
        self.tokens: dict[str, frozenset[str]] = {"patSandbox.0123456789abcdef": SCOPES}
        self.calls = 0
        self.monthly_calls: int | None = None
        self.record_cap: int | None = None
        self.fetch: Fetch = lambda url: None
        self.downloads: list[Download] = []
        self.writes: Counter[str] = Counter()  # record id -> how often it was written
        self.contents: dict[str, bytes] = {}  # attachment id -> its bytes
        self.base = self.add_base()

    def new_id(self, prefix: str) -> str:
        return prefix + "".join(self._rng.choices(ALPHABET, k=14))

    # --- what people do in the browser ---

    def add_base(self) -> Base:
        """A new base, with the table that Airtable puts into it."""
        base = Base(self.new_id("app"), [])
        self.bases[base.id] = base
        self.add_table("Table 1", {"Name": "singleLineText", "Notes": "multilineText"}, base)
        return base

    def add_table(self, name: str, fields: dict[str, str], base: Base | None = None) -> Table:
        """A table made by hand: field names and types, the first one primary."""
        base = base or self.base
        specs = [{"name": each, "type": type_, **_options(type_)} for each, type_ in fields.items()]
        with self.lock:
            table = new_table(base, {"name": name, "fields": specs}, self.new_id, self.switches)
            base.tables.append(table)
            return table

    def add_field(self, table: Table, name: str, type_: str) -> Field:
        """A field made by hand."""
        with self.lock:
            field = new_field(table, {"name": name, "type": type_, **_options(type_)}, self.new_id, self.switches)
            table.fields.append(field)
            return field

    def remove_field(self, table: Table, name: str) -> None:
        """Delete a field with all that is in it."""
        with self.lock:
            table.fields = [each for each in table.fields if each.name != name]

    def copy_record(self, table: Table, record_id: str) -> str:
        """Duplicate a record, as people do; the id of the copy."""
        with self.lock:
            record = Record(self.new_id("rec"), self.clock(), dict(table.records[record_id].cells))
            table.records[record.id] = record
            return record.id

    def remove_record(self, table: Table, record_id: str) -> None:
        """Delete a record."""
        with self.lock:
            del table.records[record_id]

    # --- what the API does ---

    def put_cells(self, table: Table, record: Record | None, cells: dict[str, Any]) -> Record:
        """Write cells, by field id, into a record or a new one."""
        if record is None:
            record = Record(self.new_id("rec"), self.clock())
            table.records[record.id] = record
        for key, value in cells.items():
            if value is not None and any(each.id == key and each.type == "multipleAttachments" for each in table.fields):
                value = self._attached(table, record, key, value)
            record.cells.pop(key, None)
            if value is not None:
                record.cells[key] = value
        self.writes[record.id] += 1
        return record

    def add_choice(self, field: Field, name: str) -> None:
        """A new choice of a select field."""
        if name not in field.choices:
            field.options.setdefault("choices", []).append({"id": self.new_id("sel"), "name": name})

    def add_file(self, record: Record, field: Field, name: str, media_type: str, content: bytes) -> None:
        """Append uploaded bytes to a cell."""
        key = self.new_id("att")
        self.contents[key] = content
        item = {"id": key, "url": _url(key), "filename": name, "size": len(content), "type": media_type}
        record.cells[field.id] = [*record.cells.get(field.id, ()), item]

    def tick(self) -> None:
        """Fetch the links that are due. One that fails takes its attachment away, without a word."""
        due = [each for each in self.downloads if each.due <= self.clock()]
        self.downloads = [each for each in self.downloads if each.due > self.clock()]
        for each in due:
            record = each.table.records.get(each.record_id)
            if record is not None and each.field_id in record.cells:
                self._settle(record, each, self.fetch(each.url))

    def _attached(self, table: Table, record: Record, field_id: str, written: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The list as it replaces the one before: kept items by id, new ones by link."""
        before = {item["id"]: item for cells in table.records.values() for item in cells.cells.get(field_id, ())}
        kept = []
        for each in written:
            if item := before.get(each.get("id", "")):
                kept.append(item)
            elif "url" in each:
                key = self.new_id("att")
                kept.append({"id": key, "url": each["url"], "filename": each.get("filename") or each["url"].rpartition("/")[2]})
                self.downloads.append(Download(self.clock() + self.switches.fetch_seconds, table, record.id, field_id, key, each["url"]))
        return kept

    def _settle(self, record: Record, download: Download, found: tuple[str, bytes] | None) -> None:
        items = []
        for item in record.cells[download.field_id]:
            if item["id"] != download.attachment_id:
                items.append(item)
            elif found is not None:
                self.contents[item["id"]] = found[1]
                items.append({**item, "url": _url(item["id"]), "size": len(found[1]), "type": found[0]})
        record.cells[download.field_id] = items


def _url(key: str) -> str:
    return f"https://files.airtable.test/{key}"


def _options(type_: str) -> dict[str, Any]:
    """What the browser fills in when somebody makes a field."""
    formats: dict[str, Any] = {"dateFormat": {"name": "iso"}}
    made: dict[str, dict[str, Any]] = {
        "checkbox": {"icon": "check", "color": "greenBright"},
        "date": formats,
        "dateTime": {**formats, "timeFormat": {"name": "24hour"}, "timeZone": "utc"},
        "singleSelect": {"choices": [{"name": "new"}]},
        "multipleSelects": {"choices": [{"name": "new"}]},
        "number": {"precision": 0},
        "percent": {"precision": 0},
    }
    return {"options": made[type_]} if type_ in made else {}
