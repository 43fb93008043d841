"""The books of destinations that keep none themselves: which record holds which key, what was written last, and notes."""

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from syncjob.core.model import Entry, Json
from syncjob.store.mirror import among, bound
from syncjob.store.ready import Connection, Ready
from syncjob.store.tables import ledger, ledger_notes

NOTE_OF = Ready(
    sa.select(ledger_notes.c.value).where(
        ledger_notes.c.destination == sa.bindparam("destination"), ledger_notes.c.name == sa.bindparam("name")
    )
)


class Books:
    """The ledgers within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def entries(self, destination: str, stream: str, keys: Collection[str]) -> dict[str, Entry]:
        """What is known of these keys."""
        query = sa.select(ledger.c.key, ledger.c.record, ledger.c.hash).where(*_owned(destination, stream), among(ledger.c.key))
        return {key: Entry(record, hash_) for key, record, hash_ in self._connection.execute(query, {"keys": bound(keys)})}

    def enter(self, destination: str, stream: str, entries: Mapping[str, Entry]) -> None:
        """Keep what is known of these keys now."""
        values = [
            {"destination": destination, "stream": stream, "key": key, "record": entry.record, "hash": entry.hash}
            for key, entry in entries.items()
        ]
        if values:
            statement = insert(ledger)
            new = {name: statement.excluded[name] for name in ("record", "hash")}
            self._connection.execute(statement.on_conflict_do_update(index_elements=["destination", "stream", "key"], set_=new), values)

    def strike(self, destination: str, stream: str, keys: Collection[str] | None) -> None:
        """Forget these keys; None: all."""
        statement = ledger.delete().where(*_owned(destination, stream))
        if keys is None:
            self._connection.execute(statement)
        else:
            self._connection.execute(statement.where(among(ledger.c.key)), {"keys": bound(keys)})

    def note_of(self, destination: str, name: str) -> Json:
        """A note, or None."""
        found: Json = self._connection.execute(NOTE_OF, {"destination": destination, "name": name}).scalar()
        return found

    def note(self, destination: str, name: str, value: Json) -> None:
        """Keep a note."""
        statement = insert(ledger_notes).values(destination=destination, name=name, value=value)
        key = ["destination", "name"]
        self._connection.execute(statement.on_conflict_do_update(index_elements=key, set_={"value": statement.excluded.value}))


def _owned(destination: str, stream: str) -> tuple[sa.ColumnElement[bool], ...]:
    return ledger.c.destination == destination, ledger.c.stream == stream
