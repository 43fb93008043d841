"""Verify: is every row of a destination what the mirror says?

Both are read in the order of their keys, a stretch at a time, so that no more is held than one stretch. Nothing is locked, and a
run may be at work: the destination's position is read first, then a stretch of its rows, then the mirror's rows of the same keys. So
what the mirror gave out up to that position has to be there. What it gave out since is behind, which is told, but no difference.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

from syncjob.core.errors import Rejected
from syncjob.core.model import ATTACHMENTS, EMAILS, FeedRow, Json, Position, Row
from syncjob.core.ports import Destination
from syncjob.core.tables import SQL_TABLES
from syncjob.store import Store

Verdict: TypeAlias = Literal["equal", "missing", "extra", "differs", "behind", "waiting", "refused", "unproven"]
Held: TypeAlias = Mapping[str, Json]

DIFFERENT: tuple[Verdict, ...] = ("missing", "extra", "differs")
STRETCH_ROWS, STRETCH_BYTES = 5000, 4_000_000
"""How many rows of a destination are held at a time; large, because the mirror keeps attachments in its emails, and finds each
stretch of them by looking through all emails."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one row. `columns` are those that differ; `remedy`, delivered by its content, makes it right.

    equal, missing, differs: what the destination holds, seen from the mirror.
    extra: live, although the mirror knows no such row.  unproven: likewise, but the mirror may have yet to meet it, or to prove it gone.
    behind: changed since the destination read the feed.  waiting: not fed yet.  refused: a dead letter.
    """

    verdict: Verdict
    key: str
    columns: tuple[str, ...] = ()
    remedy: FeedRow | None = None


class Comparison:
    """A destination and the mirror side by side. `position`: how far the destination has read the feed of this mirror."""

    def __init__(self, destination: Destination, store: Store, position: Position, now: datetime) -> None:
        self._destination, self._store, self._through, self._now = destination, store, position.seq, now

    def findings(self, stream: str) -> Iterator[Finding]:
        """A finding for every row of either side, but for deleted ones that the mirror never knew. Raises what the destination raises."""
        key, after = SQL_TABLES[stream].key, ""
        for held, until in _stretches(self._destination.rows(stream), key):
            unmet = dict(held)
            for row, refused in self._known(stream, after, until):
                yield self._judge(row, unmet.pop(row.key, None), refused=refused)
            yield from self._alone(stream, {found: row for found, row in unmet.items() if not row["deleted"]})
            after = until or ""

    def _known(self, stream: str, after: str, until: str | None) -> Iterator[tuple[FeedRow, bool]]:
        """The mirror's rows of a stretch, in pages: where a destination holds no more, the stretch is all the rest."""
        while after != until:
            with self._store.read() as tx:
                page = tx.feed.stretch(stream, after=after, until=until)
                refused = tx.feed.refused(self._destination.name, _home(stream), [_home_key(stream, row.key, row.data) for row in page])
            if not page:
                return
            yield from ((row, _home_key(stream, row.key, row.data) in refused) for row in page)
            after = page[-1].key

    def _judge(self, row: FeedRow, held: Held | None, *, refused: bool) -> Finding:
        if row.seq > self._through:
            return Finding("behind", row.key)
        if held is None and not row.data:
            return Finding("equal", row.key)
        row = row if row.data or held is None else replace(row, data=held)
        try:
            expected = self._destination.rendered(row)
        except Rejected:
            return Finding("refused", row.key)
        if held is None:
            return Finding("refused", row.key) if refused else Finding("missing", row.key, remedy=row)
        columns = tuple(name for name, value in expected.items() if held.get(name) != value)
        if not columns:
            return Finding("equal", row.key)
        return Finding("refused", row.key) if refused else Finding("differs", row.key, columns, row)

    def _alone(self, stream: str, live: Mapping[str, Held]) -> Iterator[Finding]:
        """Live rows that the mirror has not fed to the destination."""
        if not live:
            return
        home, homes = _home(stream), {key: _home_key(stream, key, row) for key, row in live.items()}
        with self._store.read() as tx:
            rows, strangers = tx.mirror.rows(home, {*homes.values()}), tx.strangers.among(home, {*homes.values()})
            refused = tx.feed.refused(self._destination.name, home, {*homes.values()})
            unsure = {*strangers} if tx.walks.enumerated(home) else {*homes.values()}
        for key, held in live.items():
            verdict = self._of_alone(rows.get(homes[key]), refused=homes[key] in refused, unsure=homes[key] in unsure)
            yield Finding(verdict, key, remedy=FeedRow(stream, key, 0, held, self._now) if verdict == "extra" else None)

    def _of_alone(self, row: Row | None, *, refused: bool, unsure: bool) -> Verdict:
        """What a live row is, from what the mirror has of it, or of its email."""
        if refused:
            return "refused"
        if row is None:
            return "unproven" if unsure else "extra"
        if row.seq is None:
            return "waiting"
        return "behind" if row.seq > self._through else "extra"


def _home(stream: str) -> str:
    """The stream whose rows bring those of another one along: an attachment stands and falls with its email."""
    return EMAILS if stream == ATTACHMENTS else stream


def _home_key(stream: str, key: str, row: Held) -> str:
    return str(row["email_id"]) if stream == ATTACHMENTS else key


def _stretches(rows: Iterable[Held], key: str) -> Iterator[tuple[Mapping[str, Held], str | None]]:
    """The rows by key, a stretch at a time, and the last key of each; None: the last stretch has no end."""
    held: dict[str, Held] = {}
    size = 0
    for row in rows:
        held[row[key]] = row
        size += weight(row)
        if len(held) == STRETCH_ROWS or size > STRETCH_BYTES:
            yield held, row[key]
            held, size = {}, 0
    yield held, None


def weight(row: Held) -> int:
    """About how much a row holds."""
    return sum(len(value) for value in row.values() if isinstance(value, str))
