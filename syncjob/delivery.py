"""Delivery: the changes feed -> destination, at the destination's own pace."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from syncjob.core.errors import Rejected, SyncjobError, Transient
from syncjob.core.model import NOTHING, Batch, FeedRow, Position, Receipt, Rejection
from syncjob.core.ports import Clock, Destination
from syncjob.core.steps import Rest
from syncjob.core.tables import TABLES
from syncjob.store import Store, Tx
from syncjob.store.letters import Letter
from syncjob.store.mirror import FED, by_stream

NO_TIME = timedelta()
KEYS = 1000
"""Of an adopted destination's keys, how many are compared with the mirror at a time."""


class DestinationPart:
    """A destination at work: it reads the feed above its own position, at its own pace.

    `by_content`: also rows that somebody else changed in the destination are made right when they are delivered.
    """

    def __init__(
        self, destination: Destination, store: Store, clock: Clock, *, by_content: bool = False, every: timedelta = NO_TIME
    ) -> None:
        """`every`: once level, it rests for so long, while the feed coalesces."""
        self.name, self.destination = destination.name, destination
        self.written = 0
        self._store, self._clock, self._by_content = store, clock, by_content
        self._every, self._again = every, False
        self._rests_until: datetime | None = None
        self._position: Position | None = None
        self._level: bool | None = None
        self._stands: Position | None = None

    def new_cycle(self) -> None:
        """Count written rows anew, and ask the destination anew where it stands: it may have been set back."""
        self.written = 0
        self._position = self._rests_until = None
        self.destination.close()

    def step(self) -> Rest | None:
        """Deliver one batch. Raises SyncjobError when that failed: the position waits."""
        if self._every and (rest := self._rest()):
            return rest
        if self._position is None:
            self._position = self._ask()
        with self._store.read() as tx:
            batch = tx.feed.after(self._position.seq)
        if not batch.rows and batch.position == self._position:
            self._note_turn(level=True)
            return Rest()
        self._note_turn(level=False)
        accepted = self._deliver(self._filled(batch))
        if self._again:
            self._position, self._again = None, False
            return None
        self._position = batch.position
        self._note_written(accepted)
        return None

    def _rest(self) -> Rest | None:
        """Whether it was level a short time before this cycle. Within one it goes on: a backfill is level more than once."""
        if self._rests_until is None:
            with self._store.read() as tx:
                level_at = tx.feed.level_at(self.name)
            now = self._clock.now()  # when it was ahead, it told a time that has yet to come
            self._rests_until = level_at + self._every if level_at and level_at <= now else now
        return Rest(self._rests_until) if self._clock.now() < self._rests_until else None

    def rewind(self) -> None:
        """Begin again at the start of the feed: every row is delivered again."""
        self._stands = self.destination.prepare()
        self._position = self._adopt()

    def repair(self, rows: Sequence[FeedRow]) -> int:
        """Deliver these rows beside the feed; how many were accepted. Raises as `step`, which must have come to rest before."""
        assert self._position is not None
        return len(self._deliver(Batch(tuple(rows), self._position)))

    @property
    def position(self) -> Position | None:
        """Where it stands, as far as this run knows."""
        return self._position

    @property
    def seq(self) -> int:
        """How far it has read the feed, as far as this run knows, else as it was noted last."""
        if self._position:
            return self._position.seq
        with self._store.read() as tx:
            return next((noted["seq"] for noted in tx.feed.noted() if noted["name"] == self.name), 0)

    def failed(self, error: SyncjobError) -> None:
        """Note a failed step for `status`; the next one asks the destination again where it stands."""
        seq = self._position.seq if self._position else None
        self._position, self._level = None, False
        self.destination.close()
        with suppress(SyncjobError), self._store.begin() as tx:  # what failed may be the disk of the store, too
            tx.feed.note(self.name, seq=seq, now=self._clock.now(), level=False, error=error.message)

    def retry(self, letters: Sequence[Letter]) -> int:
        """Deliver the present rows of these dead letters and nothing else; how many were refused again."""
        position = self.destination.prepare()
        if position is None:
            raise Transient(f"{self.name} has to be filled first", hint="run `python -m syncjob once`")
        return sum(not self._passes(letter, position) for letter in letters)

    def _passes(self, letter: Letter, position: Position) -> bool:
        with self._store.read() as tx:
            row = tx.feed.row(letter.stream, letter.key)
        try:
            receipt = self.destination.deliver(self._filled(Batch((row,) if row else (), position)))
            if receipt.again:
                raise Transient(f"{self.name} has to be filled again first", hint="run `python -m syncjob once`")
            refused = _refused(receipt, (row,) if row else ())
        except Rejected as error:
            assert row is not None
            refused = [(row, error)]
        if refused:
            self._park(refused)
            return False
        with self._store.begin() as tx:
            tx.letters.forget(letter)
        return True

    def _ask(self) -> Position:
        """Where to read on: after what the destination has, if that speaks of this mirror's past; else it is adopted, from the start."""
        self._stands = self.destination.prepare()
        with self._store.read() as tx:
            trusted = tx.feed.trusts(self._stands)
        return self._stands if self._stands and trusted else self._adopt()

    def _adopt(self) -> Position:
        """The feed's start, once it is known what the destination holds."""
        self._note_strangers()
        with self._store.read() as tx:
            return replace(tx.feed.newest(), epoch="", seq=0)

    def _note_strangers(self) -> None:
        """What an adopted destination holds and the mirror lacks may be gone: at the end of the next complete walk the source is asked.

        Noted before the first batch takes the position over: a crash in between notes them again. From here on positions tell of a new
        epoch, so that a mirror that is set back to before this does not trust them.
        """
        with self._store.begin() as tx:
            tx.mirror.open_epoch()
        for stream in FED:
            keys = self.destination.live(stream)
            while some := list(islice(keys, KEYS)):
                with self._store.begin() as tx:
                    tx.strangers.note(stream, some)

    def _filled(self, batch: Batch) -> Batch:
        """The batch with the destination's own content in rows that are only known to be gone; what it does not hold, it need not mark."""
        bare = by_stream((row.stream, row.key) for row in batch.rows if not row.data)
        if not bare:
            return batch
        key = {stream: TABLES[stream].key for stream in bare}
        own = {(stream, row[key[stream]]): row for stream, keys in bare.items() for row in self.destination.rows(stream, keys=keys)}
        known = (row if row.data else replace(row, data=own.get((row.stream, row.key), NOTHING)) for row in batch.rows)
        return replace(batch, rows=tuple(row for row in known if row.data))

    def _deliver(self, batch: Batch) -> Sequence[FeedRow]:
        """Write a batch; the rows that were accepted. Of rows that are refused for their own sake, those that stand alone are parked.

        Halves before a bad row are written with their own position: a crash in between repeats nothing.
        """
        refused: list[tuple[FeedRow, Rejected]] = []
        accepted = self._halve(batch, refused)
        if self._again:
            return ()  # all of it comes by once more
        if refused:
            for stream in {row.stream for row, _ in refused}:
                self._prove(stream, refused[0][1], accepted)
            self._park(refused)
            self._write(Batch((), batch.position))
        return accepted

    def _write(self, batch: Batch) -> Receipt:
        receipt = self.destination.deliver(replace(batch, after=self._stands), by_content=self._by_content)
        if not receipt.refused:
            self._stands = batch.position
        return receipt

    def _halve(self, batch: Batch, refused: list[tuple[FeedRow, Rejected]]) -> list[FeedRow]:
        """Deliver what can be delivered; the rows that were accepted."""
        try:
            receipt = self._write(batch)
            self.written += receipt.written
            self._again |= receipt.again
            refused += (bad := _refused(receipt, batch.rows))
            return [row for row in batch.rows if row not in [each for each, _ in bad]]
        except Rejected as error:
            if len(batch.rows) == 1:
                refused.append((batch.rows[0], error))
                return []
        middle = len(batch.rows) // 2
        assert self._position is not None
        first, second = batch.rows[:middle], batch.rows[middle:]
        done = self._halve(Batch(first, self._position), refused)  # a position moves only behind rows that were all decided on
        return done + self._halve(Batch(second, self._position), refused)

    def _prove(self, stream: str, refusal: Rejected, accepted: Sequence[FeedRow]) -> None:
        """A row is refused for its own sake only if another one passes: one that was taken before, best of the same stream.

        Otherwise the fault is the destination's, and its position waits. Raises Transient then.
        """
        assert self._position is not None
        with self._store.read() as tx:
            known = (*accepted, *tx.feed.witness(self.name, stream, self._position.seq))
        others = sorted(known, key=lambda row: row.stream != stream)
        try:
            if others:
                return self.destination.rewrite(others[0])
        except Rejected:
            pass
        hint = "see what the destination says; nothing is lost, the next run tries again"
        raise Transient(f"{self.name} refuses every row: {refusal.message}", hint=hint) from None

    def _park(self, refused: Sequence[tuple[FeedRow, Rejected]]) -> None:
        with self._store.begin() as tx:
            letters = [Rejection(row.stream, row.key, error.message, "") for row, error in refused]
            tx.letters.bury(self.name, letters, walk=None, now=self._clock.now())

    def _note_written(self, accepted: Iterable[FeedRow]) -> None:
        """Forget the dead letters of rows that went through.

        A crash before this leaves a letter too many, which `dead retry` or the row's next change takes away.
        """
        with self._store.begin() as tx:
            self._note(tx)
            for stream, keys in by_stream((row.stream, row.key) for row in accepted).items():
                tx.letters.unbury(self.name, stream, keys)

    def _note_turn(self, *, level: bool) -> None:
        """Note that it fell behind, or is level again, unless that is known."""
        if self._level is level:
            return
        with self._store.read() as tx:
            noted = next((noted for noted in tx.feed.noted() if noted["name"] == self.name), None)
        if level is bool(noted and (noted["error"] or noted["behind_since"])):
            with self._store.begin() as tx:
                self._note(tx)
        self._level = level

    def _note(self, tx: Tx) -> None:
        """Keep for `status` how far it is."""
        assert self._position is not None
        self._level = self._position.seq >= tx.mirror.newest_seq()
        tx.feed.note(self.name, seq=self._position.seq, now=self._clock.now(), level=self._level, error=None)


def _refused(receipt: Receipt, rows: Iterable[FeedRow]) -> list[tuple[FeedRow, Rejected]]:
    """The rows that a destination found to be bad while it wrote the others."""
    errors = {(each.stream, each.key): each.error for each in receipt.refused}
    return [(row, Rejected(errors[row.stream, row.key])) for row in rows if (row.stream, row.key) in errors]
