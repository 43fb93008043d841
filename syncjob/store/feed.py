"""The changes feed: the mirror's rows in order of their seq, for destinations that read at their own pace."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from syncjob.core import codec
from syncjob.core.model import ATTACHMENTS, EMAILS, NOTHING, Batch, FeedRow, Position
from syncjob.store.files import kept_files
from syncjob.store.mirror import NEWEST_EPOCH, Mirror, among, bound
from syncjob.store.ready import Connection, Ready
from syncjob.store.tables import bodies, destinations, epochs, rows
from syncjob.store.tables import dead_letters as letters

BATCH_ROWS, BATCH_BYTES = 1000, 4_000_000
"""A batch is one transaction of a destination: large enough to be fast, small enough to be cheap to repeat and to hold."""
BARE_BYTES = 100_000
"""What a row without content weighs, since the destination's own content will take its place."""
ATTACHMENT_ROWS = 5000
"""More, because they are small, and each page of them looks through all emails."""

BYTES = sa.func.length(sa.cast(bodies.c.body, sa.LargeBinary))  # of a text it would count letters
ROWS = sa.select(rows.c.stream, rows.c.key, rows.c.seq, rows.c.data, rows.c.deleted_at, bodies.c.body, BYTES).select_from(
    rows.outerjoin(bodies, (bodies.c.stream == rows.c.stream) & (bodies.c.key == rows.c.key))
)
AFTER = Ready(ROWS.where(rows.c.seq > sa.bindparam("after")).order_by(rows.c.seq).limit(sa.bindparam("most")))


