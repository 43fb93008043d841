"""How a record is proven to be gone: never by its absence, and never by one answer.

A *suspect* is a live row that a complete list did not show. First a control is asked for by the same route, twice: a record
that the list did show. When it is found, up to ten suspects are *opened* and asked for one by one. One that is not found is a
*claim*. Then a control is asked for again: when it is found still, soon after, the claims are true. So a route that answers
404 to everything proves nothing. Nor does one that answers 404 to some of what is there: once a control was not found, or where
a list has just shown the suspect, a control has to be found more often in a row, both before and after. Where nothing was met
that could be a control, a second 404 has to do, and the guard holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from syncjob.core.errors import Transient
from syncjob.core.model import CLAIM, CONVERSATIONS, OPENED, PROOF, SUSPECT, UNPROVEN, Answer, Call, Gone, Json, Page, Record, Walk, Want
from syncjob.core.ports import Known
from syncjob.core.questions import together

BATCH, CONTROLS, PATIENCE, MISSED = 10, 3, 6, 10
TWICE, STREAK = 2, 6
"""How often in a row a control has to be found, before and after; and where answers contradict each other: another one was not, or a
list shows the suspect."""
LISTED: Mapping[str, Json] = {"listed": True}
"""What is said of a suspect that a list has just shown."""
KINDS: Mapping[str, int] = dict.fromkeys(PROOF, 2 * BATCH)
SOON = timedelta(minutes=5)
"""How far apart the two controls may be that vouch for the look-ups between them."""
NOT_FOUND, NO_CONVERSATION = "not found", "its conversation is not found"

Route = Callable[[str, str], Call]
"""(stream, key) -> the call that asks for one record."""
Wants = Sequence[tuple[str, Mapping[str, Json]]]
"""Wants of one kind, as (key, about)."""
Look = Callable[[Walk, str, str, Answer, Known], Page | None]
"""(walk, stream, key, answer, known) -> what a record's own answer says; None: there is no such record."""


def batch(wants: Sequence[Want]) -> Sequence[Want]:
    """The wants of a proof that the next call decides on: one that is opened, else claims, else new suspects."""
    for kind in (OPENED, CLAIM, SUSPECT):
        if found := [want for want in wants if want.kind == kind]:
            alike = [want for want in found if want.stream == found[0].stream]
            return alike[:1] if kind == OPENED else together(alike, BATCH)
    return ()


def call(wants: Sequence[Want], known: Known, route: Route) -> Call:
    """The control's look-up; that of the suspect itself when it is opened, or when there is no control."""
    want = wants[0]
    assert want.walk is not None  # suspects always belong to a walk
    control = None if want.kind == OPENED else known.control(want.walk, want.stream, want.about.get("failed", 0) + want.tries)
    asked = route(want.stream, control or want.key)
    about = {"control": control, "kind": want.kind, "stream": want.stream, "wants": [[each.key, dict(each.about)] for each in wants]}
    return Call("proof", asked.path, asked.params, about, asked.accept)


def read(walk: Walk, asked: Call, answer: Answer, known: Known, look: Look) -> Page:
    """What a look-up or a control says of the suspects that it was asked for."""
    about, stream, kind = asked.about, asked.about["stream"], asked.about["kind"]
    key, said = about["wants"][0]
    found = look(walk, stream, about["control"] or key, answer, known)
    if about["control"]:
        return _read_control(walk, asked, answer, known, is_there=found is not None and _shows(found, about["control"]))
    if found is not None:
        page = replace(found, settled=found.settled + _all_kinds(key))
        is_there = stream == CONVERSATIONS and _is_live(found, key)  # not merged, thrown away or out of reach since
        return missed(walk, page, known, stream, key, alone=kind == SUSPECT) if is_there else page
    if kind == CLAIM:
        return Page((_gone(stream, key, known, UNPROVEN),), settled=_all_kinds(key))
    claim = Want(CLAIM, stream, key, dict(said), walk.id)
    return Page(wants=(claim,), settled=((kind, key),))


def missed(walk: Walk, page: Page, known: Known, stream: str, key: str, *, alone: bool) -> Page:
    """The page of a record that is there, though the list did not show it. A list that missed several, or one and showed
    nothing at all (`alone`), is not worth believing: the walk ends without the rest of its suspects. What the list before
    did not show either is not counted, nor what is suspected because a destination holds it: some are in no list, and others
    shall be found to be gone all the same."""
    row = known.rows(stream, [key]).get(key)
    if not alone and (row is None or row.data is None or row.missed > 1):
        return page
    count = walk.position.get("missed", 0) + 1
    wrong = f"its list showed nothing of {count} records that are there" if alone or count >= MISSED else None
    return replace(page, position={**walk.position, "missed": count}, complete=True, wrong=wrong)


