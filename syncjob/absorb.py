"""How a page enters the mirror, and how a walk ends: one transaction each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from syncjob.core.diff import diff, doubts
from syncjob.core.errors import Incomplete, Transient, Unreliable
from syncjob.core.guard import too_many
from syncjob.core.model import CONVERSATIONS, EMAILS, LISTS, TASKS, UNPROVEN, Change, Gone, Page, Plan, Record, Row, Verb, Walk, Want
from syncjob.core.ports import Source
from syncjob.spool import Leaf, Spool
from syncjob.store.letters import of_list
from syncjob.store.mirror import by_stream
from syncjob.store.store import KnownTo, Store, Tx
from syncjob.store.walks import PENDING

NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for "no process-after date" where a full walk notes what it let in."""
PAUSE = timedelta(minutes=5)
"""How long questions rest about which a source contradicts itself."""
LISTED = (TASKS, CONVERSATIONS)
"""What a walk lists whole. Of emails that is true only in a full resync; else only those of changed conversations are listed."""


def absorb(leaf: Leaf, source: Source, store: Store, spool: Spool, now: datetime) -> None:
    """Take a leaf into the mirror: rows, sightings, wants and the walk's position, all or nothing.

    An answer that says nothing usable is dropped too: the walk's position still asks for it.
    Raises Unreliable after a page that tells of a problem.
    """
    try:
        with store.begin() as tx:
            problem = take_in(leaf, source, tx, now)
    except (Transient, Incomplete):
        spool.drop(leaf)
        raise
    spool.drop(leaf)  # a crash before this line: the leaf is found to be absorbed, and dropped then
    if problem:
        raise Unreliable(problem, hint="it may be having trouble: the next run asks again")


def take_in(leaf: Leaf, source: Source, tx: Tx, now: datetime) -> str | None:
    """What `absorb` does, within a transaction; the problem that the page tells of."""
    if leaf.observed <= tx.walks.source(source.name)["absorbed"]:
        return None
    if leaf.walk and not tx.walks.is_open(leaf.walk):
        return None  # a power cut brought it back: what its walk still wanted was handed over, or its mirror is gone
    walk = tx.walks.get(leaf.walk) if leaf.walk else None
    page = source.read(walk, leaf.call, leaf.answer, KnownTo(tx, source.name))
    _take_in(replace(page, rejected=page.rejected + leaf.rejected), leaf, walk, source, tx, now)
    tx.walks.set_source(source.name, absorbed=leaf.observed)
    tx.mirror.set_meta("observed", str(max(leaf.observed, int(tx.mirror.meta("observed")))))
    return page.problem


def _take_in(page: Page, leaf: Leaf, walk: Walk | None, source: Source, tx: Tx, now: datetime) -> None:
    tx.mirror.learn_names(source.name, page.names)
    rows = _rows(page.records, tx)
    plan, questions = _plan(page, rows, leaf.observed, source, tx)
    tx.mirror.apply([change for change in plan.changes if change.verb != "deleted"], observed=leaf.observed)
    back = [change.record for change in plan.changes if change.verb == "restored"]
    doubtful = [(each.stream, each.key, "") for each in back if each.stream == CONVERSATIONS]  # messages may have gone from it meanwhile
    tx.mirror.set_versions([*doubtful, *page.versions])
    tx.mirror.set_listed(page.listed, leaf.observed)
    live = [where for where, verb in plan.verdicts.items() if verb != "deleted"]
    for stream, keys in by_stream(live).items():
        tx.letters.unbury(source.name, stream, keys)
    shown = {(record.stream, record.key) for record in page.records}
    for stream, keys in by_stream([*shown.intersection(live), *page.sighted]).items():
        tx.walks.spare(walk.id if walk else None, stream, keys)
        tx.letters.spare(source.name, stream, keys)
    _spare_heirs([each for each in page.records if each.gone is None], source, tx)
    tx.letters.bury(source.name, page.rejected, walk=walk.id if walk else None, now=now)
    tx.walks.settle(source.name, page.settled)
    tx.letters.answer(source.name, page.settled)
    later = now + PAUSE if page.problem else None
    tx.walks.want(source.name, [replace(want, not_before=want.not_before or later) for want in (*page.wants, *questions)])
    if any(change.record.stream == source.stream and change.verb != "unchanged" for change in plan.changes):
        tx.walks.set_stream(source.stream, news_at=now)
    if walk:
        tx.walks.doom(walk, [*_told(plan), *_strangers(page, rows, tx)], observed=leaf.observed)
        _advance(page, leaf, walk, plan, source, tx)
        if walk.kind == "sweep":
            _count_late(page, rows, walk.stream, tx)


