"""Walks and all that belongs to them: sightings, wants, deletions, dead letters, the streams' checkpoints."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from syncjob.core.model import Change, Json, Rejection, Verb, Walk, Want
from syncjob.store.mirror import by_stream, keys_in
from syncjob.store.tables import dead_letters, deletions, sightings, sources, streams, walks, wants

WALK_COLUMNS = [walks.c[name] for name in Walk.__dataclass_fields__]
RANK: Mapping[str, int] = {
    "unchanged": 0,
    "out_of_scope": 1,
    "inaccessible": 2,
    "rejected": 3,
    "updated": 4,
    "restored": 5,
    "deleted": 6,
    "created": 7,
}
"""Where a walk meets a key twice, the verdict that says more stands."""


class Walks:
    """Walks within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def begin(self, walk: Walk, *, live: int) -> Walk:
        """Open a walk; it gets its id here."""
        values = {name: getattr(walk, name) for name in Walk.__dataclass_fields__ if name != "id"}
        id_ = self._connection.execute(walks.insert().values(**values, live=live).returning(walks.c.id)).scalar_one()
        return self.get(id_)

    def get(self, id_: int) -> Walk:
        """A walk as it stands now."""
        return Walk(*self._connection.execute(sa.select(*WALK_COLUMNS).where(walks.c.id == id_)).one())

    def open(self, stream: str) -> list[Walk]:
        """The walks under way, oldest first."""
        query = sa.select(*WALK_COLUMNS).where(walks.c.stream == stream, walks.c.finished_at.is_(None)).order_by(walks.c.id)
        return [Walk(*found) for found in self._connection.execute(query)]

    def update(self, id_: int, **values: Any) -> None:
        """Set columns of a walk."""
        self._connection.execute(walks.update().where(walks.c.id == id_).values(**values))

    def details(self, id_: int) -> Mapping[str, Any]:
        """All columns of a walk, for reports."""
        return dict(self._connection.execute(walks.select().where(walks.c.id == id_)).mappings().one())

    def sight(self, walk: int, verdicts: Mapping[tuple[str, str], Verb]) -> int:
        """Note that a walk met these keys, and its verdict on each; how many of them it had not met before."""
        if not verdicts:
            return 0
        met = sum(len(self.sighted(walk, stream, keys)) for stream, keys in by_stream(verdicts).items())
        found = [{"walk": walk, "stream": stream, "key": key, "verdict": verb} for (stream, key), verb in verdicts.items()]
        statement = insert(sightings)
        rank = [sa.case(RANK, value=verdict) for verdict in (statement.excluded.verdict, sightings.c.verdict)]
        more = statement.on_conflict_do_update(
            index_elements=["walk", "stream", "key"], set_={"verdict": statement.excluded.verdict}, where=rank[0] > rank[1]
        )
        self._connection.execute(more, found)
        return len(verdicts) - met

    def sighted(self, walk: int, stream: str, keys: Collection[str]) -> frozenset[str]:
        """Which of these keys the walk has met."""
        query = sa.select(sightings.c.key).where(sightings.c.walk == walk, sightings.c.stream == stream, keys_in(sightings.c.key, keys))
        return frozenset(self._connection.execute(query).scalars())

    def verdicts(self, walk: int, stream: str) -> dict[str, int]:
        """How often a walk came to each verdict."""
        query = sa.select(sightings.c.verdict, sa.func.count()).where(sightings.c.walk == walk, sightings.c.stream == stream)
        return dict(self._connection.execute(query.group_by(sightings.c.verdict)).all())

    def forget_sightings(self, walk: int) -> None:
        """A closed walk needs its sightings no longer."""
        self._connection.execute(sightings.delete().where(sightings.c.walk == walk))

    # -- wants

    def want(self, source: str, found: Iterable[Want]) -> None:
        """Add questions; the same question asked again starts anew, on behalf of the newer walk."""
        new = [
            {
                "source": source,
                "kind": want.kind,
                "stream": want.stream,
                "key": want.key,
                "walk": want.walk,
                "about": dict(want.about),
                "tries": want.tries,
            }
            for want in found
        ]
        if new:
            statement = insert(wants)
            again = {name: getattr(statement.excluded, name) for name in ("walk", "about", "tries")} | {"not_before": None}
            self._connection.execute(statement.on_conflict_do_update(index_elements=["source", "kind", "key"], set_=again), new)

    def wanted(self, source: str, walk: int | None, kinds: Iterable[str], now: datetime, *, limit: int = 20) -> list[Want]:
        """The oldest questions of a walk that may be asked now, a few of each kind."""
        owner = wants.c.walk.is_(None) if walk is None else wants.c.walk == walk
        due = sa.or_(wants.c.not_before.is_(None), wants.c.not_before <= now)
        query = sa.select(wants.c.kind, wants.c.stream, wants.c.key, wants.c.about, wants.c.walk, wants.c.tries)
        query = query.where(wants.c.source == source, owner, due).order_by(wants.c.id).limit(limit)
        return [Want(*want) for kind in kinds for want in self._connection.execute(query.where(wants.c.kind == kind))]

    def waiting(self, source: str, walk: int | None) -> datetime | None:
        """When the first of a walk's postponed questions may be asked."""
        owner = wants.c.walk.is_(None) if walk is None else wants.c.walk == walk
        return self._connection.execute(sa.select(sa.func.min(wants.c.not_before)).where(wants.c.source == source, owner)).scalar()

    def settle(self, source: str, settled: Iterable[tuple[str, str]]) -> None:
        """Remove questions that were answered."""
        for kind, key in settled:
            self._connection.execute(wants.delete().where(wants.c.source == source, wants.c.kind == kind, wants.c.key == key))

    # -- deletions, which wait for the end of their walk

    def doom(self, walk: int, changes: Iterable[Change], *, observed: int) -> None:
        """Note proven deletions; the guard decides on them together when the walk ends."""
        for change in changes:
            values = {"stream": change.record.stream, "key": change.record.key, "walk": walk, "observed": observed,
                      "why": change.deleted_why or "gone", "at": change.deleted_at}  # fmt: skip
            statement = insert(deletions).values(values | {"held": False})
            self._connection.execute(statement.on_conflict_do_update(index_elements=["stream", "key"], set_=values | {"held": False}))

    def spare(self, stream: str, keys: Collection[str]) -> None:
        """Take back deletions of keys that were shown live since."""
        self._connection.execute(deletions.delete().where(deletions.c.stream == stream, keys_in(deletions.c.key, keys)))

    def doomed(self, walk: int) -> Sequence[Any]:
        """The deletions that a walk proved: (stream, key, walk, observed, why, at, held)."""
        return self._connection.execute(deletions.select().where(deletions.c.walk == walk)).all()

    def held(self, streams: Collection[str]) -> Sequence[Any]:
        """The deletions of these streams that wait for a person's word, as in `doomed`."""
        query = deletions.select().where(deletions.c.stream.in_(streams), deletions.c.held)
        return self._connection.execute(query.order_by(deletions.c.key)).all()

    def hold(self, walk: int) -> None:
        """Let a walk's deletions wait for a person's word."""
        self._connection.execute(deletions.update().where(deletions.c.walk == walk).values(held=True))

    def forget_deletions(self, found: Iterable[Any]) -> None:
        """Remove deletions that were applied."""
        for each in found:
            self._connection.execute(deletions.delete().where(deletions.c.stream == each.stream, deletions.c.key == each.key))

    # -- dead letters

    def bury(self, part: str, found: Iterable[Rejection], *, walk: int | None, now: datetime) -> int:
        """Keep records that were given up on for now; how many of them are new."""
        new = 0
        for rejection in found:
            values = {
                "part": part,
                "stream": rejection.stream,
                "key": rejection.key,
                "error": rejection.error,
                "raw": rejection.raw,
                "walk": walk,
                "last_at": now,
            }
            known = self._connection.execute(
                dead_letters.update()
                .where(dead_letters.c.part == part, dead_letters.c.stream == rejection.stream, dead_letters.c.key == rejection.key)
                .values(values)
            ).rowcount
            if not known:
                self._connection.execute(dead_letters.insert().values(values | {"first_at": now}))
                new += 1
        return new

    def count_dead(self, part: str) -> int:
        """How many dead letters a part has."""
        return self._connection.execute(sa.select(sa.func.count()).where(dead_letters.c.part == part)).scalar_one()

    def unbury(self, part: str, stream: str, keys: Collection[str]) -> None:
        """Forget dead letters of keys that went through."""
        where = (dead_letters.c.part == part, dead_letters.c.stream == stream, keys_in(dead_letters.c.key, keys))
        self._connection.execute(dead_letters.delete().where(*where))

    # -- what is known of sources and streams

    def stream(self, stream: str) -> Mapping[str, Any]:
        """The stream's row: checkpoint, live, process_after, swept_at, late_seconds."""
        found = self._connection.execute(streams.select().where(streams.c.stream == stream)).mappings().one_or_none()
        return (
            dict(found)
            if found
            else {"stream": stream, "checkpoint": None, "live": 0, "process_after": None, "swept_at": None, "late_seconds": 0}
        )

    def set_stream(self, stream: str, **values: Any) -> None:
        """Set columns of the stream's row."""
        statement = insert(streams).values(stream=stream, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["stream"], set_=values))

    def source(self, source: str) -> Mapping[str, Json]:
        """The source's row: identity, access, absorbed."""
        found = self._connection.execute(sources.select().where(sources.c.source == source)).mappings().one_or_none()
        return dict(found) if found else {"source": source, "identity": None, "access": None, "absorbed": 0}

    def set_source(self, source: str, **values: Any) -> None:
        """Set columns of the source's row."""
        statement = insert(sources).values(source=source, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["source"], set_=values))
