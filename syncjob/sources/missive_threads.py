"""The messages of a conversation, as their list shows them: which of them have to be read, and which may be gone.

A poll reads of a long list what is new, as far as the count says that the rest is known; a sweep, or a resync, reads it to its end.

https://missiveapp.com/docs/developers/rest-api/endpoints
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime

from syncjob.core.errors import Forbidden
from syncjob.core.model import CONVERSATIONS, EMAILS, PROOF, SUSPECT, UNPROVEN, Answer, Call, Json, Page, Record, Row, Walk, Want
from syncjob.core.ports import Known
from syncjob.sources import proof
from syncjob.sources.mails import Message
from syncjob.sources.missive_wants import BELOW, SHORT, body, count_of, emails_of, live_emails, suspects
from syncjob.sources.payload import from_epoch, listed, times_of, validated
from syncjob.sources.until import SMALLEST_LIMIT, as_time, onward, paging

THREAD_LIMIT = 10
INHERITED = ("trashed", "junked", proof.NO_CONVERSATION, UNPROVEN)
"""Why an email is deleted because its conversation is; any other reason is the email's own."""


def thread_call(want: Want) -> Call:
    """The call for the next page of a message list."""
    limit = SMALLEST_LIMIT if want.about.get("probe") else THREAD_LIMIT
    path = f"/conversations/{want.key}/messages"
    return Call("thread", path, paging(limit, want.about.get("until")), {"key": want.key, **want.about}, accept=(404,))


def read_thread(walk: Walk | None, call: Call, answer: Answer, known: Known, process_after: datetime | None) -> Page:
    """A page of a conversation's messages: which of them have to be read, and whether the list goes on.

    Raises Forbidden where the list is not found again, and its conversation may be there.
    """
    about, key = call.about, call.about["key"]
    settled = (("thread", key),)
    if answer.status == 404 and about.get("lost") and not (walk and _is_doubtful(walk, key, known)):
        raise Forbidden(f"the messages of conversation {key} are not found, and it may be there", hint="the next run asks again")
    if answer.status == 404 and walk:
        lost = Want("thread", CONVERSATIONS, key, {**about, "lost": True}, walk.id)
        return Page(wants=(Want(SUSPECT, CONVERSATIONS, key, proof.LISTED, walk.id), lost))
    if answer.status != 200:
        return Page(inaccessible=((CONVERSATIONS, key), *live_emails(key, known)), settled=settled)
    raws, _ = listed(answer, "messages")
    if not raws and about["count"] and not about.get("empty"):  # a list that lies once is not taken for an empty conversation
        return Page(wants=(Want("thread", CONVERSATIONS, key, {**about, "empty": True}, walk.id if walk else None),))
    messages, rejected = validated(Message, raws, EMAILS)
    found = [each for each in messages if not each.draft and each.sent is not None]
    rows = known.rows(EMAILS, [each.id for each in found])
    is_live = any(row.deleted_at for row in rows.values()) and _is_live(key, known)
    records, sighted, wants = _sort_out(walk, found, rows, about, _outside(found, rows, known, process_after), is_live=is_live)
    seen = sorted({*about["seen"], *(each.id for each in found), *(each.key for each in rejected)})
    says_why = len(raws) >= THREAD_LIMIT and (bool(records or wants) or _has_its_count(about, known))
    times = [each.sent for each in found if each.sent is not None] + times_of(rejected, "delivered_at", "created_at")
    then, unread, whole = _go_on(walk, about, times, seen, known, says_why=says_why)
    if then:
        wants.append(Want("thread", CONVERSATIONS, key, then, walk.id if walk else None))
        return Page(tuple(records), tuple(sighted), emails_of(wants), rejected=rejected, wants=tuple(wants), unread=unread)
    if walk and not about.get("cut"):
        oldest = None if whole else min(times, default=None)
        wants += [want for want in suspects(walk, key, known, after=oldest) if want.key not in seen]
    is_short = whole and len(seen) + len(messages) - len(found) < (about["count"] or 0)
    version = _noted(about, key, known, whole=whole, short=is_short)
    return Page(
        tuple(records), tuple(sighted), emails_of(wants), ((CONVERSATIONS, key, version),),
        ((CONVERSATIONS, key),) if whole or about.get("cut") else (), rejected=rejected, wants=tuple(wants), settled=settled, unread=unread,
    )  # fmt: skip


