"""Strangers: live rows of an adopted destination of which the mirror has no content. Whether they are gone, only their source can say."""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from syncjob.core.digest import digest
from syncjob.core.model import Change, Record
from syncjob.store.mirror import Mirror, among, bound
from syncjob.store.ready import Connection, Ready
from syncjob.store.tables import rows, strangers

ASKED = sa.func.json_each(sa.bindparam("keys")).table_valued("value")
NOTE = (
    insert(strangers)
    .from_select(
        ["stream", "key"],
        sa.select(sa.bindparam("stream"), ASKED.c.value).where(
            ~sa.exists().where(rows.c.stream == sa.bindparam("stream"), rows.c.key == ASKED.c.value, rows.c.data.is_not(None))
        ),
    )
    .on_conflict_do_nothing()
)
SETTLE = Ready(
    strangers.delete().where(
        strangers.c.stream == sa.bindparam("stream_"),
        sa.exists().where(rows.c.stream == strangers.c.stream, rows.c.key == strangers.c.key, rows.c.data.is_not(None)),
    )
)
OF_STREAM = sa.select(strangers.c.key).where(strangers.c.stream == sa.bindparam("stream"))
AMONG = Ready(OF_STREAM.where(among(strangers.c.key)))


class Strangers:
    """Strangers within one transaction.

    An adopted destination notes them. At the end of a complete sweep or full walk the mirror knows most of them: `settle`. The source
    is asked for the rest (`some`). Those that it proves to be gone are buried, those that it shows are rows then, and settled next time.
    """

    def __init__(self, connection: Connection, mirror: Mirror) -> None:
        self._connection, self._mirror = connection, mirror

    def note(self, stream: str, keys: Collection[str]) -> None:
        """Remember those of a destination's live keys that the mirror does not know, or keeps out for their date."""
        self._connection.execute(NOTE, {"stream": stream, "keys": bound(keys)})

    def settle(self, stream: str) -> None:
        """Forget those that the mirror knows by now."""
        self._connection.execute(SETTLE, {"stream_": stream})

    def some(self, stream: str, *, after: str = "", most: int = 1000) -> list[str]:
        """The first keys behind `after`."""
        query = OF_STREAM.where(strangers.c.key > after).order_by(strangers.c.key).limit(most)
        return list(self._connection.execute(query, {"stream": stream}).scalars())

    def among(self, stream: str, keys: Collection[str]) -> frozenset[str]:
        """Which of these keys are strangers."""
        return frozenset(self._connection.execute(AMONG, {"stream": stream, "keys": bound(keys)}).scalars())

    def bury(self, stream: str, key: str, *, why: str, at: datetime, observed: int) -> bool:
        """Mark a stranger as deleted, wherever a destination holds it; its content stays what that destination has. False: it is none."""
        if not self.among(stream, [key]) or any(row.data is not None for row in self._mirror.rows(stream, [key]).values()):
            return False
        gone = Change("out_of_scope", Record(stream, key, {}), digest({}, None), at, why)  # no live row goes, so none is counted
        self._mirror.apply([gone], observed=observed)
        self._connection.execute(strangers.delete().where(strangers.c.stream == stream, strangers.c.key == key))
        return True
