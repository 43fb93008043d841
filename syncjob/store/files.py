"""Attachments whose files are wanted, kept or shown, and what became of each."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from syncjob.core import codec
from syncjob.core.model import EMAILS, Json, Wanted
from syncjob.store.mirror import among, bound
from syncjob.store.ready import Connection, Ready
from syncjob.store.tables import files, ledger, rows

LONGEST_WAIT = timedelta(days=1)
MOST_TRIES = 10
"""How often the file of a deleted email is asked for: of those in the trash it can still be had."""
COLUMNS = [files.c[name] for name in Wanted.__dataclass_fields__]
KEPT = Ready(sa.select(files.c.attachment, files.c.sha256).where(among(files.c.attachment), files.c.sha256.is_not(None)))


def kept_files(connection: Connection, attachments: Iterable[str]) -> dict[str, Mapping[str, Json]]:
    """The hash and the path of those attachments whose file is kept."""
    found = connection.execute(KEPT, {"keys": bound([*attachments])})
    return {attachment: {"sha256": sha256, "path": path_of(sha256)} for attachment, sha256 in found}


def path_of(sha256: str) -> str:
    """Where a file with this content is kept, below the folder of files."""
    return f"{sha256[:2]}/{sha256}"


class Files:
    """The files within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def scan(self, after: int, *, limit: int) -> tuple[Sequence[Wanted], int]:
        """The attachments of the live emails that changed after this seq, a page at a time, and the seq where the page ends."""
        query = sa.select(rows.c.key, rows.c.seq, rows.c.data, rows.c.deleted_at).where(rows.c.stream == EMAILS, rows.c.seq > after)
        found = self._connection.execute(query.order_by(rows.c.seq).limit(limit)).all()
        wanted = [
            Wanted(item["attachment_id"], key, item.get("filename"), item.get("media_type"), item.get("size_bytes"))
            for key, _, data, deleted_at in found
            if deleted_at is None
            for item in (data or {}).get("attachments") or ()
        ]
        return wanted, found[-1].seq if found else after

    def want(self, wanted: Iterable[Wanted]) -> None:
        """Keep what is wanted; what is known already only follows its email."""
        found = [{name: getattr(each, name) for name in ("attachment", "email", "filename", "media_type", "size")} for each in wanted]
        if found:
            statement = insert(files)
            moved = {"email": statement.excluded.email, "filename": statement.excluded.filename}
            self._connection.execute(statement.on_conflict_do_update(index_elements=["attachment"], set_=moved), found)

    def to_keep(self, now: datetime, most: int, *, limit: int) -> list[Wanted]:
        """Those to download now, at most so many. `most`: larger ones are not tried again."""
        mine = files.c.sha256.is_(None), sa.or_(files.c.over.is_(None), files.c.over < most), *_may(now)
        return self._found(sa.select(*COLUMNS).where(*mine).order_by(files.c.tries, files.c.attachment).limit(limit))

    def to_show(self, destination: str, now: datetime, *, limit: int) -> list[tuple[Wanted, str]]:
        """Those to put into a record of this destination now, with the record's id."""
        record = (ledger.c.destination == destination) & (ledger.c.stream == EMAILS) & (ledger.c.key == files.c.email)
        undone = sa.or_(files.c.stage != "done", files.c.record.is_distinct_from(ledger.c.record))
        query = sa.select(*COLUMNS, ledger.c.record).join(ledger, record).where(undone, *_may(now))
        found = self._connection.execute(query.order_by(files.c.tries, files.c.attachment).limit(limit))
        return [(Wanted(*each[:-1]), each[-1]) for each in found]

    def twins(self, each: Wanted) -> int:
        """How many other attachments of this name, and of this size if it is known, were put into the same record."""
        same = [files.c.filename.is_not_distinct_from(each.filename), files.c.attachment != each.attachment]
        same += [files.c.size == each.size] if each.size is not None else []
        query = sa.select(sa.func.count()).where(files.c.record == each.record, files.c.stage.in_(["done", "linked"]), *same)
        return self._connection.execute(query).scalar_one()

    def kept(self, after: str, *, limit: int) -> list[tuple[str, list[str]]]:
        """The hashes of kept files behind `after`, in order, each with the attachments that have this content."""
        attachments = sa.func.json_group_array(files.c.attachment)
        query = sa.select(files.c.sha256, attachments).where(files.c.sha256 > after).group_by(files.c.sha256).order_by(files.c.sha256)
        return [(sha256, codec.read(keys)) for sha256, keys in self._connection.execute(query.limit(limit))]

    def set(self, attachment: str, **values: Any) -> None:
        """Set columns of an attachment."""
        self._connection.execute(files.update().where(files.c.attachment == attachment).values(**values))

    def emails_of(self, attachments: Collection[str]) -> list[str]:
        """The emails that these attachments belong to."""
        query = sa.select(files.c.email).where(among(files.c.attachment)).distinct().order_by(files.c.email)
        return list(self._connection.execute(query, {"keys": bound(attachments)}).scalars())

    def counts(self) -> Mapping[str, int]:
        """How many attachments are known, kept, shown in Airtable, and waiting to be tried again."""
        shown = sa.func.count().filter(files.c.stage == "done")
        query = sa.select(sa.func.count().label("known"), sa.func.count(files.c.sha256).label("kept"), shown.label("shown"),
                          sa.func.count(files.c.error).label("failing"))  # fmt: skip
        return dict(self._connection.execute(query.select_from(files)).mappings().one())

    def _found(self, query: sa.Select[Any]) -> list[Wanted]:
        return [Wanted(*each) for each in self._connection.execute(query)]


def _may(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """Those for which it is time, also where they would have to wait longer than anything does: that was noted while this machine's
    clock was ahead. Those of deleted emails only for a while."""
    time, email = files.c.not_before, (rows.c.stream == EMAILS) & (rows.c.key == files.c.email)
    is_live = sa.exists().where(email, rows.c.deleted_at.is_(None))
    return sa.or_(time.is_(None), time <= now, time > now + LONGEST_WAIT), sa.or_(files.c.tries < MOST_TRIES, is_live)
