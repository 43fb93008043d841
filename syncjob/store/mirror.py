"""The mirror: the last known copy of every record, and the seq that every change gives its row."""

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert, insert

from syncjob.core import digest as digests
from syncjob.core.model import EMAILS, TASKS, Change, Json, Row
from syncjob.store.ready import Connection, Ready
from syncjob.store.tables import bodies, epochs, meta, names, rows, streams

DIGESTS = "digests"
"""Where `meta` keeps the version that all digests have at least."""
BATCH = 500
FED = (TASKS, EMAILS)
"""The streams that destinations hear of."""


def among(column: sa.Column[str]) -> sa.ColumnElement[bool]:
    """`column IN :keys` with the keys as one bound value (see `bound`), so that any number of them is one statement."""
    chosen: sa.Select[Any] = sa.select(sa.column("value")).select_from(sa.func.json_each(sa.bindparam("keys")).table_valued("value"))
    return column.in_(chosen)


def bound(keys: Collection[str]) -> str:
    """Keys as the value that `among` takes."""
    return json.dumps(list(keys))


def _upsert_rows() -> Insert:
    """A change never takes back what it does not know: a version, a time, a parent, a seq."""
    statement = insert(rows)
    new = statement.excluded
    kept: dict[str, Any] = {name: new[name] for name in ("digest", "data", "observed", "deleted_at", "deleted_why")}
    kept |= {name: sa.func.coalesce(new[name], rows.c[name]) for name in ("version", "updated_at", "parent", "seq")}
    return statement.on_conflict_do_update(index_elements=["stream", "key"], set_=kept)


def _keep(table: sa.Table, key: Sequence[str], value: str) -> Ready:
    """Put a value where it belongs, in place of what was there."""
    statement = insert(table)
    return Ready(statement.on_conflict_do_update(index_elements=key, set_={value: statement.excluded[value]}), [*key, value])


def _count() -> Ready:
    statement = insert(streams).values(late_seconds=0)
    more = {"live": streams.c.live + statement.excluded.live}
    return Ready(statement.on_conflict_do_update(index_elements=["stream"], set_=more), ["stream", "live"])


# The statements of every step, made once: putting one together costs more than running it.
ROWS = Ready(rows.select().where(rows.c.stream == sa.bindparam("stream"), among(rows.c.key)))
CHILDREN = Ready(rows.select().where(rows.c.stream == sa.bindparam("stream"), rows.c.parent == sa.bindparam("parent")))
UPSERT_ROWS = Ready(_upsert_rows(), [column.name for column in rows.c if column.name not in ("listed", "missed")])
VERSION = Ready(
    rows.update()
    .where(rows.c.stream == sa.bindparam("stream_"), rows.c.key == sa.bindparam("key_"))
    .values(version=sa.bindparam("version_"))
)
LISTED = Ready(rows.update().where(rows.c.stream == sa.bindparam("stream_"), among(rows.c.key)).values(listed=sa.bindparam("at")))
NEWEST_SEQ = Ready(sa.select(sa.func.max(rows.c.seq)).where(rows.c.seq.is_not(None)))  # or the index, a partial one, would not do
_NAMES = sa.select(names.c.id, names.c.value).where(names.c.source == sa.bindparam("source"), names.c.section == sa.bindparam("section"))
NAMES, NAMES_OF = Ready(_NAMES), Ready(_NAMES.where(among(names.c.id)))
REDIGEST = rows.update().where(rows.c.stream == sa.bindparam("s"), rows.c.key == sa.bindparam("k")).values(digest=sa.bindparam("digest"))
LIVE = Ready(sa.select(streams.c.live).where(streams.c.stream == sa.bindparam("stream")))
META = Ready(sa.select(meta.c.value).where(meta.c.name == sa.bindparam("name")))
SET_META = _keep(meta, ["name"], "value")
PUT_BODY = _keep(bodies, ["stream", "key"], "body")
LEARN_NAME = _keep(names, ["source", "section", "id"], "value")
COUNT = _count()
NEWEST_EPOCH = Ready(sa.select(epochs.c.first_seq, epochs.c.epoch).order_by(epochs.c.first_seq.desc()).limit(1))


