"""A destination in memory: the whole contract, short enough to trust."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from syncjob.core.errors import SyncjobError, Transient
from syncjob.core.model import ATTACHMENTS, EMAILS, Batch, FeedRow, Json, Position, Receipt
from syncjob.core.ports import Clock
from syncjob.core.tables import SQL_TABLES
from syncjob.destinations.sql_rows import Rendered, attachment_rows, render


@dataclass(slots=True)
class Held:
    """What outlives the destination that wrote it."""

    rows: dict[str, dict[str, Rendered]] = field(default_factory=lambda: {stream: {} for stream in SQL_TABLES})
    position: Position | None = None


@dataclass(slots=True)
class MemoryDestination:
    """A `Destination`. Set `fault` to make each verb raise it."""

    name: str
    clock: Clock
    held: Held = field(default_factory=Held)
    fault: SyncjobError | None = None
    streams = tuple(SQL_TABLES)

    def prepare(self) -> Position | None:
        self._fail()
        return self.held.position

    position = prepare

    def deliver(self, batch: Batch, *, by_content: bool = False) -> Receipt:
        self._fail()
        if batch.after and batch.after != self.held.position:
            raise Transient(f"{self.name} was set back, or written by somebody else, meanwhile")
        emails = [row for row in batch.rows if row.stream == EMAILS]
        rows: dict[str, dict[str, Rendered]] = {stream: {} for stream in SQL_TABLES}
        for row in batch.rows:
            rows[row.stream][row.key] = _render(row)
        mine = {email.key for email in emails}
        live = [row for row in self.rows(ATTACHMENTS) if row["email_id"] in mine and not row["deleted"]]
        attached = attachment_rows(emails, live, self.clock.now())
        written = sum(self._write(stream, found, by_content) for stream, found in rows.items())
        self._write(ATTACHMENTS, attached, by_content)
        self.held.position = batch.position
        return Receipt(written)

    def rewrite(self, row: FeedRow) -> None:
        self._fail()
        _render(row)

    def _write(self, stream: str, rows: Mapping[str, Rendered], by_content: bool) -> int:
        held = self.held.rows[stream]
        there = {key for key, row in rows.items() if key in held and (held[key] == row if by_content else held[key].hash == row.hash)}
        held.update({key: row for key, row in rows.items() if key not in there})
        return len(rows) - len(there)

    def rows(self, stream: str, *, after: str = "", keys: Collection[str] | None = None) -> Iterator[Mapping[str, Json]]:
        self._fail()
        for key, row in sorted(self.held.rows[stream].items()):
            if key > after and (keys is None or key in keys):
                yield _named(stream, row)

    def live(self, stream: str) -> Iterator[str]:
        return (key for key, row in sorted(self.held.rows[stream].items()) if not _named(stream, row)["deleted"])

    def rendered(self, row: FeedRow) -> Mapping[str, Json]:
        return _named(row.stream, _render(row))

    def close(self) -> None:
        pass

    def _fail(self) -> None:
        if self.fault:
            raise self.fault


def _render(row: FeedRow) -> Rendered:
    return render(SQL_TABLES[row.stream], row.key, row.data, row.deleted_at)


def _named(stream: str, row: Rendered) -> Mapping[str, Json]:
    names = [column.name for column in SQL_TABLES[stream].columns] + ["deleted", "deleted_at"]
    return dict(zip(names, row.values, strict=True))