def _spare_heirs(shown: Sequence[Record], source: Source, tx: Tx) -> None:
    """Take back the deletions of messages that were to go with a conversation, and for no reason of their own, when that is there.
    Those that nothing could be compared with may be their own: a person decides, or the next sweep."""
    parents = {record.key: record for record in shown if record.stream == CONVERSATIONS}
    doomed = tx.walks.doomed_under(source.stream, parents) if parents else {}
    rows = tx.mirror.rows(source.stream, doomed).values() if doomed else ()
    inherited = [replace(row, deleted_why=doomed[row.key]) for row in rows if doomed[row.key] != UNPROVEN]
    heirs = [source.inherit(parents[row.parent or ""], row) for row in inherited]
    if kept := [heir.key for heir in heirs if heir and heir.gone is None]:
        tx.walks.keep(source.stream, kept)


def _told(plan: Plan) -> list[Change]:
    return [change for change in plan.changes if change.verb == "deleted"]


def _strangers(page: Page, rows: Mapping[tuple[str, str], Row], tx: Tx) -> list[Change]:
    """Deletions of what only a destination has content of."""
    empty = {where for where, row in rows.items() if row.data is None}
    gone = [record for record in page.records if record.gone and (record.stream, record.key) not in rows.keys() - empty]
    known = {stream: tx.strangers.among(stream, keys) for stream, keys in by_stream((each.stream, each.key) for each in gone).items()}
    return [
        Change("deleted", record, "", record.gone.at, record.gone.why)
        for record in gone
        if record.gone and record.key in known[record.stream]
    ]


def _count_late(page: Page, rows: Mapping[tuple[str, str], Row], stream: str, tx: Tx) -> None:
    """Keep how late the latest update was found that a changes walk should have shown: how long the overlap should be."""
    known = tx.walks.stream(stream)
    news = [record for record in page.records if record.stream == stream and record.updated_at and not record.gone]
    missed = [each for each in news if (row := rows.get((stream, each.key))) is None or row.version != each.version]
    late = max((int((known["checkpoint"] - each.updated_at).total_seconds()) for each in missed if each.updated_at), default=0)
    if late > known["late_seconds"]:
        tx.walks.set_stream(stream, late_seconds=late)


def _advance(page: Page, leaf: Leaf, walk: Walk, plan: Plan, source: Source, tx: Tx) -> None:
    """Move the walk: what it met, where it goes on, and from whose clock its checkpoint comes."""
    verdicts: dict[tuple[str, str], Verb] = dict.fromkeys(page.sighted, "unchanged")
    verdicts |= dict.fromkeys(page.inaccessible, "inaccessible")
    verdicts |= {(rejection.stream, rejection.key): "rejected" for rejection in page.rejected}
    verdicts |= plan.verdicts
    pending: dict[tuple[str, str], str] = dict.fromkeys(page.met, PENDING)
    tx.walks.sight(walk.id, {**pending, **verdicts})
    met = sum(stream == walk.stream for stream, _ in verdicts)
    values: dict[str, Any] = {"requests": walk.requests + 1, "fetched": walk.fetched + met, "expected": walk.expected + page.expected}
    if page.position is not None:
        values |= {"position": dict(page.position), "listed": page.complete, "tries": 0}
        place = source.place(walk.position)
        if page.complete or source.place(page.position) != place:
            tx.letters.unbury(source.name, LISTS, [of_list(walk, place)])
    if page.unread:
        values["unread"] = page.unread
    if page.wrong:
        values["wrong"] = page.wrong
        if walk.concluded:
            _forget(walk, tx)
    if walk.until is None:
        values["until"] = leaf.answer.date
        if tx.walks.stream(walk.stream)["checkpoint"] is None:  # the first answer ever: changes are known from here on
            tx.walks.set_stream(walk.stream, checkpoint=leaf.answer.date)
    tx.walks.update(walk.id, **values)


