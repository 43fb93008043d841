"""How a page enters the mirror, and how a walk ends: one transaction each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from syncjob.core.diff import diff, doubts
from syncjob.core.errors import Incomplete, Transient
from syncjob.core.guard import too_many
from syncjob.core.model import CONVERSATIONS, EMAILS, TASKS, Change, Page, Plan, Record, Row, Verb, Walk, Want
from syncjob.core.ports import Source
from syncjob.spool import Leaf, Spool
from syncjob.store.mirror import by_stream
from syncjob.store.store import KnownTo, Store, Tx

NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for "no process-after date" where a full walk notes what it let in."""
LISTED = (TASKS, CONVERSATIONS)
"""What a walk lists whole. Of emails that is true only in a full resync; else only those of changed conversations are listed."""


def absorb(leaf: Leaf, source: Source, store: Store, spool: Spool, now: datetime) -> None:
    """Take a leaf into the mirror: rows, sightings, wants and the walk's position, all or nothing.

    An answer that says nothing usable is dropped too: the walk's position still asks for it.
    """
    try:
        with store.begin() as tx:
            take_in(leaf, source, tx, now)
    except (Transient, Incomplete):
        spool.drop(leaf)
        raise
    spool.drop(leaf)  # a crash before this line: the leaf is found to be absorbed, and dropped then


def take_in(leaf: Leaf, source: Source, tx: Tx, now: datetime) -> None:
    """What `absorb` does, within a transaction."""
    if leaf.observed > tx.walks.source(source.name)["absorbed"]:
        walk = tx.walks.get(leaf.walk) if leaf.walk else None
        page = source.read(walk, leaf.call, leaf.answer, KnownTo(tx, source.name))
        _take_in(replace(page, rejected=page.rejected + leaf.rejected), leaf, walk, source, tx, now)
        tx.walks.set_source(source.name, absorbed=leaf.observed)
        tx.mirror.set_meta("observed", str(max(leaf.observed, int(tx.mirror.meta("observed")))))


def _take_in(page: Page, leaf: Leaf, walk: Walk | None, source: Source, tx: Tx, now: datetime) -> None:
    tx.mirror.learn_names(source.name, page.names)
    plan, questions = _plan(page, leaf.observed, source, tx)
    told = [change for change in plan.changes if change.verb == "deleted"]
    tx.mirror.apply([change for change in plan.changes if change.verb != "deleted"], observed=leaf.observed)
    for stream, keys in by_stream(where for where, verb in plan.verdicts.items() if verb != "deleted").items():
        tx.walks.spare(stream, keys)
        tx.letters.unbury(source.name, stream, keys)
    tx.letters.bury(source.name, page.rejected, walk=walk.id if walk else None, now=now)
    tx.walks.settle(source.name, page.settled)
    tx.letters.answer(source.name, page.settled)
    tx.walks.want(source.name, [*page.wants, *questions])
    if any(change.record.stream == source.stream and change.verb != "unchanged" for change in plan.changes):
        tx.walks.set_stream(source.stream, news_at=now)
    if walk:
        tx.walks.doom(walk.id, told, observed=leaf.observed)
        _advance(page, leaf, walk, plan, tx)


def _advance(page: Page, leaf: Leaf, walk: Walk, plan: Plan, tx: Tx) -> None:
    """Move the walk: what it met, where it goes on, and from whose clock its checkpoint comes."""
    verdicts: dict[tuple[str, str], Verb] = dict.fromkeys(page.sighted, "unchanged")
    verdicts |= dict.fromkeys(page.inaccessible, "inaccessible")
    verdicts |= {(rejection.stream, rejection.key): "rejected" for rejection in page.rejected}
    verdicts |= plan.verdicts
    tx.walks.sight(walk.id, verdicts)
    met = sum(stream == walk.stream for stream, _ in verdicts)
    values: dict[str, Any] = {"requests": walk.requests + 1, "fetched": walk.fetched + met, "expected": walk.expected + page.expected}
    if page.position is not None:
        values |= {"position": dict(page.position), "listed": page.complete}
    if page.unread:
        values["unread"] = page.unread
    if walk.until is None:
        values["until"] = leaf.answer.date
        if tx.walks.stream(walk.stream)["checkpoint"] is None:  # the first answer ever: changes are known from here on
            tx.walks.set_stream(walk.stream, checkpoint=leaf.answer.date)
    tx.walks.update(walk.id, **values)


