"""What must hold after every cycle, and what at the end: checked against the chronicle, never against the job's own words."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from syncjob.core.model import EMAILS, TASKS
from syncjob.core.tables import TABLES
from syncjob.cycle import SourcePart
from syncjob.delivery import DestinationPart
from syncjob.destinations.airtable_cells import shown
from syncjob.destinations.airtable_fields import FIELDS
from syncjob.destinations.sql import ATTACHMENTS, SqlDestination
from syncjob.sources.proof import NO_CONVERSATION, NOT_FOUND
from tests.contracts.airtable import shown_in_airtable
from tests.histories.chronicle import Chronicle, canonical, plain
from tests.histories.machine import AIRTABLE, STREAM_OF, Machine
from tests.histories.plan import SWEEPS

ALWAYS_ALLOWED = 20
SLACK = 2
"""Stamps are whole seconds."""
NAMED_BY_OTHERS = ("project_name", "tasklist_name", "tags", "assignees", "project_id")
"""Columns that are empty while nobody has named what they refer to."""
WITHHELD = ("body_html", "to_addresses", "cc_addresses", "bcc_addresses")
"""Columns of a redacted message that only who had read it before can hold."""


class Judge:
    """Finds what a history did wrong, one line each."""

    def __init__(self, machine: Machine, chronicle: Chronicle) -> None:
        self._machine, self._chronicle = machine, chronicle
        self.lied = False  # an answer looked right and was not: a poll may have missed something since
        self._by_directories = machine.sandbox.switches.teamwork_sideloads != "all"
        self.strangers = False  # the state folder was lost or set back
        self.known_from: dict[str, float] = {}
        self._live: dict[str, int] = {}
        self.found: list[str] = []
        machine.watch = self.watch

    # -- in between

    def watch(self, part: SourcePart) -> None:
        """After each step of a source: never more deletions at once than the guard allows, unless a person said so."""
        stream = STREAM_OF[part.name]
        live, before = self._count("SELECT live FROM streams WHERE stream = ?", stream), self._live.get(stream, 0)
        self._live[stream] = live
        lost = before - live
        if lost > ALWAYS_ALLOWED and not self._machine.allowed:
            at_start = self._count("SELECT live FROM walks WHERE stream = ? ORDER BY finished_at DESC LIMIT 1", stream)
            if lost > self._machine.plan.share * max(before, at_start):
                self.found.append(f"guard: {lost} of {before} rows of {stream} deleted at once, without a word")

    def _count(self, query: str, stream: str) -> int:
        assert self._machine.store
        with closing(self._machine.store._engine.raw_connection()) as connection:  # to open one each time would take a tenth of all
            row = connection.cursor().execute(query, (stream,)).fetchone()
        return int(row[0]) if row else 0

    def forget(self) -> None:
        """The state folder is another one now."""
        self._live.clear()

    def after_cycle(self) -> list[str]:
        """What is wrong now."""
        rows = self._rows()
        self.found += self._false_deletions(rows)
        self.found += self._inventions(rows)
        self.found += self._accounts()
        self.found += self._delivered(rows)
        if not self.lied:
            self.found += self._known_too_early(rows)
        return self.found

    def _mirror(self) -> Path:
        return self._machine.state / "mirror.db"

    def _rows(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """The mirror's rows with content."""
        query = """
            SELECT * FROM rows LEFT JOIN bodies USING (stream, key)
            WHERE coalesce(data, '{}') != '{}' AND stream != 'missive.conversations'
        """  # what only a destination knew is buried as a row without content
        with _open(self._mirror()) as connection:
            connection.row_factory = sqlite3.Row
            found = [dict(row) for row in connection.execute(query)]
        for row in found:
            row["data"] = json.loads(row["data"]) | json.loads(row["body"] or "{}")
        return {(row["stream"], row["key"]): row for row in found}

    def _false_deletions(self, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[str]:
        """A row is deleted only if the record was gone at some moment since the answer that said so."""
        for (stream, key), row in rows.items():
            if row["deleted_at"] is None:
                continue
            name = "teamwork" if stream == TASKS else "missive"
            seen = self._seen(name, key, row)
            lag = self._lag(name)
            if seen is not None and self._chronicle.was_live_all_the_time(stream, key, seen - lag):
                yield f"false deletion: {stream} {key} ({row['deleted_why']}, observation {row['observed']})"

    def _seen(self, name: str, key: str, row: Mapping[str, Any]) -> float | None:
        """When the answer was true that a deletion rests on: a mail that goes with its conversation goes by that one's, and what
        was looked up in vain goes by that, though a control confirmed it later."""
        query = "SELECT key, observed FROM rows WHERE stream = 'missive.conversations' AND key = ? AND deleted_why = ?"
        with _open(self._mirror()) as connection:
            found = connection.execute(query, (row["parent"], row["deleted_why"])).fetchone()
        where, observed = found or (key, row["observed"])
        seen = self._machine.times.get((name, int(observed)))
        if seen is None or row["deleted_why"] not in (NOT_FOUND, NO_CONVERSATION):
            return seen
        return max((missed for missed in self._machine.missed[where] if missed <= seen), default=seen)

    def _lag(self, name: str) -> int:
        return int(getattr(self._machine.sandbox.switches, f"{name}_lag_seconds"))

    def _inventions(self, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[str]:
        """Every key was visible at some time, every cell is one that the record had at some time."""
        for (stream, key), row in rows.items():
            if not self._chronicle.was_there(stream, key):
                yield f"invented: {stream} {key}"
            elif self._chronicle.was_live(stream, key):
                yield from (f"invented: {what}" for what in self._strange_cells(stream, key, row["data"]))

    def _strange_cells(self, stream: str, key: str, data: Mapping[str, Any]) -> Iterator[str]:
        for column in TABLES[stream].columns:
            value = _clean(data.get(column.name))
            if column.name == "body_text" or self._chronicle.had(stream, key, column.name, value):
                continue
            if column.name in ("thread_id", "source_links") and data["thread_id"] in self._chronicle.threads[key]:
                continue
            if column.name == "labels" and self._had_labels(data["thread_id"], value):
                continue
            if column.name in NAMED_BY_OTHERS and (_may_be_nameless(value) or self._by_directories):
                continue
            if column.name in WITHHELD and not value and key in self._chronicle.redacted:
                continue
            yield f"{stream} {key}.{column.name} = {value!r}"

    def _had_labels(self, conversation: str, labels: Any) -> bool:
        """Whether a conversation had these labels, be it before it had the message. What lags may show the old ones by their new names."""
        ever = self._chronicle.labels[conversation]
        if self._lag("missive"):
            return set(labels) <= {label for text in ever for label in json.loads(text)}
        return canonical(labels) in ever

    def _accounts(self) -> Iterator[str]:
        """Each finished walk accounts for what it met; the live count is the number of live rows."""
        with _open(self._mirror()) as connection:
            for id_, stream, fetched, verdicts in connection.execute(
                "SELECT id, stream, fetched, verdicts FROM walks WHERE finished_at IS NOT NULL"
            ):
                if fetched != sum(json.loads(verdicts or "{}").values()):
                    yield f"account: walk {id_} of {stream} fetched {fetched}, but {verdicts}"
            for stream, live in connection.execute("SELECT stream, live FROM streams"):
                count = "SELECT count(*) FROM rows WHERE stream = ? AND deleted_at IS NULL AND data IS NOT NULL"
                rows = connection.execute(count, (stream,)).fetchone()[0]
                if rows != live and stream in TABLES:
                    yield f"account: {live} live rows of {stream} counted, there are {rows}"

    def _delivered(self, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[str]:
        """A destination that is level says live and deleted as the mirror does, but for rows that it refused, which is told."""
        for part in self._machine.destinations:
            if any(error.startswith(f"{part.name}:") for error in self._machine.errors):
                continue
            if part.name == "airtable" and self.strangers:
                continue  # its books were set back with the mirror: what is found again is written again, in a sweep at last
            refused = self._excused(part.name)
            for stream in TABLES:
                for row in self._held(part, stream):
                    key = row[TABLES[stream].key]
                    mirrored = rows.get((stream, key))
                    if mirrored and key not in refused and (mirrored["deleted_at"] is not None) != row["deleted"]:
                        yield f"delivered: {part.name} says deleted={row['deleted']} of {stream} {key}, the mirror does not"

    # -- no stream is known past what is durable

    def _known_too_early(self, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[str]:
        """What changed before the checkpoint, in a way that a poll can see, is in the mirror."""
        for name, check in (("teamwork", self._late_tasks), ("missive", self._late_mails)):
            if name in self._machine.plan.faces and (checkpoint := self._checkpoint(STREAM_OF[name])):
                first = self.known_from.setdefault(name, checkpoint)
                yield from check(rows, first, checkpoint - self._lag(name) - SLACK, self._excused(name))

    def _excused(self, name: str) -> set[str]:
        """Records and conversations for which the checkpoint does not wait: dead letters, and what a full walk has still to ask."""
        query = """
            SELECT key FROM dead_letters WHERE part = :name
            UNION SELECT key FROM wants JOIN walks ON walks.id = wants.walk WHERE source = :name AND walks.kind = 'full'
        """
        with _open(self._mirror()) as connection:
            return {key for (key,) in connection.execute(query, {"name": name})}

    def _checkpoint(self, stream: str) -> float | None:
        with _open(self._mirror()) as connection:
            row = connection.execute("SELECT checkpoint FROM streams WHERE stream = ?", (stream,)).fetchone()
        return datetime.strptime(row[0], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp() if row and row[0] else None

    def _late_tasks(
        self, rows: Mapping[tuple[str, str], Mapping[str, Any]], first: float, last: float, excused: set[str]
    ) -> Iterator[str]:  # fmt: skip
        for key in self._chronicle.rows[TASKS].keys() - excused:
            stamp = self._machine.sandbox.world.teamwork.tasks[int(key)].updated_at
            row = rows.get((TASKS, key))
            if not first < stamp < last or self._chronicle.live_since[TASKS, key] > stamp:
                continue
            if row is None or row["data"]["updated_at"] < plain(datetime.fromtimestamp(stamp, UTC)):
                yield f"known too early: {TASKS} {key} changed at {stamp}, before the checkpoint"

    def _late_mails(
        self, rows: Mapping[tuple[str, str], Mapping[str, Any]], first: float, last: float, excused: set[str]
    ) -> Iterator[str]:  # fmt: skip
        world = self._machine.sandbox.world.missive
        lost = [row for (stream, key), row in rows.items() if stream == EMAILS and key not in self._chronicle.rows[EMAILS]]
        evened = {row["parent"] for row in lost if row["deleted_at"] is None or _since_it_was_active(row, world)}  # an equal count
        for key in self._chronicle.rows[EMAILS].keys() - excused:
            conversation = world.conversations[world.messages[key].conversation_id]
            stamp = conversation.last_activity_at
            if not first < stamp < last or self._chronicle.live_since[EMAILS, key] > stamp or conversation.id in evened:
                continue
            if (EMAILS, key) not in rows and conversation.id not in excused:
                yield f"known too early: {EMAILS} {key}, its conversation was active at {stamp}, before the checkpoint"

    # -- at the end

    def at_the_end(self, *, full: bool) -> list[str]:
        """Where a destination is not the truth. After a sweep, what no sweep can see is left out.

        So is what only a directory names: one is read for ids that nobody knows, and by a full resync, which finds what was renamed, and
        what came into sight when its id was known to be nameless.
        """
        self._by_directories &= not full
        for part in self._machine.destinations:
            for stream in TABLES:
                blind = set() if full else self._chronicle.blind(stream)
                found = {row[TABLES[stream].key]: row for row in self._held(part, stream)}
                show = shown_in_airtable if part.name == "airtable" else as_it_is
                self.found += (f"end: {part.name} {line}" for line in self._differences(stream, found, blind, show))
            if isinstance(part.destination, SqlDestination):
                self.found += (f"end: {part.name} {line}" for line in self._attachments(part.destination, full=full))
        return self.found

    def _held(self, part: DestinationPart, stream: str) -> Iterator[Mapping[str, Any]]:
        """What a destination holds. Airtable's base is looked into, since asking it could fail; no key is there twice."""
        if part.name != "airtable":
            yield from part.destination.rows(stream)
            return
        table = self._machine.sandbox.world.airtable.base.table(AIRTABLE[stream])
        columns = {field.column: (field.name, table.find_field(field.name)) for field in FIELDS[stream]}
        types = {column: field.type for column, (_, field) in columns.items() if field}
        for cells in table.rows(table.fields[0].name).values():
            yield shown(stream, {column: cells.get(name) for column, (name, _) in columns.items()}, types)

    def _attachments(self, destination: SqlDestination, *, full: bool) -> Iterator[str]:
        """The live attachments are those of the live emails; of a redacted email they may be kept or not."""
        blind = set() if full else self._chronicle.blind(EMAILS)
        emails = {key for key, row in self._chronicle.rows[EMAILS].items() if not self._is_blind(EMAILS, key, row, blind)}
        truth = self._machine.sandbox.truth.attachments(self._machine.plan.process_after)
        found = {row["attachment_id"]: row for row in destination.rows(ATTACHMENTS) if not row["deleted"]}
        for key, expected in truth.items():
            if expected["email_id"] in emails - self._chronicle.redacted:
                row = found.get(key, {})
                yield from (f"attachment {key}.{name} is {row.get(name)!r}" for name, value in expected.items() if row.get(name) != value)
        gone = (row for key, row in found.items() if key not in truth and row["email_id"] in emails)
        yield from (f"attachment {row['attachment_id']} is live, but gone at the source" for row in gone)

    def _differences(
        self, stream: str, found: Mapping[str, Mapping[str, Any]], blind: set[str], show: Callable[[str, Any], Any]
    ) -> Iterator[str]:
        truth = self._chronicle.rows[stream]
        for key, row in found.items():
            if SWEEPS and key not in truth and not row["deleted"] and not self._is_kept(stream, key, row, blind):
                yield f"{stream} {key} is live, but gone at the source"
            if not self._chronicle.was_there(stream, key):
                yield f"{stream} {key} is invented"
        for key, expected in truth.items():
            if self._is_blind(stream, key, expected, blind):
                continue
            if key not in found:
                yield f"{stream} {key} is missing"
            elif found[key]["deleted"]:
                yield f"{stream} {key} is marked as deleted, but is not"
            else:
                yield from self._wrong_cells(stream, key, found[key], expected, show)

    def _wrong_cells(
        self, stream: str, key: str, row: Mapping[str, Any], expected: Mapping[str, Any], show: Callable[[str, Any], Any]
    ) -> Iterator[str]:
        for name, value in expected.items():
            if (not SWEEPS and name in NAMED_BY_OTHERS) or name not in row:
                continue
            if name in NAMED_BY_OTHERS and self._by_directories:
                continue
            was_read_before = not row[name] or self._chronicle.had(stream, key, name, row[name])
            if name in WITHHELD and key in self._chronicle.redacted and was_read_before:
                continue
            if row[name] != show(name, plain(value)):
                yield f"{stream} {key}.{name} is {row[name]!r} instead of {plain(value)!r}"

    def _is_blind(self, stream: str, key: str, row: Mapping[str, Any], blind: set[str]) -> bool:
        return (key if stream == TASKS else row["thread_id"]) in blind

    def _is_kept(self, stream: str, key: str, row: Mapping[str, Any], blind: set[str]) -> bool:
        """Whether a record that is gone may stay live: access was refused (403), or no sweep could tell."""
        switches, world = self._machine.sandbox.switches, self._machine.sandbox.world
        if self._is_blind(stream, key, row, blind):
            return True
        if stream == TASKS:
            task = world.teamwork.tasks.get(int(key))
            if switches.teamwork_deleted_marks == "none" and switches.teamwork_ids_list_deleted and not switches.teamwork_hide_deleted:
                return True  # a deleted task is shown like any other, and only lists leave it out, which proves nothing
            return switches.teamwork_lost_access == 403 and task is not None and not world.teamwork.may_see(task, world.teamwork.me)
        homes = {world.missive.survivor(home) for home in self._chronicle.threads[key]} & world.missive.conversations.keys()
        lost = any(world.missive.me not in world.missive.conversations[home].flags for home in homes)
        return switches.missive_lost_access == 403 and lost


def as_it_is(name: str, value: Any) -> Any:
    return value


def _open(path: Path) -> Any:
    return _Connection(path)


class _Connection:
    """A connection that reads, closed at the end of its block."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _clean(value: Any) -> Any:
    """A text as a database can hold it."""
    from tests.walks.bench import _clean as cleaned

    return cleaned(value)


def _may_be_nameless(value: Any) -> bool:
    return not value or isinstance(value, list)


def _since_it_was_active(row: Mapping[str, Any], world: Any) -> bool:
    """Whether an email went in the second in which its conversation was active last, or later."""
    conversation = world.conversations.get(row["parent"])
    active = conversation and datetime.fromtimestamp(conversation.last_activity_at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return bool(active) and row["deleted_at"][:19] >= active