def _plan(
    page: Page, rows: Mapping[tuple[str, str], Row], observed: int, source: Source, tx: Tx
) -> tuple[Plan, list[Want]]:  # fmt: skip
    """What the page does, to its own records and then to the children of those that changed."""
    plan = diff(rows, page.records, observed=observed)
    questions = [Want("look_up", record.stream, record.key) for record in doubts(rows, page.records)]
    heirs = list(_heirs(plan.changes, rows, page.records, source, tx))
    if heirs:
        inherited = diff(_rows(heirs, tx), heirs, observed=observed)
        kept = tuple(change for change in inherited.changes if change.verb != "deleted")  # those that go, go at the end: `_doom_heirs`
        verdicts = {where: verb for where, verb in inherited.verdicts.items() if verb != "deleted"}
        plan = Plan(plan.changes + kept, {**verdicts, **plan.verdicts})
    return plan, questions


def _heirs(
    changes: Sequence[Change], rows: Mapping[tuple[str, str], Row], shown: Sequence[Record], source: Source, tx: Tx
) -> Sequence[Record]:
    """The children of records whose content or presence changed, as they are now; those shown themselves stand as shown, and
    those that are proven to be gone themselves as gone."""
    own = {(record.stream, record.key) for record in shown}
    found = []
    for change in changes:
        if change.record.stream == CONVERSATIONS and change.verb in ("updated", "deleted", "restored"):
            children = tx.mirror.children(source.stream, change.record.key)
            going = tx.walks.going(source.stream, children)
            for child in children.values():
                why, at = going.get(child.key, (child.deleted_why, child.deleted_at))
                heir = source.inherit(change.record, replace(child, deleted_why=why, deleted_at=at))
                if heir and (heir.stream, heir.key) not in own:
                    found.append(heir)
    return found


def _rows(records: Sequence[Record], tx: Tx) -> dict[tuple[str, str], Row]:
    groups = by_stream((record.stream, record.key) for record in records)
    return {(stream, key): row for stream, keys in groups.items() for key, row in tx.mirror.rows(stream, keys).items()}


def conclude(walk: Walk, source: Source, store: Store) -> None:
    """Suspect what a walk over everything did not meet, be it that no list can show it. One whose list is not worth believing
    suspects nobody."""
    with store.begin() as tx:
        tx.strangers.settle(walk.stream)
        is_empty = tx.walks.details(walk.id)["wrong"] is None and not tx.suspects.conclude(walk, source.name, source.enumerated)
        tx.walks.update(walk.id, concluded=True, empty=is_empty)


