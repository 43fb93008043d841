"""A question that fails does not stop its source: it waits, and the others are asked meanwhile. Nor does a page that always fails, as
far as a walk can get on without it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from syncjob.core.errors import Forbidden, Limited, SyncjobError
from syncjob.core.model import LISTS, PROOF, Answer, Call, Rejection, Verb, Walk, WalkKind, Want
from syncjob.core.ports import Source, Without
from syncjob.core.questions import MOST_TRIES, after_failure
from syncjob.identity import identify
from syncjob.store.letters import of_list
from syncjob.store.store import KnownTo, Store, Tx

OUTAGE = 3
LIST = "list"
LISTS_WAIT = timedelta(minutes=15)
"""How long a walk is led past a list that cannot be read, without asking for it."""
UNREAD = "its list could not be read to the end, and what follows there waits; why: `python -m syncjob dead list`"
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
        self._unread: tuple[int, SyncjobError] | None = None

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

    def goes_without(self, walk: Walk, now: datetime) -> bool:
        """Whether a walk was led past a list that it can do without, and that could not be read a short while ago."""
        onward = self._source.without(walk)
        if onward.is_needed or not self._is_behind(onward, walk):
            return False
        with self._store.read() as tx:
            seen = tx.letters.last_at(self._source.name, LISTS, of_list(walk, self._source.place(walk.position)))
        if not _is_fresh(seen, now):
            return False
        with self._store.begin() as tx:
            tx.walks.update(walk.id, position=dict(onward.position), listed=onward.is_end)
        return True

    def page_failed(self, walk: Walk, error: SyncjobError, now: datetime) -> None:
        """Let a walk go on without a page that failed in three runs, or whose list did before, while the source answers other things:
        in smaller pages, or, where those fail as well, without that list, which then has a letter.

        A poll goes on even without the list that it is about: so what that has shown is taken in, and the next poll begins anew;
        but its checkpoint stays, and `tell_of_lists` raises the error. Raises it at once if the same page is to be asked for again.
        """
        if isinstance(error, Limited):
            raise error  # that says nothing of a page
        name, key, tries = self._source.name, of_list(walk, self._source.place(walk.position)), walk.tries + 1
        with self._store.begin() as tx:
            seen = tx.letters.last_at(name, LISTS, key)
            tx.walks.update(walk.id, tries=tries)
        if tries < MOST_TRIES and seen is None:
            raise error
        if not self._is_answering():
            with self._store.begin() as tx:
                tx.walks.update(walk.id, tries=0)  # an outage says nothing of a page either
            raise error
        is_fresh = _is_fresh(seen, now)
        smaller = None if is_fresh or isinstance(error, Forbidden) else self._source.in_smaller_pages(walk)
        onward = Without(smaller) if smaller else self._source.without(walk)
        is_behind, is_over = self._is_behind(onward, walk), onward.is_needed and walk.kind == "changes"
        letter = Rejection(LISTS, key, f"it cannot be read: {error.message}", "")
        with self._store.begin() as tx:
            tx.walks.update(walk.id, position=dict(onward.position), listed=onward.is_end, tries=0 if is_behind else tries)
            if is_over:
                tx.walks.update(walk.id, wrong=UNREAD)
            if (onward.is_needed or is_behind) and not is_fresh:  # else nobody would try smaller pages again
                tx.letters.bury(name, [letter], walk=walk.id, now=now)
        if is_over:
            self._unread = walk.id, error
        elif onward.is_needed:
            raise error

    def _is_behind(self, onward: Without, walk: Walk) -> bool:
        return onward.is_end or self._source.place(onward.position) != self._source.place(walk.position)

    def _is_answering(self) -> bool:
        """Whether the source says at least whose key it is; where it never does, that it does not."""
        with self._store.read() as tx:
            known = tx.walks.source(self._source.name)["identity"]
        try:
            answers = identify(self._source, lambda call: self._ask(call, "changes"))
            identity, _ = self._source.identity(answers)
        except SyncjobError:
            return False
        return bool(identity == known)

    def tell_of_lists(self) -> None:
        """Raise, once, why a poll's list could not be read, when nothing else is due."""
        unread, self._unread = self._unread, None
        if unread:
            raise unread[1]

    def finished(self, walk: Walk) -> None:
        """A poll that is over takes the place of the one before it."""
        if self._unread and walk.kind == "changes" and walk.id != self._unread[0]:
            self._unread = None

    def tell(self, *, waiting: bool) -> None:
        """Raise the newest error, once: at an outage, or when nothing else is due and something still waits."""
        error, self._error, self._in_a_row = self._error, None, 0
        if error and waiting:
            raise error


def _is_fresh(seen: datetime | None, now: datetime) -> bool:
    """Whether a list was found to be unreadable a short while ago."""
    return seen is not None and timedelta() <= now - seen < LISTS_WAIT


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
