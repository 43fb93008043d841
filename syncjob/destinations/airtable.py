"""Airtable as a destination.

Airtable has no transactions and no unique keys, and every call counts. So rows go in tens, by PATCH with `performUpsert`, each ten
all or none; what was written is noted in the ledger ten by ten, and what would be written as it is there is not sent. A crash
between an answer and its note repeats that one ten, which changes nothing.
"""

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from syncjob.core.errors import ConfigError, Rejected, Transient
from syncjob.core.model import EMAILS, TASKS, Batch, Entry, FeedRow, Json, Position, Receipt, Rejection
from syncjob.core.ports import Clock, Ledger
from syncjob.core.tables import SQL_TABLES
from syncjob.destinations.airtable_api import RECORD_ID, AirtableApi, TooLarge, Unprocessable, Unreadable
from syncjob.destinations.airtable_cells import cells, hashed, shown
from syncjob.destinations.airtable_files import ADOPTED
from syncjob.destinations.airtable_tables import AirtableTables

log = logging.getLogger("syncjob")
TEN, PAGE = 10, 100
NO_CHOICE, NO_ROW = "INVALID_MULTIPLE_CHOICE_OPTIONS", "ROW_DOES_NOT_EXIST"
NAMES_A_FIELD = (NO_CHOICE, "INVALID_VALUE_FOR_COLUMN", "UNKNOWN_FIELD_NAME")
SELECTS = ("singleSelect", "multipleSelects")
FULL = re.compile(r"\b(records?|rows?)\b.*\blimit|\blimit\b.*\b(records?|rows?)\b|ROW_LIMIT", re.IGNORECASE)
"""No document says how Airtable refuses one record too many; its messages do speak of it."""

