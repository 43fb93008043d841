"""What Missive has still to be asked, as wants: message lists, bodies, and look-ups of what is suspected to be gone."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from syncjob.core.errors import Forbidden
from syncjob.core.model import CONVERSATIONS, EMAILS, SUSPECT, Call, Json, Page, Row, Walk, Want
from syncjob.core.ports import Known
from syncjob.sources.mails import Conversation
from syncjob.sources.payload import from_epoch, stamp
from syncjob.sources.proof import LISTED

SHORT = "?"
"""Marks the version of a conversation whose list of messages ended before its count: the next sweep lists it again."""
BELOW = "~"
"""Marks the version of one of which a poll has listed the latest messages alone: the next sweep looks whether others have changed."""


def unmarked(version: str | None) -> str:
    """The version of a conversation as it is shown."""
    return (version or "").rstrip(SHORT + BELOW)


def count_of(version: str | None) -> int | None:
    """The number of messages in it; None where that is not known."""
    count = unmarked(version).rpartition("/")[2]
    return int(count) if count.isdecimal() else None


def thread_about(walk: Walk, found: Conversation, row: Row | None) -> Mapping[str, Json]:
    """What a want for a message list needs to know. The whole list is wanted where what is known of it is in doubt: it was short,
    or the conversation was out of sight, or something may have changed further down, for which a poll does not wait."""
    if walk.reread:
        return {**whole_thread(found.version()), "reread": True}
    doubts = SHORT if walk.kind == "changes" else (SHORT, BELOW)
    if row and (row.deleted_at or not row.version or row.version.endswith(doubts)):
        return whole_thread(found.version())
    return {"version": found.version(), "count": found.messages_count, "until": None, "seen": []}


def under_way(walk: Walk, about: Mapping[str, Json], waiting: Mapping[str, Json] | None) -> Mapping[str, Json]:
    """What to know of a list that is wanted again: where it is already, unless its conversation or what is wanted of it has changed.
    One that takes longer than a poll would begin anew for ever. What a resync wants of it stays wanted."""
    if waiting is None:
        return about
    if waiting.get("reread"):
        about = {**about, "whole": True, "reread": True}
    if not waiting["until"] or waiting.get("lost") or walk.reread:
        return about
    is_same = waiting["version"] == about["version"] and bool(waiting.get("whole")) >= bool(about.get("whole"))
    return waiting if is_same else about


def in_turn(walk: Walk, wanted: Sequence[str], known: Known) -> list[Want]:
    """Wants for the message lists, from end to end, of those conversations for which that was longest ago."""
    due = (row for row in known.stalest(walk.id, CONVERSATIONS) if row.key not in wanted)
    return [Want("thread", CONVERSATIONS, row.key, whole_thread(row.version or ""), walk.id) for row in due]


def whole_thread(version: str) -> Mapping[str, Json]:
    """The same for a list that is read to its end whatever is known of it."""
    return {"version": unmarked(version), "count": count_of(version), "until": None, "seen": [], "whole": True}


def look_up(stream: str, key: str) -> Call:
    """The call for one conversation or message by its id."""
    folder = "conversations" if stream == CONVERSATIONS else "messages"
    return Call("look_up", f"/{folder}/{key}", accept=(400, 403, 404, 410))


def live_emails(conversation: str, known: Known, *, after: int | None = None) -> tuple[tuple[str, str], ...]:
    """The emails of a conversation that are live as far as the mirror knows; `after`: those sent since that second."""
    since = from_epoch(after)
    first = stamp(since) if since else ""
    live = (row for row in known.children(EMAILS, conversation).values() if row.data is not None and row.deleted_at is None)
    return tuple((EMAILS, row.key) for row in live if ((row.data or {}).get("sent_at") or "~") > first)


def suspects(walk: Walk, conversation: str, known: Known, *, after: int | None = None) -> list[Want]:
    """Suspicions of its live emails; `after`: only of those that a list down to that second should have shown.

    Where the count of a conversation says that all are known, it may be wrong: a deletion may not lower it.
    """
    return [Want(SUSPECT, EMAILS, key, walk=walk.id) for _, key in live_emails(conversation, known, after=after)]


def emails_of(wants: Iterable[Want]) -> tuple[tuple[str, str], ...]:
    """The emails among these questions: a verdict on each has yet to come."""
    return tuple((EMAILS, want.key) for want in wants if want.stream == EMAILS)


def split(asked: Mapping[str, str], status: int, walk: Walk | None, known: Known, *, relisted: Collection[str]) -> Page:
    """Ask a failed batch again in halves. A single message that is not there is suspected if it was there; if it never was,
    its conversation is listed once more. Raises Forbidden if that showed it again: a route that finds nothing proves nothing;
    and if a single one is refused, which its list has just shown."""
    owner = walk.id if walk else None
    if len(asked) > 1 or status == 200:
        most = 1 if status == 200 else len(asked) // 2
        return Page(wants=tuple(body(key, home, owner, relisted=key in relisted, most=most) for key, home in asked.items()))
    ((key, home),) = asked.items()
    settled = (("body", key),)
    if status != 404:
        raise Forbidden(f"message {key} is listed, and refused by its id: {status}", hint="the next run asks again")
    row = known.rows(EMAILS, [key]).get(key)
    if walk and row and row.data is not None and row.deleted_at is None:
        return Page(wants=(Want(SUSPECT, EMAILS, key, LISTED, walk.id),), settled=settled)
    if key in relisted:
        raise Forbidden(f"message {key} is listed, but not found by its id", hint="the next run asks again")
    parent = known.rows(CONVERSATIONS, [home]).get(home)
    about = {**whole_thread((parent and parent.version) or ""), "relisted": True}
    return Page(sighted=((EMAILS, key),), wants=(Want("thread", CONVERSATIONS, home, about, owner),), settled=settled)


def body(key: str, home: str, walk: int | None, *, relisted: bool, most: int | None = None) -> Want:
    """A want for a message that the list of a conversation shows; `relisted`: once more, after it was not found."""
    return Want("body", EMAILS, key, {"conversation": home, "relisted": relisted}, walk, most=most)
