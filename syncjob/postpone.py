"""A question that fails does not stop its source: it waits, and the others are asked meanwhile. Nor does a page that always fails, as
far as a walk can get on without it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from syncjob.core.errors import Forbidden, SyncjobError
from syncjob.core.model import PROOF, Answer, Call, Rejection, Verb, Walk, WalkKind, Want
from syncjob.core.ports import Source
from syncjob.core.questions import MOST_TRIES, after_failure
from syncjob.store.store import KnownTo, Store, Tx

OUTAGE = 3
LIST = "list"
WAITING = "some of its questions failed and wait; the next walk asks them again"


class Postponed:
    """What a source remembers of its failed questions while it is at work.

    A kind of question that the source answers in this cycle is no outage. Three failures in a row are one: a poisoned
    batch and its half may fail one after the other, but then the other half is answered.
    """

    def __init__(self, source: Source, ask: Callable[[Call, WalkKind], Answer], store: Store) -> None:
        self._source, self._ask, self._store = source, ask, store
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
        proven = self._is_well(wants, error)
        with self._store.begin() as tx:
            dead = bool(tx.letters.given_up(name, kind, [want.key for want in wants]))
            failed = after_failure(wants, now, proven=proven, dead=dead)
            tx.walks.want(name, failed.again)
            _bury(name, failed.given_up, walk, error, tx, now)
        self._error = error if failed.again else self._error
        self._in_a_row += 1
        if self._in_a_row == OUTAGE:
            self.tell(waiting=True)

    def _is_well(self, wants: Sequence[Want], error: SyncjobError) -> bool:
        """Whether it is no outage: this very record was refused, or others are answered in this cycle. Where a question lacks nothing
        else to be given up on, another record is asked for."""
        want = wants[0]
        if isinstance(error, Forbidden) or want.kind in self._answered:
            return True
        if want.kind not in {*self._source.witnesses, *PROOF} or want.walk is None:
            return LIST in self._answered
        if len(wants) == 1 and want.tries + 1 >= MOST_TRIES and self._has_witness(want, want.walk):
            self._answered.add(want.kind)
        return want.kind in self._answered

    def _has_witness(self, want: Want, walk_id: int) -> bool:
        """Ask the same about a record that the walk has met and nobody doubts. Only whether that is answered counts, and nothing of it
        is taken in."""
        try:
            with self._store.read() as tx:
                known, walk = KnownTo(tx, self._source.name), tx.walks.get(walk_id)
                met = [known.control(walk_id, want.stream, want.tries + more) for more in (0, 1)]
                others = [key for key in met if key and key != want.key]
                about, rows = self._source.witnesses.get(want.kind), known.rows(want.stream, others[:1]).values()
                witnesses = [Want(want.kind, want.stream, row.key, about(row), walk_id) for row in rows if about]
                call = self._source.want_call(witnesses, known) if witnesses else None
            if call is None:  # of a proof where all are gone, or else its control failed, and the next try takes another one
                return not others and want.kind in PROOF and self._is_answering()
            answer = self._ask(call, walk.kind)
            with self._store.read() as tx:
                self._source.read(walk, call, answer, KnownTo(tx, self._source.name))
        except Exception:  # noqa: BLE001  what may come of a vendor's answer: it is none, then
            return False
        return answer.status == 200

    def page_failed(self, walk: Walk, error: SyncjobError, now: datetime) -> None:
        """Let a walk go on without a page that failed in three runs, or whose list did before, while the source answers other things.

        A list that it cannot do without ends there where it is a poll's, so that what it has shown is taken in and the next poll
        begins anew; its checkpoint stays. Raises the error if the page is to be asked for again.
        """
        place, tries = f"{walk.kind}:{self._source.place(walk.position)}", walk.tries + 1
        with self._store.begin() as tx:
            tx.walks.update(walk.id, tries=tries)
            is_known = bool(tx.letters.find(self._source.name, place))
        onward = self._source.without(walk)
        if (tries < MOST_TRIES and not is_known) or (onward is None and walk.kind != "changes") or not self._is_answering():
            raise error
        position, listed = onward or (walk.position, True)
        letter = Rejection(walk.stream, place, f"a page of this list always fails: {error.message}", "")
        with self._store.begin() as tx:
            tx.walks.update(walk.id, position=dict(position), listed=listed)  # where the next page fails, too, it is no other trouble
            if onward is None:
                tx.walks.update(walk.id, wrong=f"a page of its list always fails, and what follows there waits: {error.message}")
            tx.letters.bury(self._source.name, [letter], walk=walk.id, now=now)

    def _is_answering(self) -> bool:
        """Whether the source says at least whose key it is."""
        call = self._source.identity_call([])
        try:
            return call is not None and self._ask(call, "changes").status == 200
        except SyncjobError:
            return False

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
