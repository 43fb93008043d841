"""Walks and all that belongs to them: sightings, wants, deletions, the streams' checkpoints."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert, insert

from syncjob.core.model import PROOF, Change, Json, Walk, Want
from syncjob.core.questions import FAR
from syncjob.store.mirror import among, bound
from syncjob.store.ready import Connection, Ready
from syncjob.store.tables import IS_PENDING, deletions, rows, sightings, sources, streams, walks, wants

WALK_COLUMNS = [walks.c[name] for name in Walk.__dataclass_fields__]
PENDING = "pending"
"""The verdict on a record that a walk has met so far, and no more."""
RANK: Mapping[str, int] = {
    PENDING: -1,
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
FINAL = ("deleted", "inaccessible", "rejected")
"""What is found out about a record that is not shown as live; for those that are, see `spare`."""


def defaults(table: sa.Table) -> Mapping[str, Any]:
    """What SQLAlchemy would put into the columns that an insert does not name."""
    return {column.name: column.default.arg for column in table.c if isinstance(column.default, sa.ColumnDefault)}


def _sight() -> Insert:
    """For keys of one verdict, bound as one value (see `bound`): a walk over everything does little else."""
    each: Any = sa.select(sa.bindparam("walk"), sa.bindparam("stream"), sa.column("value"), sa.bindparam("verdict"))
    keys = each.select_from(sa.func.json_each(sa.bindparam("keys")).table_valued("value")).where(sa.true())
    statement = insert(sightings).from_select(["walk", "stream", "key", "verdict"], keys)
    rank = [sa.case(RANK, value=verdict) for verdict in (statement.excluded.verdict, sightings.c.verdict)]
    key = ["walk", "stream", "key"]
    return statement.on_conflict_do_update(index_elements=key, set_={"verdict": statement.excluded.verdict}, where=rank[0] > rank[1])


def _want() -> Insert:
    statement = insert(wants)
    new = statement.excluded
    again = {"walk": new.walk, "about": new.about, "tries": sa.func.max(new.tries, wants.c.tries)}
    again |= {name: sa.func.coalesce(new[name], wants.c[name]) for name in ("most", "not_before")}
    before: Any = sa.literal_column("wants.walk")  # of the row that is there: as a column, it would be read from all of them
    asker = sa.select(walks.c.id).where(walks.c.id == before, walks.c.kind == "changes").scalar_subquery()
    again["changes"] = sa.func.coalesce(asker, wants.c.changes)
    return statement.on_conflict_do_update(index_elements=["source", "kind", "key"], set_=again)


# The statements of every step, made once: putting one together costs more than running it.
OPEN = Ready(
    sa.select(*WALK_COLUMNS).where(walks.c.stream == sa.bindparam("stream"), walks.c.finished_at.is_(None)).order_by(walks.c.id)
)
GET = Ready(sa.select(*WALK_COLUMNS).where(walks.c.id == sa.bindparam("id")))
DETAILS = Ready(walks.select().where(walks.c.id == sa.bindparam("id")))
LAST = Ready(
    sa.select(walks.c.turn, walks.c.since)
    .where(walks.c.stream == sa.bindparam("stream"), walks.c.kind == sa.bindparam("kind"))
    .order_by(walks.c.id.desc())
    .limit(1)
)
BEGIN = Ready(
    walks.insert().values(defaults(walks)).returning(walks.c.id), [name for name in (*Walk.__dataclass_fields__, "live") if name != "id"]
)
IS_OPEN = Ready(sa.select(walks.c.id).where(walks.c.id == sa.bindparam("id"), walks.c.finished_at.is_(None)))
SIGHT, WANT = Ready(_sight()), Ready(_want(), ["source", *Want.__dataclass_fields__])
SIGHTED = Ready(
    sa.select(sightings.c.key).where(
        sightings.c.walk == sa.bindparam("walk"), sightings.c.stream == sa.bindparam("stream"), among(sightings.c.key)
    )
)
ASKER: Any = sa.bindparam("walk")
OWNED = wants.c.source == sa.bindparam("source"), wants.c.walk.is_not_distinct_from(ASKER)
WANT_COLUMNS = [wants.c[name] for name in Want.__dataclass_fields__]
WANTED_ALREADY = Ready(
    sa.select(wants.c.key, wants.c.about).where(
        wants.c.source == sa.bindparam("source"), wants.c.kind == sa.bindparam("kind"), among(wants.c.key)
    )
)
WAITING = Ready(
    sa.select(sa.func.min(sa.func.coalesce(wants.c.not_before, sa.bindparam("now", type_=wants.c.not_before.type)))).where(
        sa.or_(sa.and_(*OWNED), wants.c.changes == ASKER)
    )
)
SETTLE = Ready(
    wants.delete().where(
        wants.c.source == sa.bindparam("source_"), wants.c.kind == sa.bindparam("kind_"), wants.c.key == sa.bindparam("key_")
    )
)
_COUNTS = [sa.func.count().filter(sightings.c.verdict == verdict).label(verdict) for verdict in RANK]  # GROUP BY would hold them all
FORGET_SIGHTINGS = Ready(sightings.delete().where(sightings.c.walk == sa.bindparam("walk_")))
VERDICTS = Ready(sa.select(*_COUNTS).where(sightings.c.walk == sa.bindparam("walk"), sightings.c.stream == sa.bindparam("stream")))
KEEP = Ready(deletions.delete().where(deletions.c.stream == sa.bindparam("stream_"), among(deletions.c.key)))
LEAVE = Ready(
    sightings.delete().where(
        IS_PENDING, sightings.c.walk.is_distinct_from(sa.bindparam("walk_")), sightings.c.stream == sa.bindparam("stream_"),
        among(sightings.c.key),
    )
)  # fmt: skip
UNDOUBT = Ready(
    wants.delete().where(
        wants.c.stream == sa.bindparam("stream_"), among(wants.c.key), sa.or_(*(wants.c.kind == step for step in PROOF))
    )
)
TAKE_OVER = Ready(
    sightings.delete().where(
        IS_PENDING,
        sightings.c.stream == sa.bindparam("stream"),
        sightings.c.key == sa.bindparam("key"),
        sightings.c.walk != sa.bindparam("walk"),
    )
)
GOING = Ready(
    sa.select(deletions.c.key, deletions.c.why, deletions.c.at).where(
        deletions.c.stream == sa.bindparam("stream"), ~deletions.c.held, among(deletions.c.key)
    )
)
DOOMED_UNDER = Ready(
    sa.select(deletions.c.key, deletions.c.why)
    .join(rows, sa.and_(rows.c.stream == deletions.c.stream, rows.c.key == deletions.c.key))
    .where(deletions.c.stream == sa.bindparam("stream"), among(rows.c.parent))
)
STREAM = Ready(streams.select().where(streams.c.stream == sa.bindparam("stream")))
SOURCE = Ready(sources.select().where(sources.c.source == sa.bindparam("source")))


@cache
def _update(names: tuple[str, ...]) -> Ready:
    """Set these columns of a walk."""
    return Ready(walks.update().where(walks.c.id == sa.bindparam("id_")), names)


@cache
def _set(table: sa.Table, key: str, names: tuple[str, ...]) -> Ready:
    """Set these columns of a row; of one that is not there yet, the others get their defaults."""
    statement = insert(table).values(defaults(table))
    new = {name: statement.excluded[name] for name in names}
    return Ready(statement.on_conflict_do_update(index_elements=[key], set_=new), (key, *names))


@cache
def _wanted(kinds: tuple[tuple[str, int], ...]) -> Ready:
    """The first so many questions of each of these kinds, in the order of the kinds: one statement, since every step begins with it."""
    time = wants.c.not_before
    due = sa.or_(time.is_(None), time <= sa.bindparam("now"), time > sa.bindparam("far"))
    order = time.nulls_first(), wants.c.id
    first = [
        sa.select(*WANT_COLUMNS).where(*OWNED, wants.c.kind == kind, due).order_by(*order).limit(most).subquery() for kind, most in kinds
    ]
    return Ready(sa.union_all(*(sa.select(each) for each in first)))


class Walks:
    """Walks within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, walk: Walk, *, live: int) -> Walk:
        """Open a walk; it gets its id here, and its turn among those of its stream and kind."""
        turn, before = self._connection.execute(LAST, {"stream": walk.stream, "kind": walk.kind}).first() or (-1, None)
        walk = replace(walk, turn=turn + 1, before=before)
        values = {name: getattr(walk, name) for name in Walk.__dataclass_fields__ if name != "id"}
        return self.get(self._connection.execute(BEGIN, {**values, "live": live}).scalar())

    def get(self, id_: int) -> Walk:
        """A walk as it stands now."""
        return Walk(*self._connection.execute(GET, {"id": id_})[0])

    def is_open(self, id_: int) -> bool:
        """Whether there is such a walk, under way."""
        return self._connection.execute(IS_OPEN, {"id": id_}).first() is not None

    def open(self, stream: str) -> list[Walk]:
        """The walks under way, oldest first."""
        return [Walk(*found) for found in self._connection.execute(OPEN, {"stream": stream})]

    def enumerated(self, stream: str) -> bool:
        """Whether the mirror has met every record of a stream: a full walk of it was complete."""
        done = walks.c.stream == stream, walks.c.kind == "full", walks.c.complete
        return self._connection.execute(sa.select(sa.exists().where(*done))).scalar_one()

    def last(self, stream: str) -> Sequence[Mapping[str, Any]]:
        """The last finished walk of each kind, for reports."""
        newest = sa.select(sa.func.max(walks.c.id)).where(walks.c.stream == stream, walks.c.finished_at.is_not(None)).group_by(walks.c.kind)
        return [dict(found) for found in self._connection.execute(walks.select().where(walks.c.id.in_(newest))).mappings()]

    def update(self, id_: int, **values: Any) -> None:
        """Set columns of a walk."""
        self._connection.execute(_update(tuple(values)), {"id_": id_, **values})

    def details(self, id_: int) -> Mapping[str, Any]:
        """All columns of a walk, for reports."""
        return self._connection.execute(DETAILS, {"id": id_}).mapping() or {}

    def sight(self, walk: int, verdicts: Mapping[tuple[str, str], str]) -> None:
        """Note that a walk met these keys, and its verdict on each."""
        alike: dict[tuple[str, str], list[str]] = {}
        for (stream, key), verdict in verdicts.items():
            alike.setdefault((stream, verdict), []).append(key)
        for (stream, verdict), keys in alike.items():
            self._connection.execute(SIGHT, {"walk": walk, "stream": stream, "verdict": verdict, "keys": bound(keys)})
            if verdict in FINAL:  # whoever asks for the same need not find out, too: the answer has ended all questions of a proof
                self._connection.execute(LEAVE, {"walk_": walk, "stream_": stream, "keys": bound(keys)})

    def sighted(self, walk: int, stream: str, keys: Collection[str]) -> frozenset[str]:
        """Which of these keys the walk has met."""
        return frozenset(self._connection.execute(SIGHTED, {"walk": walk, "stream": stream, "keys": bound(keys)}).scalars())

    def verdicts(self, walk: int, stream: str) -> dict[str, int]:
        """How often a walk came to each verdict."""
        counts = self._connection.execute(VERDICTS, {"walk": walk, "stream": stream}).mapping() or {}
        return {verdict: count for verdict, count in counts.items() if count}

    def forget_sightings(self, walk: int) -> None:
        """A closed walk needs its sightings no longer."""
        self._connection.execute(FORGET_SIGHTINGS, {"walk_": walk})

    def forget_finished(self, before: datetime) -> None:
        """Forget walks that ended earlier, but for the newest of its stream and kind, from which the next one takes its turn."""
        newest = sa.select(sa.func.max(walks.c.id)).group_by(walks.c.stream, walks.c.kind)
        self._connection.execute(walks.delete().where(walks.c.finished_at < before, walks.c.id.not_in(newest)))

    # -- wants

    def want(self, source: str, found: Iterable[Want]) -> None:
        """Add questions. The same question asked again passes to the newer walk, but keeps its tries and its wait; a changes walk
        that asked it before waits for the answer all the same."""
        new = [
            {
                "source": source,
                "kind": want.kind,
                "stream": want.stream,
                "key": want.key,
                "walk": want.walk,
                "about": dict(want.about),
                "tries": want.tries,
                "most": want.most,
                "not_before": want.not_before,
            }
            for want in found
        ]
        if new:
            self._connection.execute(WANT, new)
        if owned := [each for each in new if each["walk"]]:
            self._connection.execute(TAKE_OVER, owned)

    def wanted(self, source: str, walk: int | None, kinds: Mapping[str, int], now: datetime) -> list[Want]:
        """The oldest questions of a walk that may be asked now, at most so many of each kind; those that failed come last."""
        asked = {"source": source, "walk": walk, "now": now, "far": now + FAR}
        return [Want(*want) for want in self._connection.execute(_wanted(tuple(kinds.items())), asked)]

    def wanted_already(self, source: str, kind: str, keys: Collection[str]) -> dict[str, Mapping[str, Json]]:
        """Which of these keys are wanted, and the `about` of each."""
        return dict(self._connection.execute(WANTED_ALREADY, {"source": source, "kind": kind, "keys": bound(keys)}))

    def waiting(self, source: str, walk: int | None, now: datetime) -> datetime | None:
        """When the first of the questions may be asked that a walk waits for, be it that another walk asks them."""
        first: datetime | None = self._connection.execute(WAITING, {"source": source, "walk": walk, "now": now}).scalar()
        return first

    def settle(self, source: str, settled: Iterable[tuple[str, str]]) -> None:
        """Remove questions that were answered."""
        found = [{"source_": source, "kind_": kind, "key_": key} for kind, key in settled]
        if found:
            self._connection.execute(SETTLE, found)

    def hand_over(self, old: int, new: int) -> None:
        """Let a walk ask, and delete at its end, what another one no longer will."""
        for owner in (wants.c.walk, wants.c.changes, deletions.c.walk):
            self._connection.execute(sa.update(owner.table).where(owner == old).values({owner.name: new}))

    # -- deletions, which wait for the end of their walk

    def doom(self, walk: Walk, changes: Iterable[Change], *, observed: int) -> None:
        """Note proven deletions; the guard decides on them together when the walk ends. What is held stays so, and only a walk over
        everything decides on it anew: from one that is under way a poll takes nothing."""
        owner: Any = sa.literal_column("deletions.walk")  # of the row that is there
        is_over = ~sa.exists().where(walks.c.id == owner, walks.c.finished_at.is_(None))
        free = sa.true() if walk.kind != "changes" else sa.or_(~deletions.c.held, is_over)
        for change in changes:
            values = {"stream": change.record.stream, "key": change.record.key, "walk": walk.id, "observed": observed,
                      "why": change.deleted_why or "gone", "at": change.deleted_at}  # fmt: skip
            statement = insert(deletions).values(values | {"held": False})
            self._connection.execute(statement.on_conflict_do_update(index_elements=["stream", "key"], set_=values, where=free))

    def lift(self, streams: Collection[str], by: Walk) -> None:
        """Forget what is held of these streams, but not what this walk found anew, nor what others have held since it began."""
        since = sa.select(walks.c.id).where(sa.or_(walks.c.id >= by.id, walks.c.finished_at >= by.started_at))
        old = deletions.c.held, deletions.c.walk.not_in(since)
        self._connection.execute(deletions.delete().where(deletions.c.stream.in_(streams), *old))

    def spare(self, walk: int | None, stream: str, keys: Collection[str]) -> None:
        """Take back deletions and suspicions of keys that were shown live since; other walks need no verdict on them any more."""
        for statement in (KEEP, UNDOUBT, LEAVE):
            self._connection.execute(statement, {"walk_": walk, "stream_": stream, "keys": bound(keys)})

    def doomed(self, walk: Walk) -> Sequence[Any]:
        """The deletions that a walk proved and may decide on: (stream, key, walk, observed, why, at, held)."""
        free = sa.true() if walk.kind != "changes" else ~deletions.c.held
        return self._connection.execute(deletions.select().where(deletions.c.walk == walk.id, free)).all()

    def going(self, stream: str, keys: Collection[str]) -> dict[str, tuple[str, datetime | None]]:
        """Which of these keys are proven to be gone, and not held: why, and since when."""
        found = self._connection.execute(GOING, {"stream": stream, "keys": bound(keys)})
        return {key: (why, at) for key, why, at in found}

    def doomed_under(self, stream: str, parents: Collection[str]) -> dict[str, str]:
        """Which of the rows under these parents are proven to be gone, held or not, and why."""
        return dict(self._connection.execute(DOOMED_UNDER, {"stream": stream, "keys": bound(parents)}))

    def keep(self, stream: str, keys: Collection[str]) -> None:
        """Take back the deletions of these keys, held or not."""
        self._connection.execute(KEEP, {"stream_": stream, "keys": bound(keys)})

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

    # -- what is known of sources and streams

    def stream(self, stream: str) -> Mapping[str, Any]:
        """The stream's row: checkpoint, live, process_after, swept_at, news_at, late_seconds."""
        found = self._connection.execute(STREAM, {"stream": stream}).mapping()
        unknown = dict.fromkeys(("checkpoint", "process_after", "swept_at", "news_at"))
        return found or {"stream": stream, **unknown, "live": 0, "late_seconds": 0}

    def set_stream(self, stream: str, **values: Any) -> None:
        """Set columns of the stream's row."""
        self._connection.execute(_set(streams, "stream", tuple(values)), {"stream": stream, **values})

    def source(self, source: str) -> Mapping[str, Json]:
        """The source's row: identity, access, absorbed."""
        found = self._connection.execute(SOURCE, {"source": source}).mapping()
        return found or {"source": source, "identity": None, "access": None, "absorbed": 0}

    def set_source(self, source: str, **values: Any) -> None:
        """Set columns of the source's row."""
        self._connection.execute(_set(sources, "source", tuple(values)), {"source": source, **values})