LEFT_OUT = ": its choices were left out; let the token's user make choices, or make it by hand"
UNHASHED = ""
"""Equal to no rendering: what the record holds is not known, and is read when its row comes by."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """One row ready to be sent: its cells by column, and the record that holds it, if that is known."""

    row: FeedRow
    cells: Mapping[str, Json]
    record: str | None

    @property
    def key(self) -> str:
        return self.row.key


class AirtableDestination:
    """A `Destination` in one base. Nothing connects before there is something to send."""

    name = "airtable"
    streams: tuple[str, ...] = (TASKS, EMAILS)

    def __init__(self, api: AirtableApi, ledger: Ledger, clock: Clock, *, base: str, tables: Mapping[str, str], files: bool = True) -> None:
        """`tables`: the name or id of each stream's table. `files`: the emails' table shows attachments."""
        self._api, self._ledger = api, ledger
        self.tables = AirtableTables(api, ledger, clock, base, tables, files=files)

    def prepare(self) -> Position | None:
        """How far it has read, by the ledger; None: never, or it is another base now. Asks nobody."""
        self.tables.load()
        return self._ledger.position()

    def position(self) -> Position | None:
        """How far it has read, by the ledger."""
        return self._ledger.position() if self.tables.is_ours() else None

    def deliver(self, batch: Batch, *, by_content: bool = False) -> Receipt:
        """Send what is not there yet, in tens, each of them noted; then keep the position, unless bad rows are told in the receipt.

        Raises ConfigError, before anything is written, where a table does not fit.
        """
        self.tables.looked = False
        refused = list[Rejection]()
        written = 0
        try:
            if batch.rows and not self.tables.are_known():
                self._look()
            for stream, rows in groupby(sorted(batch.rows, key=attrgetter("stream")), key=attrgetter("stream")):
                outgoing = self._outgoing(stream, list(rows), refused, by_content=by_content)
                if outgoing and self.tables.is_stale():
                    self._look()
                for start in range(0, len(outgoing), TEN):
                    ten = outgoing[start : start + TEN]
                    refused += (bad := self._ten(stream, ten))
                    written += len(ten) - len(bad)
        except _Reshaped:
            return Receipt(written, again=True)
        if not refused:
            self._ledger.stand(batch.position)
        return Receipt(written, tuple(refused))

    def rewrite(self, row: FeedRow) -> None:
        """Send a row whether or not it is equal."""
        types = self.tables[row.stream].types
        known = self._ledger.entries(row.stream, [row.key])
        record = known[row.key].record if row.key in known else None
        try:
            self._upsert(row.stream, [_Outgoing(row, cells(row, types), record)])
        except (Unprocessable, TooLarge) as error:
            if record and isinstance(error, Unprocessable) and error.type == NO_ROW:
                self._ledger.strike(row.stream, [row.key])
                return self.rewrite(row)
            raise Rejected(f"refused by Airtable: {error}") from None

    def check(self) -> str:
        """What tables it has, if they fit. Raises ConfigError."""
        return self.tables.check()

    def rows(self, stream: str, *, after: str = "", keys: Collection[str] | None = None) -> Iterator[Mapping[str, Json]]:
        """What it holds of the columns that the table shows, by key. Of a key that is there twice, the oldest record."""
        shape = self.tables[stream]
        wanted = sorted(key for key in (self._listed(stream) if keys is None else keys) if key > after)
        for start in range(0, len(wanted), PAGE):
            found = self._read(stream, wanted[start : start + PAGE])
            yield from (shown(stream, found[key][1], shape.types) for key in sorted(found))

    def live(self, stream: str) -> Iterator[str]:
        """The keys of the records that are not ticked as deleted."""
        return iter(sorted(key for key, deleted in self._listed(stream).items() if not deleted))

    def rendered(self, row: FeedRow) -> Mapping[str, Json]:
        """The row as `rows` shows it."""
        types = self.tables[row.stream].types
        return shown(row.stream, cells(row, types), types)

    def close(self) -> None:
        """Let go of the connection."""
        self._api.close()

    # --- sending ---

    def _outgoing(self, stream: str, rows: Sequence[FeedRow], refused: list[Rejection], *, by_content: bool) -> list[_Outgoing]:
        """The rows that have to be sent. A record that this ledger did not write is read first: a mirror made anew finds its rows there."""
        types = self.tables[stream].types
        known = self._ledger.entries(stream, [row.key for row in rows])
        doubtful = dict.fromkeys(row.key for row in rows if by_content or (row.key in known and known[row.key].hash == UNHASHED))
        there = self._read_or_look(stream, list(doubtful)) if doubtful else {}
        found, equal = [], {}
        for row in rows:
            try:
                rendered = cells(row, types)
            except Rejected as error:
                refused.append(Rejection(row.stream, row.key, error.message, ""))
                continue
            if row.key in doubtful:
                record, content = there.get(row.key, (None, {}))
                is_equal = record is not None and _is_shown(stream, content, rendered, types)
            else:
                entry = known.get(row.key)
                record, is_equal = (entry.record, entry.hash == hashed(rendered)) if entry else (None, False)
            if not is_equal:
                found.append(_Outgoing(row, rendered, record))
            elif record and row.key in doubtful:
                equal[row.key] = Entry(record, hashed(rendered))
        if any(key not in known or known[key].record != record for key, (record, _) in there.items()):
            self._ledger.note(ADOPTED, True)  # before the records are known: it is not forgotten by a crash
        if equal:
            self._ledger.enter(stream, equal)
        return found

    def _look(self) -> None:
        """Look at the tables. Raises _Reshaped where they are other than they were."""
        if self.tables.look():
            raise _Reshaped

    def _ten(self, stream: str, rows: Sequence[_Outgoing]) -> list[Rejection]:
        """Write ten rows; those that are refused. What is refused for all of them is no fault of theirs: Transient. But where
        their choices alone were left out, the table takes rows."""
        bad = self._write(stream, rows)
        if len(bad) == len(rows) > 1 and not any(each.error.endswith(LEFT_OUT) for each in bad):
            raise Transient(f"Airtable refused every row of a request: {bad[0].error}", hint="nothing is lost; see what it says")
        return bad

    def _write(self, stream: str, rows: Sequence[_Outgoing], *, again: bool = False) -> list[Rejection]:
        """Write these rows, and halve them where some are refused; those that stand refused alone."""
        try:
            self._upsert(stream, rows)
        except TooLarge:
            if len(rows) == 1:
                return [_rejection(rows[0], "too large for Airtable")]
        except Unprocessable as error:
            if any(each.record is None for each in rows) and FULL.search(f"{error.type} {error.message}"):
                raise ConfigError(f"Airtable: {error.message}", hint="the base is full: delete records, or change the plan") from None
            if not self.tables.looked:
                self._look()
            if error.type == NO_ROW and any(each.record for each in rows):
                return self._write(stream, self._without(stream, rows, RECORD_ID.findall(error.message)))
            if len(rows) == 1 and again:
                return self._refused(stream, rows[0], error)
            if len(rows) == 1:
                return self._write(stream, [self._settled(stream, rows[0], error)], again=True)
        else:
            return []
        middle = len(rows) // 2
        return self._write(stream, rows[:middle]) + self._write(stream, rows[middle:])

    def _upsert(self, stream: str, rows: Sequence[_Outgoing], *, leave_out: Collection[str] = ()) -> None:
        """One request, and its note."""
        shape = self.tables[stream]
        records = [
            {"fields": {shape.names[name]: cell for name, cell in each.cells.items() if name not in leave_out}}
            | ({"id": each.record} if each.record else {})
            for each in rows
        ]
        ids, made = self._api.upsert(shape.table, records, shape.names[SQL_TABLES[stream].key])
        if any(each.record is None and id_ not in made for each, id_ in zip(rows, ids, strict=True)):
            self._ledger.note(ADOPTED, True)  # before the records are known: it is not forgotten by a crash
        hashes = [UNHASHED if leave_out else hashed(each.cells) for each in rows]
        self._ledger.enter(stream, {each.key: Entry(id_, hash_) for each, id_, hash_ in zip(rows, ids, hashes, strict=True)})

    def _without(self, stream: str, rows: Sequence[_Outgoing], gone: Collection[str]) -> list[_Outgoing]:
        """The rows, those whose record is gone without its id: they are found by key, or made anew. Where none is named: all."""
        lost = [each for each in rows if each.record in gone] or [each for each in rows if each.record]
        self._ledger.strike(stream, [each.key for each in lost])
        return [_Outgoing(each.row, each.cells, None) if each in lost else each for each in rows]

    def _settled(self, stream: str, each: _Outgoing, error: Unprocessable) -> _Outgoing:
        """A refused row as it is tried once more: where its key is in the table twice, by the id of the older record."""
        if each.record or error.type in NAMES_A_FIELD:
            return each
        found = self._read(stream, [each.key])
        return _Outgoing(each.row, each.cells, found[each.key][0]) if found else each

    def _refused(self, stream: str, each: _Outgoing, error: Unprocessable) -> list[Rejection]:
        """A row that is refused alone. Where only a new choice may not be made, the rest of it is written."""
        said = error.message
        if error.type == NO_CHOICE:
            types = self.tables[stream].types
            with suppress(Unprocessable, TooLarge):
                self._upsert(stream, [each], leave_out=[name for name, type_ in types.items() if type_ in SELECTS])
                said += LEFT_OUT
        return [_rejection(each, said)]

    # --- reading ---

    def _listed(self, stream: str) -> dict[str, bool]:
        """Every key of the table, and whether it is ticked as deleted. Records that nobody knew are noted on the way."""
        shape = self.tables[stream]
        key, deleted = (shape.names[name] for name in (SQL_TABLES[stream].key, "deleted"))
        records = self._by_key(stream, self._api.pages(shape.table, [key, deleted]))
        known = self._ledger.entries(stream, records)
        if strange := {each: Entry(found["id"], UNHASHED) for each, found in records.items() if each not in known}:
            self._ledger.note(ADOPTED, True)
            self._ledger.enter(stream, strange)
        return {each: bool(found["fields"].get(deleted)) for each, found in records.items()}

    def _read(self, stream: str, keys: Sequence[str]) -> dict[str, tuple[str, dict[str, Json]]]:
        """The records of these keys: their ids, and their cells by column."""
        from pyairtable.formulas import EQ, OR, Field

        shape = self.tables[stream]
        names = {name: column for column, name in shape.names.items()}
        found: dict[str, tuple[str, dict[str, Json]]] = {}
        for start in range(0, len(keys), PAGE):
            terms = [EQ(Field(shape.names[SQL_TABLES[stream].key]), key) for key in keys[start : start + PAGE]]
            records = self._by_key(stream, self._api.pages(shape.table, list(names), formula=str(OR(*terms))))
            found |= {key: (each["id"], {names[name]: cell for name, cell in each["fields"].items()}) for key, each in records.items()}
        return found

    def _read_or_look(self, stream: str, keys: Sequence[str]) -> dict[str, tuple[str, dict[str, Json]]]:
        """The same, where a field may have another name since the tables were looked at."""
        if self.tables.is_stale():
            self._look()
        try:
            return self._read(stream, keys)
        except Unreadable:
            if not self.tables.looked:
                self._look()
            raise

    def _by_key(self, stream: str, records: Sequence[Json]) -> dict[str, Json]:
        """Records by key, the oldest of each; a key that is there twice is told."""
        name = self.tables[stream].names[SQL_TABLES[stream].key]
        found: dict[str, Json] = {}
        for each in sorted(records, key=lambda record: (record["createdTime"], record["id"])):
            if key := each["fields"].get(name):
                if key in found and found[key]["id"] != each["id"]:  # one record may be on two pages
                    log.warning(
                        "airtable: %s has several records for %s %r: %s is kept up to date; delete %s",
                        self.tables.names[stream], name, key, found[key]["id"], each["id"],
                    )  # fmt: skip
                found.setdefault(key, each)
        return found


def _is_shown(stream: str, content: Mapping[str, Json], rendered: Mapping[str, Json], types: Mapping[str, str]) -> bool:
    """Whether a record shows what would be written. Not where a field has another type since the tables were looked at."""
    try:
        return shown(stream, content, types) == shown(stream, rendered, types)
    except (AttributeError, TypeError, ValueError):
        return False


class _Reshaped(Exception):
    """The tables changed while rows were sent."""


def _rejection(each: _Outgoing, what: str) -> Rejection:
    return Rejection(each.row.stream, each.key, f"refused by Airtable: {what}", "")
