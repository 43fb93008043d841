"""Suspects: live rows that a walk over everything did not meet, and controls: those that it did.

Both are found by SQL alone, since there may be as many of them as there are rows.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from syncjob.core.model import CONVERSATIONS, PROOF, SUSPECT, Row, Walk
from syncjob.store.ready import Connection, Ready
from syncjob.store.tables import deletions, rows, sightings, strangers, wants
from syncjob.store.walks import PENDING

CONTROLS = 12
MET_LIVE = ("unchanged", "created", "updated", "restored")

LIVE = rows.c.deleted_at.is_(None), rows.c.data.is_not(None)
WALK: sa.BindParameter[int] = sa.bindparam("walk")
STREAM: sa.BindParameter[str] = sa.bindparam("stream")
SOURCE: sa.BindParameter[str] = sa.bindparam("source")


def _suspects(found: sa.Select[Any]) -> Ready:
    """Wants for the (stream, key) that a query finds; a suspect of an earlier walk passes to this one."""
    names = ["stream", "key", "source", "walk", "kind", "about", "tries"]
    values = SOURCE, WALK, sa.literal(SUSPECT), sa.literal({}, sa.JSON), sa.literal(0)
    statement = insert(wants).from_select(names, found.add_columns(*values))
    return Ready(statement.on_conflict_do_update(index_elements=["source", "kind", "key"], set_={"walk": statement.excluded.walk}))


def _sighted(stream: Any, key: Any) -> sa.Exists:
    return sa.exists().where(sightings.c.walk == WALK, sightings.c.stream == stream, sightings.c.key == key)


parents, going = rows.alias("parents"), deletions.alias("going")
UNMET = _suspects(
    sa.select(rows.c.stream, rows.c.key).where(
        rows.c.stream == STREAM, *LIVE, rows.c.observed < sa.bindparam("first"), ~_sighted(rows.c.stream, rows.c.key)
    )
)
ORPHANS = _suspects(
    sa.select(rows.c.stream, rows.c.key)
    .join(parents, (parents.c.stream == CONVERSATIONS) & (parents.c.key == rows.c.parent))
    .where(rows.c.stream == STREAM, *LIVE, parents.c.deleted_at.is_not(None))
    .where(~sa.exists().where(deletions.c.stream == CONVERSATIONS, deletions.c.key == rows.c.parent))
)
HELD = _suspects(
    sa.select(rows.c.stream, rows.c.key)
    .join(deletions, (deletions.c.stream == rows.c.stream) & (deletions.c.key == rows.c.key))
    .where(rows.c.stream == STREAM, *LIVE, deletions.c.held, deletions.c.walk != WALK)
    .where(_sighted(sa.literal(CONVERSATIONS), rows.c.parent))
    .where(~sa.exists().where(going.c.stream == CONVERSATIONS, going.c.key == rows.c.parent))  # with which it would go anyway
)  # a sweep shows the conversation, not that the message is still missing in it
ENUMERATED: sa.BindParameter[str] = sa.bindparam("enumerated")  # an update needs another name for it than its column's
_mine = wants.c.source == SOURCE, wants.c.walk == WALK, wants.c.kind == SUSPECT, wants.c.stream == ENUMERATED
_listed = rows.update().where(rows.c.stream == ENUMERATED)
SHOWN = Ready(_listed.where(sa.text("missed > 0"), _sighted(rows.c.stream, rows.c.key)).values(missed=0))
MISSED = Ready(_listed.where(rows.c.key.in_(sa.select(wants.c.key).where(*_mine))).values(missed=rows.c.missed + 1))
MET = Ready(sa.select(sightings.c.key).where(sightings.c.walk == WALK, sightings.c.stream == ENUMERATED).limit(1))
UNKNOWN = _suspects(sa.select(strangers.c.stream, strangers.c.key).where(strangers.c.stream == STREAM))
MEET = Ready(
    insert(sightings)
    .from_select(
        ["walk", "stream", "key", "verdict"],
        sa.select(WALK, wants.c.stream, wants.c.key, sa.literal(PENDING)).where(
            wants.c.walk == WALK, wants.c.source == SOURCE, wants.c.kind == SUSPECT, wants.c.stream == STREAM
        ),
    )
    .on_conflict_do_nothing()
)
CONTROL = Ready(
    sa.select(rows.c.key)
    .where(rows.c.stream == STREAM, *LIVE)
    .where(
        sa.exists().where(
            sightings.c.walk == WALK,
            sa.or_(*(sightings.c.verdict == verdict for verdict in MET_LIVE)),
            sa.or_(
                (sightings.c.stream == rows.c.stream) & (sightings.c.key == rows.c.key),
                (sightings.c.stream == CONVERSATIONS) & (sightings.c.key == rows.c.parent),
            ),
        )
    )
    .where(~sa.exists().where(wants.c.source == SOURCE, sa.or_(*(wants.c.kind == step for step in PROOF)), wants.c.key == rows.c.key))
    .where(~sa.exists().where(deletions.c.stream == rows.c.stream, deletions.c.key == rows.c.key))
    .where(~sa.exists().where(deletions.c.stream == CONVERSATIONS, deletions.c.key == rows.c.parent))
    .order_by(rows.c.key)
    .limit(CONTROLS)
)
STALEST = (
    rows.select()
    .where(rows.c.stream == STREAM, *LIVE, rows.c.version != "", _sighted(rows.c.stream, rows.c.key))
    .where(~sa.exists().where(wants.c.source == SOURCE, wants.c.kind == "thread", wants.c.key == rows.c.key))
    .order_by(rows.c.listed.nulls_first(), rows.c.key)
)  # what cannot be listed would be the stalest for ever


class Suspects:
    """Suspects within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def conclude(self, walk: Walk, source: str, enumerated: str) -> bool:
        """Suspect what a complete walk did not meet, and whatever else nobody vouches for; False: the walk met nothing at all."""
        asked = {"walk": walk.id, "source": source, "first": walk.first_observation, "enumerated": enumerated}
        is_empty = self._connection.execute(MET, asked).first() is None
        self._connection.execute(UNMET, asked | {"stream": enumerated})
        for counted in (SHOWN, MISSED):
            self._connection.execute(counted, asked)
        for statement in (ORPHANS, HELD, UNKNOWN, MEET):
            self._connection.execute(statement, asked | {"stream": walk.stream})
        return not is_empty

    def forget(self, walk: int) -> Sequence[tuple[str, str]]:
        """Suspect nobody any more: the walk's list was not worth believing. These (stream, key) were suspected."""
        mine = wants.c.walk == walk, wants.c.kind.in_(PROOF)
        met = sightings.c.walk == walk, sightings.c.verdict == PENDING
        same = sa.exists().where(*mine, wants.c.stream == sightings.c.stream, wants.c.key == sightings.c.key)
        self._connection.execute(sightings.delete().where(*met, same))
        return self._connection.execute(wants.delete().where(*mine).returning(wants.c.stream, wants.c.key)).all()

    def control(self, walk: int, source: str, stream: str, skip: int) -> str | None:
        """A live record that the walk met, or whose parent it met, and that nobody doubts. `skip`: another one than before."""
        found = self._connection.execute(CONTROL, {"walk": walk, "source": source, "stream": stream}).scalars()
        return found[skip % len(found)] if found else None

    def stalest(self, walk: int, source: str, stream: str, live: int) -> Sequence[Row]:
        """The hundredth part, rounded up, of a stream's live rows: those of which the children were listed longest ago, as far as the
        walk met them and nobody is about to list them."""
        asked = {"walk": walk, "source": source, "stream": stream}
        return [Row(*found) for found in self._connection.execute(STALEST.limit(-(-live // 100)), asked)]
