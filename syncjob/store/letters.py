"""Dead letters: records that were given up on for now, each with its error. They are counted, shown, and heal by themselves."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from syncjob.core.model import PROOF, Json, Rejection, Walk, Want
from syncjob.store.mirror import among, bound
from syncjob.store.ready import Connection, Ready
from syncjob.store.tables import dead_letters as table
from syncjob.store.tables import rows

KEY = ("part", "stream", "key")
UNBURY = Ready(
    table.delete().where(
        table.c.part == sa.bindparam("part_"),
        table.c.stream == sa.bindparam("stream_"),
        among(table.c.key),
        table.c.kind.is_(None),  # a question that failed is answered by its own answer only
    )
)
ANSWER = Ready(
    table.delete().where(
        table.c.part == sa.bindparam("part_"), table.c.kind == sa.bindparam("kind_"), table.c.key == sa.bindparam("key_")
    )
)
SPARE = Ready(
    table.delete().where(
        table.c.part == sa.bindparam("part_"),
        table.c.stream == sa.bindparam("stream_"),
        among(table.c.key),
        sa.or_(*(table.c.kind == step for step in PROOF)),
    )
)
GIVEN_UP = Ready(
    sa.select(table.c.key, table.c.about).where(
        table.c.part == sa.bindparam("part"), table.c.kind == sa.bindparam("kind"), among(table.c.key)
    )
)
LAST_AT = Ready(sa.select(table.c.last_at).where(*(table.c[name] == sa.bindparam(name) for name in KEY)))


def of_list(walk: Walk, place: str) -> str:
    """The key of the letter of a list that cannot be read: a poll reads only its head."""
    return place if walk.kind == "changes" else f"{place}, whole"


@dataclass(frozen=True, slots=True)
class Letter:
    """What a part could not read, was refused, or never got an answer for. `raw`: the record as the source sent it; empty
    where it is only in the mirror, if anywhere."""

    part: str
    stream: str
    key: str
    error: str
    raw: str
    first_at: datetime
    last_at: datetime


class Letters:
    """Dead letters within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def bury(self, part: str, found: Iterable[Rejection], *, walk: int | None, now: datetime) -> None:
        """Keep records that were given up on for now; of one that is known already, what is said of it now."""
        for each in found:
            question = {"kind": each.want and each.want.kind, "about": each.want and dict(each.want.about)}
            values: dict[str, Any] = {"error": each.error, "raw": each.raw, "walk": walk, "last_at": now, **question}
            statement = insert(table).values(part=part, stream=each.stream, key=each.key, first_at=now, **values)
            self._connection.execute(statement.on_conflict_do_update(index_elements=KEY, set_=values))

    def unbury(self, part: str, stream: str, keys: Collection[str]) -> None:
        """Forget dead letters of keys that went through."""
        self._connection.execute(UNBURY, {"part_": part, "stream_": stream, "keys": bound(keys)})

    def spare(self, source: str, stream: str, keys: Collection[str]) -> None:
        """Forget, of keys that were shown live, that a proof that they are gone was given up on."""
        self._connection.execute(SPARE, {"part_": source, "stream_": stream, "keys": bound(keys)})

    def answer(self, source: str, settled: Iterable[tuple[str, str]]) -> None:
        """Forget the dead letters of questions, as (kind, key), that were answered."""
        found = [{"part_": source, "kind_": kind, "key_": key} for kind, key in settled]
        if found:
            self._connection.execute(ANSWER, found)

    def given_up(self, source: str, kind: str, keys: Collection[str]) -> dict[str, Mapping[str, Json]]:
        """Which of these keys a question of that kind was given up on for, and its `about`."""
        return dict(self._connection.execute(GIVEN_UP, {"part": source, "kind": kind, "keys": bound(keys)}))

    def last_at(self, part: str, stream: str, key: str) -> datetime | None:
        """When this letter was written last; None: there is none."""
        found: datetime | None = self._connection.execute(LAST_AT, {"part": part, "stream": stream, "key": key}).scalar()
        return found

    def questions(self, source: str, walk: int) -> list[Want]:
        """The questions that were given up on, to be asked again by a walk. Their letters stay until there is an answer."""
        columns = table.c.kind, table.c.stream, table.c.key, table.c.about
        query = sa.select(*columns).where(table.c.part == source, table.c.kind.is_not(None))
        return [Want(*found, walk=walk) for found in self._connection.execute(query)]

    def forget(self, letter: Letter) -> None:
        """Forget one, whatever it is."""
        same = [table.c[name] == getattr(letter, name) for name in KEY]
        self._connection.execute(table.delete().where(*same))

    def forget_unmet(self, part: str, streams: Collection[str], *, since: datetime) -> None:
        """Forget a source's letters of before `since` whose row was deleted, or that have no row and belong to one of `streams`,
        which a complete walk has listed since then without meeting them."""
        same = (rows.c.stream == table.c.stream) & (rows.c.key == table.c.key)
        unmet = table.c.stream.in_(streams) & ~sa.exists().where(same)
        deleted = sa.exists().where(same, rows.c.deleted_at.is_not(None))
        record = table.c.kind.is_(None)  # not a question
        self._connection.execute(table.delete().where(table.c.part == part, record, table.c.last_at < since, unmet | deleted))

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