class Mirror:
    """Rows within one transaction."""

    def __init__(self, connection: Connection, epoch: str = "") -> None:
        self._connection = connection
        self._epoch = epoch

    def rows(self, stream: str, keys: Collection[str]) -> dict[str, Row]:
        """The rows of these keys, as far as there are any."""
        if not keys:
            return {}
        return _by_key(self._connection.execute(ROWS, {"stream": stream, "keys": bound(keys)}))

    def children(self, stream: str, parent: str) -> dict[str, Row]:
        """The rows under one parent, deleted ones included."""
        return _by_key(self._connection.execute(CHILDREN, {"stream": stream, "parent": parent}))

    def apply(self, changes: Sequence[Change], *, observed: int) -> None:
        """Write changes. Those that destinations hear of get the next seqs; live counts follow."""
        if not changes:
            return
        fed = [change.fed and change.record.stream in FED for change in changes]
        seqs = count(self.open_epoch() if any(fed) else 0)
        written = [_values(change, observed, next(seqs) if is_fed else None) for change, is_fed in zip(changes, fed, strict=True)]
        self._connection.execute(UPSERT_ROWS, written)
        self._put_bodies(changes)
        self._count(changes)

    def touch(self, stream: str, keys: Collection[str]) -> None:
        """Let destinations hear of these rows again: what is shown with them changed."""
        for seq, key in enumerate(keys, self.open_epoch()):
            here = rows.c.stream == stream, rows.c.key == key, rows.c.seq.is_not(None)
            self._connection.execute(rows.update().where(*here).values(seq=seq))

    def _put_bodies(self, changes: Sequence[Change]) -> None:
        found = [
            {"stream": change.record.stream, "key": change.record.key, "body": dict(change.record.body)}
            for change in changes
            if change.record.body is not None and change.verb not in ("unchanged", "deleted")
        ]
        if found:
            self._connection.execute(PUT_BODY, found)

    def _count(self, changes: Iterable[Change]) -> None:
        """Keep the number of live rows of a stream, which the guard compares with."""
        steps: dict[str, int] = {}
        for change in changes:
            step = {"created": 1, "restored": 1, "deleted": -1}.get(change.verb, 0)
            steps[change.record.stream] = steps.get(change.record.stream, 0) + step
        for stream, step in steps.items():
            if step:
                self._connection.execute(COUNT, {"stream": stream, "live": step})

    def live(self, stream: str) -> int:
        """How many rows of a stream are live."""
        return self._connection.execute(LIVE, {"stream": stream}).scalar() or 0

    def set_versions(self, found: Iterable[tuple[str, str, str]]) -> None:
        """Note as of which version the children of these rows are known: that says nothing of the rows themselves."""
        for stream, key, version in found:
            self._connection.execute(VERSION, {"stream_": stream, "key_": key, "version_": version})

    def set_listed(self, listed: Iterable[tuple[str, str]], observed: int) -> None:
        """Note which request showed all the children of these rows."""
        for stream, keys in by_stream(listed).items():
            self._connection.execute(LISTED, {"stream_": stream, "keys": bound(keys), "at": observed})

    def deleted(self, stream: str) -> int:
        """How many rows of a stream are deleted."""
        query = sa.select(sa.func.count()).where(rows.c.stream == stream, rows.c.deleted_at.is_not(None), rows.c.data.is_not(None))
        return self._connection.execute(query).scalar_one()

    def newest_seq(self) -> int:
        """The seq of the newest change, 0 for none."""
        return self._connection.execute(NEWEST_SEQ).scalar() or 0

    def open_epoch(self) -> int:
        """The next seq. The first time, note that from it on this process gives them out, and tells where destinations stand."""
        last, epoch = self._connection.execute(NEWEST_EPOCH).first() or (0, None)
        seq: int = max(self.newest_seq() + 1, last if epoch == self._epoch else last + 1)
        if epoch != self._epoch:
            self._connection.execute(insert(epochs).values(first_seq=seq, epoch=self._epoch))
        return seq

    def learn_names(self, source: str, found: Mapping[str, Mapping[str, Json]]) -> None:
        """Keep what sideloads said of people, lists and the like; unchanged names are not written."""
        for section, values in found.items():
            known = self.names(source, section, values)
            news = [
                {"source": source, "section": section, "id": id_, "value": value}
                for id_, value in values.items()
                if known.get(id_) != value
            ]
            if news:
                self._connection.execute(LEARN_NAME, news)

    def names(self, source: str, section: str, keys: Collection[str] | None = None) -> dict[str, Json]:
        """The kept look-up table of a section; `keys` None: all of it."""
        asked = {"source": source, "section": section}
        found = (
            self._connection.execute(NAMES, asked) if keys is None else self._connection.execute(NAMES_OF, asked | {"keys": bound(keys)})
        )
        return dict(found.all())

    def renew_digests(self) -> None:
        """Digest again, from what is stored, the rows whose digest an older version of it made. Nothing else of them changes."""
        body = rows.outerjoin(bodies, (bodies.c.stream == rows.c.stream) & (bodies.c.key == rows.c.key))
        query = sa.select(rows.c.stream, rows.c.key, rows.c.data, bodies.c.body).select_from(body)
        old = query.where(~rows.c.digest.startswith(f"{digests.VERSION}-")).limit(BATCH)
        while found := self._connection.execute(old).all():
            renewed = [{"s": stream, "k": key, "digest": digests.digest(data, body)} for stream, key, data, body in found]
            self._connection.execute(REDIGEST, renewed)
        self.set_meta(DIGESTS, digests.VERSION)

    def has_old_digests(self) -> bool:
        """Whether `renew_digests` may have anything to do."""
        return self.meta(DIGESTS) != digests.VERSION

    def meta(self, name: str) -> str:
        """One of the store's own facts: `mirror` (its id), `observed` (the newest request's number)."""
        return self._connection.execute(META, {"name": name}).scalar() or ""

    def set_meta(self, name: str, value: str) -> None:
        """Keep one of the store's own facts."""
        self._connection.execute(SET_META, {"name": name, "value": value})


def _by_key(found: Iterable[tuple[Any, ...]]) -> dict[str, Row]:
    return {row.key: row for row in (Row(*each) for each in found)}


def _values(change: Change, observed: int, seq: int | None) -> dict[str, Any]:
    record = change.record
    return {
        "stream": record.stream, "key": record.key, "digest": change.digest, "data": None if record.data is None else dict(record.data),
        "version": record.version, "updated_at": record.updated_at, "parent": record.parent, "observed": observed,
        "deleted_at": change.deleted_at, "deleted_why": change.deleted_why, "seq": seq,
    }  # fmt: skip


def new_epoch() -> str:
    """A name for one process's share of the seqs."""
    return uuid.uuid4().hex


def by_stream(keys: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Keys grouped by their stream."""
    groups: dict[str, list[str]] = {}
    for stream, key in keys:
        groups.setdefault(stream, []).append(key)
    return groups
