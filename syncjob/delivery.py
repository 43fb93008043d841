"""Delivery: the changes feed -> destination, at the destination's own pace."""

from collections.abc import Sequence
from dataclasses import replace

from syncjob.core.errors import Rejected, SyncjobError, Transient
from syncjob.core.model import Batch, FeedRow, Position, Rejection
from syncjob.core.ports import Clock, Destination
from syncjob.core.steps import Rest
from syncjob.store import Store


class DestinationPart:
    """A destination at work: it reads the feed above its own position, at its own pace."""

    def __init__(self, destination: Destination, store: Store, clock: Clock) -> None:
        self.name, self.destination = destination.name, destination
        self.written = self.parked = 0
        self._store, self._clock = store, clock
        self._position: Position | None = None

    def step(self) -> Rest | None:
        """Deliver one batch. Raises SyncjobError when that failed: the position waits."""
        if self._position is None:
            self._position = self._adopt(self.destination.prepare())
        with self._store.read() as tx:
            batch = tx.feed.after(self._position.seq)
        if not batch.rows and batch.position == self._position:
            return Rest()
        self._deliver(batch)
        self._position = batch.position
        self._note(error=None)
        return None

    @property
    def seq(self) -> int:
        """How far it has read the feed, as far as this run knows."""
        return self._position.seq if self._position else 0

    def failed(self, error: SyncjobError) -> None:
        """Note a failed step for `status`; the next one asks the destination again where it stands."""
        with self._store.begin() as tx:
            tx.feed.note(self.name, seq=self._position.seq if self._position else None, level_at=None, error=error.message)
        self._position = None
        self.destination.close()

    def _adopt(self, position: Position | None) -> Position:
        """Where to read on: after what it has, if that speaks of this mirror's past; else from the start."""
        with self._store.read() as tx:
            newest = tx.feed.newest()
            return position if position and tx.feed.trusts(position) else replace(newest, epoch="", seq=0)

    def _deliver(self, batch: Batch) -> None:
        """Write a batch. Where rows are refused for their own sake, halve it until they stand alone, and park those.

        Halves before a bad row are written with their own position: a crash in between repeats nothing.
        """
        refused: list[tuple[FeedRow, Rejected]] = []
        accepted = self._halve(batch, refused)
        if refused and not accepted and len(batch.rows) > 1:
            raise Transient(
                f"{self.name} refused every row of a batch: {refused[0][1].message}", hint="see what the destination says; nothing is lost"
            )
        self.parked += self._park(refused, accepted)
        if refused:
            self.destination.deliver(Batch((), batch.position))

    def _halve(self, batch: Batch, refused: list[tuple[FeedRow, Rejected]]) -> list[FeedRow]:
        """Deliver what can be delivered; the rows that were accepted."""
        try:
            self.written += self.destination.deliver(batch).written
            return list(batch.rows)
        except Rejected as error:
            if len(batch.rows) == 1:
                refused.append((batch.rows[0], error))
                return []
        middle = len(batch.rows) // 2
        assert self._position is not None
        first, second = batch.rows[:middle], batch.rows[middle:]
        done = self._halve(Batch(first, self._position), refused)  # a position moves only behind rows that were all decided on
        return done + self._halve(Batch(second, self._position), refused)

    def _park(self, refused: Sequence[tuple[FeedRow, Rejected]], accepted: Sequence[FeedRow]) -> int:
        now = self._clock.now()
        with self._store.begin() as tx:
            letters = [Rejection(row.stream, row.key, error.message, "") for row, error in refused]
            return tx.walks.bury(self.name, letters, walk=None, now=now)

    def _note(self, error: str | None) -> None:
        assert self._position is not None
        with self._store.begin() as tx:
            level = self._position.seq >= tx.mirror.newest_seq()
            tx.feed.note(self.name, seq=self._position.seq, level_at=self._clock.now() if level else None, error=error)
