"""Bugs put in on purpose. The histories have to notice each of them, or they prove nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

import syncjob.absorb
import syncjob.core.diff
import syncjob.core.digest
import syncjob.cycle
import syncjob.sources.api
import syncjob.sources.payload
import syncjob.sources.proof
from syncjob.absorb import _advance, _take_in, take_in
from syncjob.core.errors import SyncjobError
from syncjob.core.model import Batch, Page
from syncjob.core.ports import Without
from syncjob.cycle import SourcePart
from syncjob.delivery import DestinationPart
from syncjob.destinations import airtable
from syncjob.sources import keyset, missive, missive_threads, teamwork
from syncjob.sources.api import Api
from syncjob.sources.mails import MERGED
from syncjob.sources.missive import Missive
from syncjob.sources.until import Onward, onward
from syncjob.store import Store
from syncjob.store.feed import Feed
from syncjob.store.store import KnownTo
from syncjob.store.suspects import Suspects
from syncjob.store.walks import GET, Walks
from tests.histories.history import play

Patches = Callable[[], list[Any]]
AT_ONCE = 20
"""After so many histories, how far a hunt is."""


def checkpoint_moved_on_error() -> list[Any]:
    """A changes walk that fails counts as read."""
    fetch = SourcePart._fetch

    def hasty(part: SourcePart, call: Any, walk: Any) -> Any:
        try:
            return fetch(part, call, walk)
        except SyncjobError:
            if walk and walk.kind == "changes":
                with part._store.begin() as tx:
                    tx.walks.update(walk.id, finished_at=part._clock.now(), verdicts={}, fetched=0)
                    tx.walks.set_stream(walk.stream, checkpoint=walk.until or part._clock.now())
            raise

    return [patch.object(SourcePart, "_fetch", hasty)]


def early_break() -> list[Any]:
    """The first page is taken for all pages."""
    turn = keyset.onward
    return [
        patch.object(keyset, "onward", lambda *page: (turn(*page)[0], True)),
        *_paging(lambda *_, **__: Onward(end=True)),
    ]


def _paging(broken: Callable[..., Onward]) -> list[Any]:
    """The lists of Missive go on so."""
    return [patch.object(reader, "onward", broken) for reader in (missive, missive_threads)]


def short_page_ends_a_walk() -> list[Any]:
    """A page that is not full is taken for the last one."""

    def short(times: Any, *, limit: int, **options: Any) -> Onward:
        return Onward(end=True) if len(times) < limit else onward(times, limit=limit, **options)

    return _paging(short)


def absence_deletes() -> list[Any]:
    """What a walk did not meet is gone, without a look-up."""
    conclude = Suspects.conclude

    def rash(suspects: Suspects, walk: Any, source: str, enumerated: str) -> bool:
        found = conclude(suspects, walk, source, enumerated)
        mine = f"FROM wants WHERE walk = {walk.id} AND kind = 'suspect'"
        gone = f"SELECT stream, key, {walk.id}, (SELECT max(observed) FROM rows), 'absent', 0 {mine}"
        for statement in (
            f"INSERT OR REPLACE INTO deletions (stream, key, walk, observed, why, held) {gone}",
            f"UPDATE sightings SET verdict = 'deleted' WHERE walk = {walk.id} AND (stream, key) IN (SELECT stream, key FROM deletions)",
            f"DELETE {mine}",
        ):
            suspects._connection.execute(sa.text(statement))
        return found

    return [patch.object(Suspects, "conclude", rash)]


def no_look_up() -> list[Any]:
    """Where the control is found, the suspects are gone: nobody asks for them."""
    read = syncjob.sources.proof.read

    def rash(walk: Any, asked: Any, answer: Any, known: Any, look: Any) -> Page:
        page = read(walk, asked, answer, known, look)
        if asked.about["control"] and asked.about["kind"] == "suspect" and page.wants and page.wants[0].kind == "opened":
            keys = [want.key for want in page.wants]
            gone = [syncjob.sources.proof._gone(asked.about["stream"], key, known, "not found") for key in keys]
            settled = tuple(each for key in keys for each in syncjob.sources.proof._all_kinds(key))
            return Page(tuple(gone), settled=settled)
        return page

    return [patch("syncjob.sources.proof.read", rash)]


def no_control_key() -> list[Any]:
    """A 404 is believed without a look at its neighbour."""
    return [patch.object(KnownTo, "control", lambda *_: None), patch("syncjob.sources.proof.UNPROVEN", "not found")]


def guard_off() -> list[Any]:
    """Any number of deletions is applied."""
    return [patch("syncjob.absorb.too_many", lambda *_, **__: False)]


def page_dropped_before_commit() -> list[Any]:
    """The walk goes on, and the leaf is dropped, before the rows are durable."""

    def hasty(leaf: Any, source: Any, store: Store, spool: Any, now: Any) -> None:
        page = None
        try:
            with store.begin() as tx:
                walk = tx.walks.get(leaf.walk) if leaf.walk and tx.walks.is_open(leaf.walk) else None
                if leaf.observed > tx.walks.source(source.name)["absorbed"] and (walk or not leaf.walk):
                    page = source.read(walk, leaf.call, leaf.answer, KnownTo(tx, source.name))
                    tx.walks.settle(source.name, page.settled)
                    tx.walks.set_source(source.name, absorbed=leaf.observed)
                    tx.mirror.set_meta("observed", str(leaf.observed))
                if walk and page:
                    _advance(replace(page, records=(), sighted=()), leaf, walk, syncjob.core.diff.diff({}, (), observed=0), source, tx)
        finally:
            spool.drop(leaf)
        if page:
            with store.begin() as tx:
                _take_in(replace(page, position=None), leaf, tx.walks.get(leaf.walk) if leaf.walk else None, source, tx, now)

    return [patch("syncjob.broken.absorb", hasty)]


def ties_cut() -> list[Any]:
    """A step goes on behind the last second instead of within it."""

    def beyond(seen: Any, last: Any) -> Mapping[str, Any]:
        return {"phase": "list", "after": syncjob.sources.payload.stamp(last + timedelta(seconds=1)), "page": 1}

    def below(times: Any, *, until: Any, limit: int, stale: bool) -> Onward:
        oldest = min(times, default=None)
        return Onward(end=True) if oldest is None or (until is not None and oldest > until) else Onward(until=oldest - 1)

    return [patch.object(keyset, "_step", beyond), *_paging(below)]


def no_restore() -> list[Any]:
    """Deleted once, deleted for ever."""
    return [patch("syncjob.core.diff.is_proven", lambda *_: False), patch("syncjob.absorb.doubts", lambda *_: [])]


def local_clock_as_checkpoint() -> list[Any]:
    """The machine's own clock says until when changes are known."""
    get = Api.get
    return [patch.object(Api, "get", lambda api, call, urgency: replace(get(api, call, urgency), date=api._clock.now()))]


