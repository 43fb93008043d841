"""Dead letters: records that were given up on for now, each with its error. They are counted, shown, and heal by themselves."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from syncjob.core.model import Rejection
from syncjob.store.mirror import among, bound
from syncjob.store.tables import dead_letters as table
from syncjob.store.tables import rows

KEY = ("part", "stream", "key")
UNBURY = table.delete().where(table.c.part == sa.bindparam("part_"), table.c.stream == sa.bindparam("stream_"), among(table.c.key))


@dataclass(frozen=True, slots=True)
class Letter:
    """What a part could not read or was refused. `raw`: the record as the source sent it; empty for a destination's, whose
    record is in the mirror."""

    part: str
    stream: str
    key: str
    error: str
    raw: str
    first_at: datetime
    last_at: datetime


class Letters:
    """Dead letters within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def bury(self, part: str, found: Iterable[Rejection], *, walk: int | None, now: datetime) -> None:
        """Keep records that were given up on for now; of one that is known already, what is said of it now."""
        for each in found:
            values: dict[str, Any] = {"error": each.error, "raw": each.raw, "walk": walk, "last_at": now}
            statement = insert(table).values(part=part, stream=each.stream, key=each.key, first_at=now, **values)
            self._connection.execute(statement.on_conflict_do_update(index_elements=KEY, set_=values))

    def unbury(self, part: str, stream: str, keys: Collection[str]) -> None:
        """Forget dead letters of keys that went through."""
        self._connection.execute(UNBURY, {"part_": part, "stream_": stream, "keys": bound(keys)})

    def forget_unmet(self, part: str, streams: Collection[str], *, since: datetime) -> None:
        """Forget a source's letters of before `since` whose row was deleted, or that have no row and belong to one of `streams`,
        which a complete walk has listed since then without meeting them."""
        same = (rows.c.stream == table.c.stream) & (rows.c.key == table.c.key)
        unmet = table.c.stream.in_(streams) & ~sa.exists().where(same)
        deleted = sa.exists().where(same, rows.c.deleted_at.is_not(None))
        self._connection.execute(table.delete().where(table.c.part == part, table.c.last_at < since, unmet | deleted))

    def find(self, part: str | None = None, key: str | None = None) -> list[Letter]:
        """The letters of a part, or of all parts; of a key, or of all keys."""
        asked = [column == value for column, value in ((table.c.part, part), (table.c.key, key)) if value is not None]
        columns = [table.c[name] for name in Letter.__dataclass_fields__]
        query = sa.select(*columns).where(*asked).order_by(*(table.c[name] for name in KEY))
        return [Letter(*found) for found in self._connection.execute(query)]

    def count(self, part: str) -> int:
        """How many dead letters a part has."""
        return self._connection.execute(sa.select(sa.func.count()).where(table.c.part == part)).scalar_one()

    def new(self, since: datetime) -> dict[str, int]:
        """How many records were given up on for the first time since then, by part."""
        query = sa.select(table.c.part, sa.func.count()).where(table.c.first_at >= since).group_by(table.c.part)
        return dict(self._connection.execute(query).all())
