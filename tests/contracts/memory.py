"""A destination in memory: the whole contract, short enough to trust."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from syncjob.core.errors import SyncjobError
from syncjob.core.model import EMAILS, Batch, FeedRow, Json, Position, Receipt
from syncjob.core.ports import Clock
from syncjob.core.tables import ATTACHMENTS_TABLE, TABLES
from syncjob.destinations import ATTACHMENTS
from syncjob.destinations.sql_rows import Rendered, attachment_rows, render

ALL = {**TABLES, ATTACHMENTS: ATTACHMENTS_TABLE}


@dataclass(slots=True)
class Held:
    """What outlives the destination that wrote it."""

    rows: dict[str, dict[str, Rendered]] = field(default_factory=lambda: {stream: {} for stream in ALL})
    position: Position | None = None


@dataclass(slots=True)
class MemoryDestination:
    """A `Destination`. Set `fault` to make each verb raise it."""

    name: str
    clock: Clock
    held: Held = field(default_factory=Held)
    fault: SyncjobError | None = None

    def prepare(self) -> Position | None:
        self._fail()
        return self.held.position

    def deliver(self, batch: Batch) -> Receipt:
        self._fail()
        emails = [row for row in batch.rows if row.stream == EMAILS]
        rows: dict[str, dict[str, Rendered]] = {stream: {} for stream in ALL}
        for row in batch.rows:
            rows[row.stream][row.key] = render(TABLES[row.stream], row.key, row.data, row.deleted_at)
        mine = {email.key for email in emails}
        live = [row for row in self.rows(ATTACHMENTS) if row["email_id"] in mine and not row["deleted"]]
        rows[ATTACHMENTS] = attachment_rows(emails, live, self.clock.now())
        written = sum(self.held.rows[stream].get(key) != row for stream in TABLES for key, row in rows[stream].items())
        for stream, found in rows.items():
            self.held.rows[stream].update(found)
        self.held.position = batch.position
        return Receipt(written)

    def rewrite(self, row: FeedRow) -> None:
        self._fail()
        render(TABLES[row.stream], row.key, row.data, row.deleted_at)

    def rows(self, stream: str, *, after: str = "") -> Iterator[Mapping[str, Json]]:
        self._fail()
        names = [column.name for column in ALL[stream].columns] + ["deleted", "deleted_at"]
        for key, row in sorted(self.held.rows[stream].items()):
            if key > after:
                yield dict(zip(names, row.values, strict=True))

    def close(self) -> None:
        pass

    def _fail(self) -> None:
        if self.fault:
            raise self.fault