def finish(walk: Walk, source: Source, store: Store, now: datetime, *, share: float, allow: bool) -> None:
    """Close a walk that has nothing left to ask: its deletions, its checkpoint, its account."""
    with store.begin() as tx:
        details = tx.walks.details(walk.id)
        _doom_heirs(walk, source, tx)
        verdicts = tx.walks.verdicts(walk.id, walk.stream)
        fetched, pending = sum(verdicts.values()), verdicts.pop(PENDING, 0)
        unknown = f"{pending} of {fetched} records were met, and nothing is known of them" if pending else None
        error = details["wrong"] or details["unread"] or unknown
        if pending:
            _forget(walk, tx)
        else:
            _delete(walk, details, source, tx, now, share=share, allow=allow)
        tx.walks.update(walk.id, finished_at=now, complete=error is None, verdicts=verdicts, fetched=fetched, error=error)
        if walk.kind == "changes" and error is None:
            tx.walks.set_stream(walk.stream, checkpoint=walk.until)
        if walk.kind == "full":
            tx.walks.set_stream(walk.stream, process_after=walk.process_after or NO_DATE)
        if walk.kind != "changes":
            tx.walks.set_stream(walk.stream, swept_at=now)
            if error is None:
                tx.letters.forget_unmet(source.name, (*LISTED, EMAILS) if walk.reread else LISTED, since=walk.started_at)
        tx.walks.forget_sightings(walk.id)


def _forget(walk: Walk, tx: Tx) -> None:
    """Believe nothing of what a walk took for gone. The conversations of such emails are listed again: nothing else would ask for these."""
    doomed = tx.walks.doomed(walk)
    keys = [key for stream, key in [*((each.stream, each.key) for each in doomed), *tx.suspects.forget(walk.id)] if stream == EMAILS]
    homes = {row.parent for row in tx.mirror.rows(EMAILS, keys).values() if row.parent}
    tx.mirror.set_versions([(CONVERSATIONS, home, "") for home in homes])
    tx.walks.forget_deletions(doomed)


def _doom_heirs(walk: Walk, source: Source, tx: Tx) -> None:
    """What belongs to a conversation at the end of the walk that found that it goes, goes with it."""
    newest = int(tx.walks.source(source.name)["absorbed"])  # its own: the other source counts its answers apart
    for each in tx.walks.doomed(walk):
        parent = tx.mirror.rows(each.stream, [each.key]).get(each.key) if each.stream == CONVERSATIONS else None
        if parent:
            gone = Record(parent.stream, parent.key, parent.data, gone=Gone(each.why, each.at))
            heirs = [source.inherit(gone, child) for child in tx.mirror.children(source.stream, parent.key).values()]
            plan = diff(_rows(found := [heir for heir in heirs if heir], tx), found, observed=newest)
            tx.walks.doom(walk, _told(plan), observed=newest)
            tx.walks.sight(walk.id, {(change.record.stream, change.record.key): change.verb for change in _told(plan)})


def _delete(
    walk: Walk, details: Mapping[str, Any], source: Source, tx: Tx, now: datetime, *, share: float, allow: bool
) -> None:  # fmt: skip
    """Apply the walk's deletions together, or hold them together. A walk over everything replaces what was held before."""
    streams = {walk.stream, source.enumerated}
    if walk.kind != "changes" and details["wrong"] is None:
        tx.walks.lift(streams, walk)
    doomed = tx.walks.doomed(walk)
    count, live = sum(each.stream == walk.stream for each in doomed), max(details["live"], tx.mirror.live(walk.stream))
    is_doubtful = any(each.why == UNPROVEN for each in doomed)
    if not allow and (is_doubtful or too_many(count, live, share=share, empty=details["empty"])):
        return tx.walks.hold(walk.id)
    for stream, keys in by_stream((each.stream, each.key) for each in doomed).items():
        rows = tx.mirror.rows(stream, keys)
        for each in doomed:
            if each.stream == stream:
                _delete_row(each, rows.get(each.key), tx, now)
    return tx.walks.forget_deletions(doomed)


def _delete_row(doomed: Any, row: Row | None, tx: Tx, now: datetime) -> None:
    if row is None or row.data is None:
        tx.strangers.bury(doomed.stream, doomed.key, why=doomed.why, at=doomed.at or now, observed=doomed.observed)
    elif row.deleted_at is None and row.observed <= doomed.observed:
        record = Record(row.stream, row.key, row.data, row.version, row.updated_at, row.parent)
        tx.mirror.apply([Change("deleted", record, row.digest, doomed.at or now, doomed.why)], observed=doomed.observed)