def _plan(page: Page, observed: int, source: Source, tx: Tx) -> tuple[Plan, list[Want]]:
    """What the page does, to its own records and then to the children of those that changed."""
    rows = _rows(page.records, tx)
    plan = diff(rows, page.records, observed=observed)
    questions = [Want("look_up", record.stream, record.key) for record in doubts(rows, page.records)]
    heirs = list(_heirs(plan.changes, rows, page.records, source, tx))
    if heirs:
        inherited = diff(_rows(heirs, tx), heirs, observed=observed)
        plan = Plan(plan.changes + inherited.changes, {**inherited.verdicts, **plan.verdicts})
    return plan, questions


def _heirs(
    changes: Sequence[Change], rows: Mapping[tuple[str, str], Row], shown: Sequence[Record], source: Source, tx: Tx
) -> Sequence[Record]:
    """The children of records whose content or presence changed, as they are now; those shown themselves stand as shown."""
    own = {(record.stream, record.key) for record in shown}
    found = []
    for change in changes:
        if change.record.stream == CONVERSATIONS and change.verb in ("updated", "deleted", "restored"):
            for child in tx.mirror.children(source.stream, change.record.key).values():
                heir = source.inherit(change.record, child)
                if heir and (heir.stream, heir.key) not in own:
                    found.append(heir)
    return found


def _rows(records: Sequence[Record], tx: Tx) -> dict[tuple[str, str], Row]:
    groups = by_stream((record.stream, record.key) for record in records)
    return {(stream, key): row for stream, keys in groups.items() for key, row in tx.mirror.rows(stream, keys).items()}


def finish(
    walk: Walk, source: Source, store: Store, now: datetime, *, share: float, allow: bool, process_after: datetime | None
) -> None:  # fmt: skip
    """Close a walk that has nothing left to ask: its deletions, its checkpoint, its account."""
    with store.begin() as tx:
        details = tx.walks.details(walk.id)
        _delete(walk, details["live"], tx, now, share=share, allow=allow)
        verdicts = tx.walks.verdicts(walk.id, walk.stream)
        fetched = sum(verdicts.values())
        complete = details["unread"] is None
        tx.walks.update(walk.id, finished_at=now, complete=complete, verdicts=verdicts, fetched=fetched, error=details["unread"])
        if walk.kind == "changes" and complete:
            tx.walks.set_stream(walk.stream, checkpoint=walk.until)
        if walk.kind == "full":
            tx.walks.set_stream(walk.stream, process_after=process_after or NO_DATE)
        if walk.kind != "changes":
            tx.walks.set_stream(walk.stream, swept_at=now)
            if complete:
                tx.letters.forget_unmet(source.name, (*LISTED, EMAILS) if walk.reread else LISTED, since=walk.started_at)
        tx.walks.forget_sightings(walk.id)


def _delete(walk: Walk, live: int, tx: Tx, now: datetime, *, share: float, allow: bool) -> None:
    """Apply the walk's deletions together, or hold them together. A person's word releases those held before, too."""
    doomed = tx.walks.doomed(walk.id)
    if allow:
        doomed = [*tx.walks.held((walk.stream, CONVERSATIONS)), *(each for each in doomed if not each.held)]
    elif too_many(sum(each.stream == walk.stream for each in doomed), live, share=share):
        return tx.walks.hold(walk.id)
    for stream, keys in by_stream((each.stream, each.key) for each in doomed).items():
        rows = tx.mirror.rows(stream, keys)
        for each in doomed:
            row = rows.get(each.key) if each.stream == stream else None
            if row and row.deleted_at is None and row.data is not None and row.observed <= each.observed:
                record = Record(stream, row.key, row.data, row.version, row.updated_at, row.parent)
                tx.mirror.apply([Change("deleted", record, row.digest, each.at or now, each.why)], observed=each.observed)
    return tx.walks.forget_deletions(doomed)