class Feed:
    """The feed within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mirror = Mirror(connection)

    def newest(self) -> Position:
        """Where a destination stands that has read everything."""
        _, epoch = self._connection.execute(NEWEST_EPOCH).first() or (0, "")
        return Position(self._mirror.meta("mirror"), epoch, self._mirror.newest_seq())

    def trusts(self, position: Position | None) -> bool:
        """Whether a destination's position speaks of this mirror's own past; else it is adopted: fed from 0."""
        if position is None or position.mirror != self._mirror.meta("mirror") or position.seq > self._mirror.newest_seq():
            return False
        if position.seq == 0:
            return True
        first = self._connection.execute(sa.select(epochs.c.first_seq).where(epochs.c.epoch == position.epoch)).scalars().all()
        later = sa.select(sa.func.min(epochs.c.first_seq)).where(epochs.c.first_seq > max(first, default=0))
        end = self._connection.execute(later).scalar()
        return bool(first) and (end is None or position.seq < end)

    def after(self, seq: int, *, limit: int = BATCH_ROWS, size: int = BATCH_BYTES) -> Batch:
        """The next rows above `seq`, bodies included, bounded in rows and bytes."""
        found = _bounded(self._rows(AFTER, {"after": seq, "most": limit}), size)
        newest = self.newest()
        return Batch(tuple(found), replace(newest, seq=found[-1].seq) if found else newest)

    def behind(self, seq: int) -> int:
        """How many rows wait above `seq`."""
        return self._connection.execute(sa.select(sa.func.count()).where(rows.c.seq > seq)).scalar_one()

    def stretch(self, stream: str, *, after: str, until: str | None = None) -> list[FeedRow]:
        """The next rows behind the key `after`, up to `until`, by key in code point order, bounded as in a batch."""
        if stream == ATTACHMENTS:
            return self._attachments(after, until)
        query = ROWS.where(rows.c.stream == stream, rows.c.seq.is_not(None), _between(rows.c.key, after, until)).order_by(rows.c.key)
        return _bounded(self._rows(query.limit(BATCH_ROWS)), BATCH_BYTES // 2)

    def _attachments(self, after: str, until: str | None) -> list[FeedRow]:
        """Likewise for attachments, which live in their emails. Of two emails that list one, the newer change is right."""
        item = sa.func.json_each(rows.c.data, "$.attachments").table_valued("value", joins_implicitly=True)
        key = sa.func.json_extract(item.c.value, "$.attachment_id")
        query = sa.select(key, rows.c.seq, rows.c.key, item.c.value, rows.c.deleted_at).where(
            rows.c.stream == EMAILS, rows.c.seq.is_not(None), _between(key, after, until)
        )
        found: dict[str, FeedRow] = {}
        for id_, seq, email, value, deleted_at in self._connection.execute(query.order_by(key, rows.c.seq.desc()).limit(ATTACHMENT_ROWS)):
            found.setdefault(id_, FeedRow(ATTACHMENTS, id_, seq, {**codec.read(value), "email_id": email}, deleted_at))
        kept = kept_files(self._connection, found)
        return [replace(row, data={**row.data, **kept.get(row.key, {})}) for row in found.values()]

    def refused(self, reader: str, stream: str, keys: Collection[str]) -> frozenset[str]:
        """Which of these keys a destination has given up on for now."""
        asked = letters.c.part == reader, letters.c.stream == stream, among(letters.c.key)
        return frozenset(self._connection.execute(sa.select(letters.c.key).where(*asked), {"keys": bound(keys)}).scalars())

    def row(self, stream: str, key: str) -> FeedRow | None:
        """The row of a key as it is now; None: it has none, or none that destinations hear of."""
        query = ROWS.where(rows.c.stream == stream, rows.c.key == key, rows.c.seq.is_not(None))
        return next((row for row, _ in self._rows(query)), None)

    def witness(self, reader: str, stream: str, seq: int) -> list[FeedRow]:
        """The newest row that a destination which read up to `seq` took, of this stream if there is any; a list of one or none."""
        refused = sa.exists().where(letters.c.part == reader, letters.c.stream == rows.c.stream, letters.c.key == rows.c.key)
        bare = sa.type_coerce(rows.c.data, sa.Text) == "{}"  # its content is only there, so it cannot be written again from here
        taken = ROWS.where(rows.c.seq <= seq, ~refused, ~bare).order_by(rows.c.seq.desc()).limit(1)
        return [row for row, _ in (*self._rows(taken.where(rows.c.stream == stream)), *self._rows(taken))][:1]

    def _rows(self, query: sa.Select[Any] | Ready, asked: Mapping[str, Any] = NOTHING) -> Iterator[tuple[FeedRow, int]]:
        """The rows and their sizes, fetched one by one: fifty large mails at a time would be more than a batch may hold."""
        statement = query if isinstance(query, Ready) else Ready(query)
        for stream, key, at, data, deleted_at, body, size in self._connection.each(statement, asked):
            data = {**data, **(body or {})}
            if data.get("attachments"):
                kept = kept_files(self._connection, [each["attachment_id"] for each in data["attachments"]])
                data["attachments"] = [{**each, **kept.get(each["attachment_id"], {})} for each in data["attachments"]]
            yield FeedRow(stream, key, at, data, deleted_at), 1000 + (size or 0) if data else BARE_BYTES

    def note(self, name: str, *, seq: int | None, now: datetime, level: bool, error: str | None) -> None:
        """Keep for `status` how far a destination was when it was last asked; its own position decides."""
        times = {"level_at": now if level else None, "behind_since": None if level else now}
        self._connection.execute(_note(level=level, knows_seq=seq is not None), {"name": name, "seq": seq or 0, "error": error, **times})

    def level_at(self, name: str) -> datetime | None:
        """When a destination had read all that there was, for the last time."""
        return self._connection.execute(sa.select(destinations.c.level_at).where(destinations.c.name == name)).scalar()

    def noted(self) -> Sequence[Mapping[str, Any]]:
        """What was noted last of each destination."""
        return [dict(found) for found in self._connection.execute(destinations.select()).mappings()]


@cache
def _note(*, level: bool, knows_seq: bool) -> Ready:
    statement = insert(destinations)
    new = statement.excluded
    kept: dict[str, Any] = {"error": new.error} | ({"seq": new.seq} if knows_seq else {})
    kept["level_at"] = sa.func.coalesce(new.level_at, destinations.c.level_at)
    kept["behind_since"] = None if level else sa.func.coalesce(destinations.c.behind_since, new.behind_since)
    return Ready(
        statement.on_conflict_do_update(index_elements=["name"], set_=kept), ["name", "seq", "error", "level_at", "behind_since"]
    )


def _bounded(found: Iterable[tuple[FeedRow, int]], size: int) -> list[FeedRow]:
    """The first rows, until they weigh so much."""
    taken, total = [], 0
    for row, weight in found:
        taken.append(row)
        total += weight
        if total >= size:
            break
    return taken


def _between(key: sa.ColumnElement[str], after: str, until: str | None) -> sa.ColumnElement[bool]:
    return key > after if until is None else sa.and_(key > after, key <= until)