def _read_control(walk: Walk, asked: Call, answer: Answer, known: Known, *, is_there: bool) -> Page:
    about, stream, kind = asked.about, asked.about["stream"], asked.about["kind"]
    if answer.date is None:
        raise Transient("the answer has no `Date`, so nobody knows how fresh it is", hint="the next run tries again")
    if not is_there:
        return _not_even_the_control(walk, stream, about["wants"], known)
    if again := _not_enough(walk, stream, kind, about["wants"]):
        return Page(wants=again)
    if kind == SUSPECT:
        opening = {"opened": answer.date.isoformat(), "found": 0}
        opened = tuple(Want(OPENED, stream, key, {**said, **opening}, walk.id) for key, said in about["wants"])
        return Page(wants=opened, settled=tuple((SUSPECT, want.key) for want in opened))
    fresh = [key for key, said in about["wants"] if _is_soon(said.get("opened"), answer.date)]
    most = max(1, len(about["wants"]) // 2)  # what took too long is asked for again in halves, or it always would
    stale = tuple(Want(SUSPECT, stream, key, {**said, "found": 0}, walk.id, most=most) for key, said in about["wants"] if key not in fresh)
    why = NO_CONVERSATION if stream == CONVERSATIONS else NOT_FOUND
    records = tuple(_gone(stream, key, known, why) for key in fresh)
    return Page(records, wants=stale, settled=tuple((CLAIM, key) for key, _ in about["wants"]))


def _not_enough(walk: Walk, stream: str, kind: str, wants: Wants) -> tuple[Want, ...]:
    """A control proves little by being found once, since the route may answer at random, and less where answers contradict each
    other. These are the wants for the next time; none: it was found often enough."""
    enough = STREAK if any(said.get("failed") or said.get("listed") for _, said in wants) else TWICE
    found = min(said.get("found", 0) for _, said in wants) + 1
    return tuple(Want(kind, stream, key, {**said, "found": found}, walk.id) for key, said in wants) if found < enough else ()


def _not_even_the_control(walk: Walk, stream: str, wants: Wants, known: Known) -> Page:
    """Begin anew with another control; after some that failed, wait: the source contradicts itself. After a while the walk gives
    up, and the next one, which has other controls, lists the messages of those conversations anew."""
    failed = max(said.get("failed", 0) for _, said in wants) + 1
    again = tuple(Want(SUSPECT, stream, key, {**said, "failed": failed, "found": 0}, walk.id) for key, said in wants)
    claims = tuple((CLAIM, key) for key, _ in wants)
    if failed % CONTROLS:
        return Page(wants=again, settled=claims)
    problem = f"{stream}: what its list shows is not found by id either, so nothing is deleted ({len(wants)} records are not in the list)"
    if failed >= PATIENCE * CONTROLS:
        keys = [key for key, _ in wants]
        homes = {row.parent for row in known.rows(stream, keys).values() if row.parent}
        return Page(
            inaccessible=tuple((stream, key) for key in keys), versions=tuple((CONVERSATIONS, home, "") for home in homes),
            settled=(*claims, *((SUSPECT, key) for key in keys)), wrong=problem,
        )  # fmt: skip
    return Page(wants=again, settled=claims, problem=problem)


def _shows(page: Page, key: str) -> bool:
    """Whether a record's page shows it, be it only a stub: then the route finds what there is."""
    return _is_live(page, key) or key in {found for _, found in page.sighted}


def _is_live(page: Page, key: str) -> bool:
    return any(record.key == key and record.gone is None for record in page.records)


def _is_soon(opened: str | None, now: datetime) -> bool:
    return opened is not None and abs(now - datetime.fromisoformat(opened)) <= SOON


def _gone(stream: str, key: str, known: Known, why: str) -> Record:
    """The record as it was known last, gone; one that only a destination knows has no content."""
    row = known.rows(stream, [key]).get(key)
    if row is None:
        return Record(stream, key, None, gone=Gone(why))
    return Record(stream, key, row.data, row.version, row.updated_at, row.parent, gone=Gone(why))


def _all_kinds(key: str) -> tuple[tuple[str, str], ...]:
    return tuple((kind, key) for kind in PROOF)
