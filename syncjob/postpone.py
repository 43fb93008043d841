"""A question that fails does not stop its source: it waits, and the others are asked meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from syncjob.core.errors import Forbidden, SyncjobError
from syncjob.core.model import PROOF, Rejection, Verb, Walk, Want
from syncjob.core.ports import Source
from syncjob.core.questions import MOST_TRIES, after_failure
from syncjob.store.store import KnownTo, Store, Tx

OUTAGE = 3
MOMENT = timedelta(microseconds=1)
MOST_WITNESSES = 3
LIST = "list"
WAITING = "some of its questions failed and wait; the next walk asks them again"


class Postponed:
    """What a source remembers of its failed questions while it is at work.

    A kind of question that the source answers in this cycle is no outage. Three failures in a row are one: a poisoned
    batch and its half may fail one after the other, but then the other half is answered. Where nothing else is to be asked,
    a witness is: a record that is there.
    """

    def __init__(self, source: Source, store: Store) -> None:
        self._source, self._store = source, store
        self._answered: set[str] = set()
        self._in_a_row = 0
        self._error: SyncjobError | None = None

    def new_cycle(self) -> None:
        """What the source answered before proves nothing from here on."""
        self._answered.clear()

    def answered(self, wants: Sequence[Want]) -> None:
        """These were answered."""
        self._answered |= {want.kind for want in wants}
        self._in_a_row = 0

    def listed(self) -> None:
        """A page of a list was answered."""
        self._answered.add(LIST)

    def failed(self, wants: Sequence[Want], walk: Walk | None, error: SyncjobError, now: datetime) -> None:
        """Let these wait. Raises the error if it looks like an outage."""
        kind, name = wants[0].kind, self._source.name
        with self._store.begin() as tx:
            dead = bool(tx.letters.given_up(name, kind, [want.key for want in wants]))
            is_refusal = isinstance(error, Forbidden)  # an answer about this very record, while lists are answered: no outage
            failed = after_failure(wants, now, proven=self._is_well(wants[0]) or is_refusal, dead=dead)
            tx.walks.want(name, self._witnessed(failed.again, now, tx))
            _bury(name, failed.given_up, walk, error, tx, now)
        self._error = error if failed.again else self._error
        self._in_a_row += 1
        if self._in_a_row == OUTAGE:
            self.tell(waiting=True)

    def _is_well(self, want: Want) -> bool:
        """Whether the source answers others in this cycle: of the same kind, or lists, where no witness can be asked."""
        has_witness = want.kind in PROOF or (want.walk is not None and want.kind in self._source.witnesses)
        return want.kind in self._answered or (LIST in self._answered and not has_witness)

    def _witnessed(self, again: Sequence[Want], now: datetime, tx: Tx) -> Sequence[Want]:
        """The same questions; one that lacks nothing but the proof that the source answers others is asked at once, behind a witness: a
        question of its kind about a record that the walk has met, and that nobody doubts."""
        want = again[0] if len(again) == 1 else None
        if not want or not want.walk or want.tries < MOST_TRIES or not (about := self._source.witnesses.get(want.kind)):
            return again
        known = KnownTo(tx, self._source.name)
        met = [known.control(want.walk, want.stream, want.tries + more) for more in range(MOST_WITNESSES)]
        free = [key for key in met if key and key != want.key and not known.waiting(want.kind, [key])]
        rows = known.rows(want.stream, free[:1]).values()
        found = [Want(want.kind, want.stream, row.key, about(row), want.walk, not_before=now - MOMENT) for row in rows]
        return [*found, replace(want, not_before=now)] if found else again

    def tell(self, *, waiting: bool) -> None:
        """Raise the newest error, once: at an outage, or when nothing else is due and something still waits."""
        error, self._error, self._in_a_row = self._error, None, 0
        if error and waiting:
            raise error


def take_over(new: Walk, old: Walk, tx: Tx, now: datetime) -> None:
    """Close a changes walk that only waits, or newer changes would wait with it. The new one begins at the same checkpoint,
    so it meets all that the old one met, and asks what that one still wanted."""
    verdicts = tx.walks.verdicts(old.id, old.stream)
    tx.walks.update(old.id, finished_at=now, verdicts=verdicts, fetched=sum(verdicts.values()), error=WAITING)
    tx.walks.hand_over(old.id, new.id)
    tx.walks.forget_sightings(old.id)


def _bury(source: str, wants: Sequence[Want], walk: Walk | None, error: SyncjobError, tx: Tx, now: datetime) -> None:
    tx.walks.settle(source, [(want.kind, want.key) for want in wants])
    letters = [Rejection(want.stream, want.key, error.message, "", want) for want in wants]
    tx.letters.bury(source, letters, walk=walk.id if walk else None, now=now)
    if walk:
        verdict: Verb = "inaccessible" if isinstance(error, Forbidden) else "rejected"
        tx.walks.sight(walk.id, {(want.stream, want.key): verdict for want in wants})
