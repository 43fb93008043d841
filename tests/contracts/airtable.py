"""An Airtable base of the sandbox as a place for the contract's tests, and what it shows of a row."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from syncjob.core.model import EMAILS, TASKS, Json
from syncjob.destinations import AirtableApi, AirtableDestination
from syncjob.http.limits import SHARES, Limiter, Window
from syncjob.sandbox import AirtableSwitches, Sandbox
from syncjob.sandbox.airtable import Table
from syncjob.store import LedgerOf, Store
from tests.contracts.places import HandClock, Place

TABLES = {TASKS: "Tasks", EMAILS: "Emails"}
KNOWN = {
    "Tasks": {
        "Project Name": "singleLineText", "Task List": "singleLineText", "Priority": "singleSelect", "Progress": "number",
        "Start At": "date", "Created At": "dateTime", "Completed At": "dateTime", "Parent Task ID": "singleLineText",
    },
    "Emails": {"From Name": "singleLineText", "Message Type": "singleSelect"},
}  # fmt: skip
FAST = (Window(1_000_000, 1),)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LONG = ("description", "body_text", "body_html")


class PatientClock(HandClock):
    """A clock on which waiting takes no time but its own."""

    def wait(self, seconds: float) -> bool:
        self.time += timedelta(seconds=seconds)
        return False


class AirtablePlace(Place):
    """A base with both tables and every known field."""

    many = 250
    monthly_calls: int | None = None
    misses_what_is_removed = False  # that would cost a call

    def __init__(self, folder: Path, *, clock: HandClock | None = None, known: bool = True, **switches: Any) -> None:
        clock = clock or PatientClock()
        super().__init__(self._destination, clock)
        self.sandbox = Sandbox(1, 0, 0, clock=lambda: clock.time.timestamp(), airtable=AirtableSwitches(**switches)).start()
        self.world = self.sandbox.world.airtable
        self.store = Store(folder / "airtable-mirror.db")
        with self.store.begin() as tx:
            tx.mirror.set_meta("mirror", "mirror")
        self.edit, self.remove = self._edit, self._remove
        destination = self._destination()
        destination.tables.create(destination.tables.missing())
        for name, fields in KNOWN.items() if known else ():
            for field, type_ in fields.items():
                self.world.add_field(self.table(name), field, type_)
        destination.close()
        self.calls = len(self.sandbox.log)

    def table(self, name: str) -> Table:
        return self.world.base.table(name)

    @property
    def asked(self) -> int:
        """How many requests were made since this was asked last."""
        before, self.calls = self.calls, len(self.sandbox.log)
        return self.calls - before

    def forget_calls(self) -> None:
        """Count requests from here on."""
        self.calls = len(self.sandbox.log)

    def _destination(self) -> AirtableDestination:
        ledger = LedgerOf(self.store, "airtable")
        limiter = Limiter(FAST, SHARES, self.clock)
        api = AirtableApi(
            self.sandbox.airtable_token, self.world.base.id, limiter, self.clock, ledger, url=self.sandbox.url,
            content_url=self.sandbox.url, tries=3, backoff=0, monthly_calls=self.monthly_calls,
        )  # fmt: skip
        return AirtableDestination(api, ledger, self.clock, base=self.world.base.id, tables=TABLES)

    def _edit(self, stream: str, key: str, column: str, value: str) -> None:
        table = self.table(TABLES[stream])
        field = table.find_field({"title": "Title", "body_html": "Body HTML"}[column])
        assert field
        self._record(stream, key).cells[field.id] = value

    def _remove(self, stream: str, key: str) -> None:
        self.world.remove_record(self.table(TABLES[stream]), self._record(stream, key).id)

    def _record(self, stream: str, key: str) -> Any:
        table = self.table(TABLES[stream])
        return next(record for record in table.records.values() if record.cells[table.fields[0].id] == key)

    def shown(self, row: Mapping[str, Json]) -> Mapping[str, Json]:
        return {name: shown_in_airtable(name, value) for name, value in row.items()}

    def close(self) -> None:
        super().close()
        self.store.close()
        self.sandbox.stop()


def shown_in_airtable(name: str, value: Json) -> Json:
    """A value as Airtable shows it: no empty text or list, names on one line, nothing invisible."""
    if name == "deleted":
        return value
    if name == "source_links":
        web = CONTROL.sub("", (value or {}).get("web") or "")
        return {"web": web} if web else None
    if isinstance(value, list):
        names = [" ".join(CONTROL.sub("", each).split()) for each in value]
        return [each for each in names if each] or None
    if isinstance(value, str):
        text = CONTROL.sub("", value)
        return (text if name in LONG else re.sub(r"\s*[\r\n\u2028\u2029]+\s*", " ", text)) or None
    return value