def _sort_out(
    walk: Walk | None, found: Iterable[Message], rows: Mapping[str, Row], about: Mapping[str, Json], outside: Set[str], *, is_live: bool
) -> tuple[list[Record], list[tuple[str, str]], list[Want]]:
    """Messages of a list as: out of scope or moved here, equal, and to be read. `is_live`: nothing of it is deleted for the
    conversation's sake."""
    records: list[Record] = []
    sighted: list[tuple[str, str]] = []
    wants: list[Want] = []
    conversation, seen = about["key"], set(about["seen"])
    reread = about.get("reread", False) or (walk is not None and walk.reread)
    for message in found:
        row = rows.get(message.id)
        if message.id in outside:
            records.append(Record(EMAILS, message.id, None, message.version(), parent=conversation))
        elif _must_read(message, row, conversation, seen, reread=reread, is_live=is_live):
            wants.append(body(message.id, conversation, walk.id if walk else None, relisted=about.get("relisted", False)))
        else:
            sighted.append((EMAILS, message.id))
    return records, sighted, wants


def _must_read(message: Message, row: Row | None, conversation: str, seen: set[str], *, reread: bool, is_live: bool) -> bool:
    """Whether a listed message has to be read. One that is known elsewhere was merged: only its own answer says which
    of the two it belongs to, since the list of a conversation that was merged away shows the other's messages."""
    if row is None or row.data is None or row.version != message.version() or row.parent != conversation:
        return True
    if row.deleted_at and (is_live or row.deleted_why not in INHERITED):
        return True
    return reread and message.id not in seen


def _outside(found: Iterable[Message], rows: Mapping[str, Row], known: Known, process_after: datetime | None) -> Set[str]:
    """Those delivered before the process-after date that never were a row with content, here or in a destination."""
    if process_after is None:
        return frozenset()
    early = {each.id for each in found if (sent := from_epoch(each.sent)) and sent < process_after}
    empty = {key for key in early if key not in rows or rows[key].data is None}
    return empty - known.strangers(EMAILS, empty)


def _go_on(
    walk: Walk | None, about: Mapping[str, Json], times: Sequence[int], seen: list[str], known: Known, *, says_why: bool
) -> tuple[Mapping[str, Json] | None, str | None, bool]:  # fmt: skip
    """How the message list goes on; None: nothing is left to read. A poll stops where the count says that all are known, and the page
    why the conversation was active: what else may have changed further down is left to the next sweep. Last: whether all of it was
    shown, so that what is missing is missing there."""
    unread = None
    if about.get("probe"):
        if len(times) <= SMALLEST_LIMIT:
            unread = f"more than {THREAD_LIMIT} messages of conversation {about['key']} share the second {as_time(about['until'])}"
        return {**about, "until": about["until"] - 1, "probe": False, "cut": about.get("cut") or bool(unread)}, unread, False
    shown = set(seen)
    if not about.get("whole") and (walk is None or walk.kind == "changes"):  # what is known counts as shown
        shown |= {key for key, row in known.children(EMAILS, about["key"]).items() if row.deleted_why in (None, *INHERITED)}
    if len(shown) == about["count"] and (says_why or shown == set(seen)):
        return None, None, not about.get("cut") and shown == set(seen)
    step = onward(times, until=about["until"], limit=THREAD_LIMIT, stale=len(seen) == len(about["seen"]))
    if step.end:
        return None, None, not about.get("cut")
    return {**about, "until": step.until, "probe": step.probe, "seen": seen, "empty": False}, None, False


def _has_its_count(about: Mapping[str, Json], known: Known) -> bool:
    """Whether there are as many messages as when they were listed last: it may have been active for a comment."""
    row = known.rows(CONVERSATIONS, [about["key"]]).get(about["key"])
    return row is not None and count_of(row.version) == about["count"]


def _noted(about: Mapping[str, Json], key: str, known: Known, *, whole: bool, short: bool) -> str:
    """The version to note after a list, with a mark where more has to be read. Of lists that are short the third is believed: a count
    may be wrong for ever. One that was cut is read by each sweep, which tells so."""
    version: str = about["version"]
    row = known.rows(CONVERSATIONS, [key]).get(key)
    before = row.version.removeprefix(version) if row and row.version else ""
    if about.get("cut"):
        mark = SHORT
    elif short:
        mark = {"": SHORT, SHORT: SHORT + SHORT, SHORT + SHORT: ""}.get(before, SHORT)
    else:
        mark = "" if whole or about.get("whole") else BELOW
    return version + mark if version else version


def _is_live(key: str, known: Known) -> bool:
    row = known.rows(CONVERSATIONS, [key]).get(key)
    return row is not None and row.deleted_at is None


def _is_doubtful(walk: Walk, key: str, known: Known) -> bool:
    """Whether a conversation may be gone, and nobody is asking: the walk has not met it, and it is no suspect yet."""
    return not known.sighted(walk.id, CONVERSATIONS, [key]) and not any(known.waiting(kind, [key]) for kind in PROOF)
