"""The cycle of a source: source -> spool -> diff -> mirror. `delivery` goes on from there.

Every source and destination is a part with a `step()`: one answer (or a few that come at once), or one delivery. What a source does next is
`core.steps.next_step`; here it is only done. A part owns nothing that the store does not know, so it may be dropped
between any two lines and built again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from syncjob.absorb import NO_DATE, conclude, finish
from syncjob.broken import absorb_or_set_aside, absorb_together
from syncjob.core.errors import Incomplete, Later, SyncjobError, Transient, Unforeseen, Unreliable
from syncjob.core.model import Answer, Call, Walk, WalkKind, Want
from syncjob.core.ports import Clock, Source
from syncjob.core.steps import Absorb, Ask, Begin, Conclude, Finish, Identify, Rest, Rhythm, Standing, Turn, back_off, next_step
from syncjob.identity import check_identity, identify
from syncjob.postpone import Postponed, take_over
from syncjob.spool import Leaf, Spool, UnknownLeaf, observation
from syncjob.store.store import KnownTo, Store

TRUSTED_SKEW = timedelta(days=1)
TOGETHER_SECONDS, TOGETHER_BYTES = 1.0, 1_000_000
"""Answers that come within that time are taken in together; slower ones have nothing to gain, and what is due does not wait. One that
is larger is the last of them: only then do ten hold little memory."""


class SourcePart:
    """A source at work. `step` does one thing and returns None, or says until when there is nothing to do."""

    def __init__(
        self, source: Source, ask: Callable[[Call, WalkKind], Answer], store: Store, spool: Spool, clock: Clock, rhythm: Rhythm,
        *, access: str, overlap: timedelta, process_after: datetime | None = None, share: float = 0.25, allow_deletes: bool = False,
        new_identity: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.source = source.name, source
        self.finished: list[int] = []
        self.aside: list[Path] = []
        self._ask, self._store, self._spool, self._clock, self._rhythm = ask, store, spool, clock, rhythm
        self._access, self._overlap, self._process_after = access, overlap, process_after
        self._share, self._allow, self._new_identity = share, allow_deletes, new_identity
        self._changes_at: datetime | None = None
        self._not_before: datetime | None = None
        self._failures = 0
        self._hinted = self._is_dated = False
        self._postponed = Postponed(source, ask, store)
        with store.read() as tx:
            newest = max([int(tx.mirror.meta("observed")), *(observation(path) for path in spool.leaves())])
        self._observed = newest

    def step(self) -> Rest | None:
        """Do the next thing. Raises SyncjobError when it could not be done; nothing is lost then."""
        now = self._clock.now()
        self._note_date()
        standing = self._standing(now)
        step = next_step(now, standing, self._rhythm)
        match step:
            case Rest():
                self._postponed.tell_of_lists()
                if self._not_before is None or now >= self._not_before:
                    self._failures = 0
                self._postponed.tell(waiting=bool(standing.waiting))
                return step
            case Absorb():
                self._absorb(next(self._spool.leaves()), now)
            case Identify():
                self._identify()
            case Begin(kind, reread):
                self._begin(kind, now, reread=reread)
            case Turn(walk):
                try:
                    self._turn(walk)
                except (Transient, Incomplete) as error:
                    self._postponed.page_failed(walk, error, self._clock.now())
                self._leave_time(walk)
            case Ask(walk, batches):
                self._ask_wants(walk, batches)
            case Conclude(walk):
                conclude(walk, self.source, self._store)
            case Finish(walk):
                finish(walk, self.source, self._store, now, share=self._share, allow=self._allow)
                self.finished.append(walk.id)
                self._postponed.finished(walk)
                self._rhythm = _done(self._rhythm, walk)
                self._leave_time(walk)
        return None

    def _turn(self, walk: Walk) -> None:
        if self._postponed.goes_without(walk, self._clock.now()):
            return
        with self._store.read() as tx:
            call = self.source.page_call(walk, KnownTo(tx, self.name))
        if leaf := self._fetch(call, walk):
            self._take_in(leaf, self._clock.now())
            self._postponed.listed()

    def _leave_time(self, walk: Walk) -> None:
        """A poll that takes too long leaves half an interval to older work, such as what failed before, behind its list and its end."""
        if walk.kind == "changes" and self._changes_at:
            self._changes_at = max(self._changes_at, self._clock.now() - self._rhythm.poll / 2)

    def new_cycle(self) -> None:
        """Count finished walks, and what was set aside, anew."""
        self.finished, self.aside = [], []

    def rest(self, now: datetime) -> Rest | None:
        """Until when there is nothing to do; None: there is something."""
        step = next_step(now, self._standing(now), self._rhythm)
        return step if isinstance(step, Rest) else None

    def hint(self) -> None:
        """Somebody says that there is news: changes are asked for as soon as hints allow, again if they are being asked for now."""
        self._hinted = True

    def poll_now(self) -> None:
        """A person says so: neither the interval nor a failure keeps it waiting."""
        self._changes_at = self._not_before = None

    def failed(self, error: SyncjobError) -> None:
        """Leave a source alone that did not answer: as long as it says itself, else longer from time to time."""
        if isinstance(error, Later):
            self._not_before = error.until
        else:
            self._failures += 1
            self._not_before = self._clock.now() + back_off(self._failures, self._rhythm.poll)

    def _absorb(self, path: Path, now: datetime) -> None:
        """Take in what a crash left in the spool. What cannot be read is kept aside: its walk asks for the page again."""
        try:
            leaf = self._spool.read(path)
        except UnknownLeaf:
            self.aside.append(self._spool.set_aside(path))
        else:
            with suppress(Transient, Incomplete):  # it says nothing usable, and is dropped: it is asked for again
                self._take_in(leaf, now)

    def _take_in(self, leaf: Leaf, now: datetime) -> None:
        if aside := absorb_or_set_aside(leaf, self.source, self._store, self._spool, now):
            self.aside.append(aside)

    def _standing(self, now: datetime) -> Standing:
        stream = self.source.stream
        with self._store.read() as tx:
            walks = tx.walks.open(stream)
            known, source = tx.walks.stream(stream), tx.walks.source(self.name)
            asks: dict[int | None, Sequence[Sequence[Want]]] = {}
            waiting: dict[int | None, datetime] = {}
            for owner in (*(walk.id for walk in walks), None):
                wants = tx.walks.wanted(self.name, owner, self.source.kinds, now)
                asks[owner] = self.source.batches(wants)
                if not wants and (later := tx.walks.waiting(self.name, owner, now)):
                    waiting[owner] = later
        return Standing(
            not_before=self._not_before,
            hinted=self._hinted,
            leftovers=any(self._spool.leaves()),
            identified=source["access"] == self._access,
            checkpoint=known["checkpoint"],
            changes_at=self._changes_at,
            swept_at=known["swept_at"],
            scope_grew=known["checkpoint"] is not None and _grew(known["process_after"], self._process_after),
            walks=walks,
            asks=asks,
            waiting=waiting,
        )

    def _identify(self) -> None:
        """Ask whose key this is. Another user's view is another world: comparing it with ours would delete half of it."""
        identity, names = self.source.identity(identify(self.source, lambda call: self._ask(call, "changes")))
        with self._store.begin() as tx:
            if not self._new_identity:
                check_identity(identity, tx.walks.source(self.name)["identity"])
            tx.walks.set_source(self.name, identity=identity, access=self._access)
            tx.mirror.learn_names(self.name, names)

    def _begin(self, kind: WalkKind, now: datetime, *, reread: bool) -> None:
        """Open a walk. A changes walk starts an overlap before the checkpoint; the others have no `since`."""
        stream = self.source.stream
        with self._store.begin() as tx:
            checkpoint = tx.walks.stream(stream)["checkpoint"]
            since = checkpoint - self._overlap if kind == "changes" and checkpoint else None
            waiting = [walk for walk in tx.walks.open(stream) if walk.kind == kind == "changes"]
            new = Walk(0, stream, kind, since, None, {}, now, self._observed + 1, reread=reread, process_after=self._process_after)
            walk = tx.walks.begin(new, live=tx.mirror.live(stream))
            tx.walks.update(walk.id, position=dict(self.source.begin(walk)))
            for old in waiting:
                take_over(walk, old, tx, now)
            if kind != "changes":
                tx.walks.want(self.name, tx.letters.questions(self.name, walk.id))
        if kind == "changes" or checkpoint is None:
            self._changes_at = now
            self._hinted = False  # nothing is asked yet: a hint from here on means one more walk
            self._postponed.new_cycle()

    def _note_date(self) -> None:
        """Remember the latest process-after date that anything is read with: what it keeps out, a later full walk has to let in."""
        if self._is_dated or self._process_after is None:
            return
        stream, date = self.source.stream, self._process_after
        with self._store.begin() as tx:
            if known := tx.walks.stream(stream)["process_after"]:
                tx.walks.set_stream(stream, process_after=max(known, date))
            for walk in tx.walks.open(stream):
                tx.walks.update(walk.id, process_after=max(walk.process_after or NO_DATE, date))
        self._is_dated = True

    def _fetch(self, call: Call, walk: Walk | None) -> Leaf | None:
        """One request: its answer is durable in the spool before anything is decided about it. None: asked to stop meanwhile, the
        next run asks again."""
        answer = self._ask(call, walk.kind if walk else "sweep")
        if self._clock.wait(0):
            return None
        self._observed += 1
        if walk and walk.until is None:
            now = self._clock.now()
            check_clock(answer, now)
            answer = replace(answer, date=min(answer.date or now, now))  # were it ahead for once, what changes until then would be hidden
        return self._spool.write(observed=self._observed, walk=walk.id if walk else None, call=call, answer=answer)

    def _ask_wants(self, walk: Walk | None, batches: Sequence[Sequence[Want]]) -> None:
        """One request after the other, then one transaction. A crash before it costs nothing: the answers are in the spool."""
        with self._store.read() as tx:
            calls = [self.source.want_call(wants, KnownTo(tx, self.name)) for wants in batches]
        leaves, failure = self._answers(calls, walk)
        now = self._clock.now()
        are_in = len(leaves) > 1 and absorb_together(leaves, self.source, self._store, self._spool, now)
        outage: SyncjobError | None = None
        for wants, leaf in zip(batches, leaves, strict=False):
            try:
                with self._postponing(wants, walk, leaf):
                    if not are_in:
                        self._take_in(leaf, now)
            except (Transient, Incomplete, Unforeseen) as error:
                outage = error  # not before the spool is empty: what is left in it must not fail once more in each of the next runs
        if failure:
            with self._postponing(batches[len(leaves)], walk):
                raise failure
        if outage:
            raise outage

    def _answers(self, calls: Sequence[Call], walk: Walk | None) -> tuple[list[Leaf], SyncjobError | None]:
        """The answers to the first of these calls, until one fails, takes long or is large, or a stop is asked for; and what failed."""
        leaves: list[Leaf] = []
        until = self._clock.monotonic() + TOGETHER_SECONDS
        for call in calls:
            try:
                leaf = self._fetch(call, walk)
            except SyncjobError as error:
                return leaves, error
            if leaf is None:
                break
            leaves.append(leaf)
            if self._clock.monotonic() >= until or len(leaf.answer.body) > TOGETHER_BYTES:
                break
        return leaves, None

    @contextmanager
    def _postponing(self, wants: Sequence[Want], walk: Walk | None, leaf: Leaf | None = None) -> Iterator[None]:
        """Note that these were answered; where they were not, let them wait while others are asked."""
        try:
            yield
        except (Transient, Incomplete, Unforeseen) as error:
            for path in self._spool.leaves():
                if leaf and observation(path) == leaf.observed:
                    path.unlink()  # it broke its reader: the question is asked again, with fewer keys
            self._postponed.failed(wants, walk, error, self._clock.now())
        else:
            self._postponed.answered(wants)


def check_clock(answer: Answer, now: datetime) -> None:
    """The first answer's `Date` becomes the checkpoint, so it must be there and believable. Raises Unreliable."""
    if answer.date is None or abs(answer.date - now) > TRUSTED_SKEW:
        said = f"{answer.date:%Y-%m-%d %H:%M} UTC" if answer.date else "nothing"
        raise Unreliable(
            f"the server says that it is {said}, this machine says {now:%Y-%m-%d %H:%M} UTC",
            hint="set this machine's clock; if it is right, the server (or a proxy before it) is wrong: the next run tries again",
        )


def _grew(before: datetime | None, now: datetime | None) -> bool:
    """Whether the process-after date lets more in than the last full walk saw."""
    return before is not None and (now or NO_DATE) < before


def _done(rhythm: Rhythm, walk: Walk) -> Rhythm:
    """A walk that a person asked for is asked for once; a full walk counts as a sweep, but only one that rereads as a resync."""
    if walk.kind == "changes":
        return rhythm
    return replace(rhythm, sweep_asked=False, full_asked=rhythm.full_asked and not walk.reread)