def older_observation_wins() -> list[Any]:
    """A leaf that comes back is absorbed again, over what was seen since, be its walk long over."""
    judge = syncjob.core.diff.judge

    def forgetful(row: Any, record: Any, *, observed: int) -> Any:
        return judge(row and replace(row, observed=0), record, observed=observed)

    def again(leaf: Any, source: Any, tx: Any, now: Any) -> Any:
        tx.walks.set_source(source.name, absorbed=leaf.observed - 1)
        return take_in(leaf, source, tx, now)

    def is_known(walks: Walks, id_: int) -> bool:
        return bool(walks._connection.execute(GET, {"id": id_}).first())

    believed = patch("syncjob.core.diff.judge", forgetful), patch.object(Walks, "is_open", is_known)
    return [*believed, patch("syncjob.absorb.take_in", again)]


def sweep_refetch_off() -> list[Any]:
    """A sweep meets what differs, and leaves it."""
    return [
        patch.object(teamwork, "_differs", lambda *_: False),
        patch.object(Missive, "_needs_thread", lambda source, walk, found, record, row, known: row is None),
    ]


def merge_deletes() -> list[Any]:
    """A conversation that answers as another one is gone, and its messages stay its own wherever they are listed."""
    must_read, look = missive_threads._must_read, Missive._look_at_conversation

    def fixed(message: Any, row: Any, conversation: str, seen: Any, *, reread: bool) -> bool:
        return must_read(message, row and replace(row, parent=conversation), conversation, seen, reread=reread)

    def rash(source: Missive, walk: Any, key: str, answer: Any, known: Any) -> Page | None:
        page = look(source, walk, key, answer, known)
        return None if any(each.key == key and each.gone and each.gone.why == MERGED for each in page.records) else page

    return [patch.object(missive_threads, "_must_read", fixed), patch.object(Missive, "_look_at_conversation", rash)]


def position_before_delivery() -> list[Any]:
    """A destination's position is saved, then its rows."""
    deliver = DestinationPart._deliver

    def hasty(part: DestinationPart, batch: Batch) -> Any:
        part._write(Batch((), batch.position))
        return deliver(part, batch)

    return [patch.object(DestinationPart, "_deliver", hasty)]


