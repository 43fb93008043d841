"""The tables of the store, one SQLite file: `<state>/mirror.db`."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator


class Time(TypeDecorator[datetime]):
    """An aware time, kept as ISO 8601 text in UTC, so that text order is time order."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


metadata = sa.MetaData()
Text, Integer, Boolean, JSON = sa.Text, sa.Integer, sa.Boolean, sa.JSON

meta = sa.Table(
    "meta", metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("value", Text, nullable=False),
)  # fmt: skip
epochs = sa.Table(
    "epochs", metadata,
    sa.Column("first_seq", Integer, primary_key=True),
    sa.Column("epoch", Text, nullable=False),
)  # fmt: skip
sources = sa.Table(
    "sources", metadata,
    sa.Column("source", Text, primary_key=True),
    sa.Column("identity", Text),
    sa.Column("access", Text),  # a fingerprint of URL and key: when it changes, the identity is asked again
    sa.Column("absorbed", Integer, nullable=False, default=0),
)  # fmt: skip
streams = sa.Table(
    "streams", metadata,
    sa.Column("stream", Text, primary_key=True),
    sa.Column("checkpoint", Time),
    sa.Column("live", Integer, nullable=False, default=0),
    sa.Column("process_after", Time),
    sa.Column("swept_at", Time),
    sa.Column("news_at", Time),
    sa.Column("late_seconds", Integer, nullable=False, default=0),
)  # fmt: skip
rows = sa.Table(
    "rows", metadata,
    sa.Column("stream", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("digest", Text, nullable=False),
    sa.Column("data", JSON(none_as_null=True)),
    sa.Column("version", Text),
    sa.Column("updated_at", Time),
    sa.Column("parent", Text),
    sa.Column("observed", Integer, nullable=False),
    sa.Column("deleted_at", Time),
    sa.Column("deleted_why", Text),
    sa.Column("seq", Integer),
    sa.Column("listed", Integer),  # the request that last showed all its children
    sa.Column("missed", Integer, nullable=False, server_default="0"),  # how many lists in a row should have shown it, and did not
    sa.Index("rows_by_seq", "seq", unique=True, sqlite_where=sa.text("seq IS NOT NULL")),
    sa.Index("rows_by_parent", "stream", "parent", sqlite_where=sa.text("parent IS NOT NULL")),
    sa.Index("rows_missed", "stream", "key", sqlite_where=sa.text("missed > 0")),
)  # fmt: skip
bodies = sa.Table(
    "bodies", metadata,
    sa.Column("stream", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("body", JSON, nullable=False),
)  # fmt: skip
walks = sa.Table(
    "walks", metadata,
    sa.Column("id", Integer, primary_key=True),
    sa.Column("stream", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("since", Time),
    sa.Column("until", Time),
    sa.Column("position", JSON, nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("finished_at", Time),
    sa.Column("first_observation", Integer, nullable=False),
    sa.Column("live", Integer, nullable=False, default=0),
    sa.Column("listed", Boolean, nullable=False, default=False),
    sa.Column("reread", Boolean, nullable=False, default=False),
    sa.Column("complete", Boolean, nullable=False, default=False),
    sa.Column("requests", Integer, nullable=False, default=0),
    sa.Column("fetched", Integer, nullable=False, default=0),
    sa.Column("expected", Integer, nullable=False, default=0),
    sa.Column("turn", Integer, nullable=False, default=0),
    sa.Column("before", Time),
    sa.Column("concluded", Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("empty", Boolean, nullable=False, default=False, server_default=sa.false()),  # it met nothing at all
    sa.Column("verdicts", JSON(none_as_null=True)),
    sa.Column("process_after", Time),
    sa.Column("tries", Integer, nullable=False, default=0, server_default="0"),
    sa.Column("unread", Text),
    sa.Column("wrong", Text),
    sa.Column("error", Text),
    sa.Index("walks_open", "stream", sqlite_where=sa.text("finished_at IS NULL")),
)  # fmt: skip
IS_PENDING = sa.text("verdict = 'pending'")
"""Of sightings. Written out, since a value that is bound would not lead to their partial index."""
sightings = sa.Table(
    "sightings", metadata,
    sa.Column("walk", Integer, primary_key=True),
    sa.Column("stream", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("verdict", Text, nullable=False),
    sa.Index("sightings_pending", "stream", "key", sqlite_where=IS_PENDING),
    sqlite_with_rowid=False,
)  # fmt: skip
wants = sa.Table(
    "wants", metadata,
    sa.Column("id", Integer, primary_key=True),
    sa.Column("source", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("stream", Text, nullable=False),
    sa.Column("key", Text, nullable=False),
    sa.Column("walk", Integer),
    sa.Column("changes", Integer),  # a changes walk that waits for the answer, though another walk asks
    sa.Column("about", JSON, nullable=False),
    sa.Column("tries", Integer, nullable=False, default=0),
    sa.Column("most", Integer),
    sa.Column("not_before", Time),
    sa.UniqueConstraint("source", "kind", "key"),
    sa.Index("wants_by_walk", "source", "walk", "kind", "id"),
    sa.Index("wants_by_key", "stream", "key"),
    sa.Index("wants_by_changes", "changes", sqlite_where=sa.text("changes IS NOT NULL")),
)  # fmt: skip
deletions = sa.Table(
    "deletions", metadata,
    sa.Column("stream", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("walk", Integer, nullable=False),
    sa.Column("observed", Integer, nullable=False),
    sa.Column("why", Text, nullable=False),
    sa.Column("at", Time),
    sa.Column("held", Boolean, nullable=False, default=False),
)  # fmt: skip
dead_letters = sa.Table(
    "dead_letters", metadata,
    sa.Column("part", Text, primary_key=True),
    sa.Column("stream", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("error", Text, nullable=False),
    sa.Column("raw", Text),
    sa.Column("kind", Text),  # of the question that failed, where no record came; and its `about`
    sa.Column("about", JSON(none_as_null=True)),
    sa.Column("walk", Integer),
    sa.Column("first_at", Time, nullable=False),
    sa.Column("last_at", Time, nullable=False),
)  # fmt: skip
names = sa.Table(
    "names", metadata,
    sa.Column("source", Text, primary_key=True),
    sa.Column("section", Text, primary_key=True),
    sa.Column("id", Text, primary_key=True),
    sa.Column("value", JSON, nullable=False),
)  # fmt: skip
destinations = sa.Table(
    "destinations", metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("epoch", Text),
    sa.Column("seq", Integer, nullable=False, default=0),
    sa.Column("level_at", Time),
    sa.Column("behind_since", Time),
    sa.Column("error", Text),
)  # fmt: skip
ledger = sa.Table(
    "ledger", metadata,
    sa.Column("destination", Text, primary_key=True),
    sa.Column("stream", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("record", Text, nullable=False),
    sa.Column("hash", Text, nullable=False),
)  # fmt: skip
ledger_notes = sa.Table(
    "ledger_notes", metadata,
    sa.Column("destination", Text, primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("value", JSON(none_as_null=True)),
)  # fmt: skip
strangers = sa.Table(
    "strangers", metadata,
    sa.Column("stream", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sqlite_with_rowid=False,
)  # fmt: skip
files = sa.Table(
    "files", metadata,
    sa.Column("attachment", Text, primary_key=True),
    sa.Column("email", Text, nullable=False),
    sa.Column("filename", Text),
    sa.Column("media_type", Text),
    sa.Column("size", Integer),  # as the source says it, until the file was seen
    sa.Column("sha256", Text),
    sa.Column("over", Integer),  # the limit that it was found to exceed
    sa.Column("stage", Text, nullable=False, server_default="wanted"),  # in Airtable: wanted, sending, linked, done
    sa.Column("record", Text),  # the record that it was put into
    sa.Column("tries", Integer, nullable=False, server_default="0"),
    sa.Column("not_before", Time),
    sa.Column("error", Text),
    sa.Index("files_by_record", "record"),
)  # fmt: skip