def adoption_off() -> list[Any]:
    """Any position is trusted, be it of another mirror or of one set back."""
    return [patch.object(Feed, "trusts", lambda feed, position: position is not None)]


def what_is_there_is_not_compared() -> list[Any]:
    """A record that Airtable had before this mirror is taken for equal."""
    return [patch.object(airtable, "shown", lambda *_: {})]


def nothing_for_no_list() -> list[Any]:
    """An answer without its array is an empty list."""

    def lenient(answer: Any, name: str) -> tuple[list[Any], Mapping[str, Any]]:
        found = syncjob.sources.payload.json.loads(answer.body)
        rows = found.get(name)
        return (rows if isinstance(rows, list) else []), found

    return [patch.object(reader, "listed", lenient) for reader in (teamwork, missive, missive_threads)]


def not_json_is_an_answer() -> list[Any]:
    """A login page is an empty object."""
    exchange = Api._exchange

    def lenient(api: Api, call: Any) -> Any:
        answer, headers = exchange(api, call)
        if answer.status == 200 and answer.payload is None:
            answer = replace(answer, body=b'{"tasks": [], "conversations": [], "messages": [], "meta": {"page": {"hasMore": false}}}')
        return answer, headers

    return [patch.object(Api, "_exchange", lenient)]


def no_overlap() -> list[Any]:
    """A changes walk begins at the checkpoint, and never before."""
    begin = SourcePart._begin

    def tight(part: SourcePart, *arguments: Any, **options: Any) -> None:
        with patch.object(part, "_overlap", timedelta()):
            begin(part, *arguments, **options)

    return [patch.object(SourcePart, "_begin", tight)]


def body_not_compared() -> list[Any]:
    """Two bodies are equal."""
    digest = syncjob.core.digest.digest
    return [patch("syncjob.core.diff.digest", lambda data, body, *, before="": digest(data, None, before=before))]


def trash_stays_with_the_conversation() -> list[Any]:
    """A conversation's trash and labels do not reach its mails."""
    return [patch.object(Missive, "inherit", lambda *_: None)]


def unread_list_counts_as_read() -> list[Any]:
    """A poll that cannot read its main list ends as if it had."""

    def careless(source: Any) -> Callable[[Any, Any], Without]:
        without = source.without

        def onward(self: Any, walk: Any) -> Without:
            found = without(self, walk)
            return replace(found, is_needed=found.is_needed and walk.kind != "changes")

        return onward

    return [patch.object(each, "without", careless(each)) for each in (Missive, teamwork.Teamwork)]


MUTATIONS: dict[str, Patches] = {
    each.__name__.replace("_", " "): each
    for each in (
        checkpoint_moved_on_error, early_break, short_page_ends_a_walk, absence_deletes, no_look_up, no_control_key, guard_off,
        page_dropped_before_commit, ties_cut, no_restore, local_clock_as_checkpoint, older_observation_wins, sweep_refetch_off,
        merge_deletes, position_before_delivery, adoption_off, what_is_there_is_not_compared, nothing_for_no_list,
        not_json_is_an_answer, no_overlap, body_not_compared, trash_stays_with_the_conversation,
        unread_list_counts_as_read,
    )
}  # fmt: skip


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """The program with one of these bugs in it."""
    patches = MUTATIONS[name]()
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


@dataclass(frozen=True, slots=True)
class Caught:
    """Which seed caught a bug, how many were played for it, and what was violated; seed None: none did."""

    mutation: str
    seed: int | None
    played: int
    violation: str = ""


def hunt(name: str, seeds: range, say: Callable[[str], None] = lambda line: None) -> Caught:
    """Play seeds until one notices the bug: it violates something, and does not without the bug. `say` hears how it goes.

    A history that only breaks off tells nothing of what a bug does to the data.
    """
    for played, seed in enumerate(seeds, 1):
        with mutated(name):
            violations = play(seed).violations
        if violations and not violations[0].startswith("broke:") and not play(seed).violations:
            return Caught(name, seed, played, violations[0])
        if played % AT_ONCE == 0:
            say(f"{name}: not noticed by {played} histories")
    return Caught(name, None, len(seeds))


def table(found: list[Caught]) -> str:
    """One line a mutation."""
    width = max(len(each.mutation) for each in found)
    lines = [
        f"{each.mutation:{width}}  {each.seed if each.seed is not None else 'NOT CAUGHT':>6}  {each.played:>4}  {each.violation[:110]}"
        for each in found
    ]
    return "\n".join([f"{'mutation':{width}}  {'seed':>6}  {'tried':>4}  violation", *lines])
