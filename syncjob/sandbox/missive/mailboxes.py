"""Which conversations a list request shows (reference section 2)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice

from ..exchange import Refused, Request
from ..listing import descending
from .errors import refusal
from .paging import Paging, take_page
from .things import Conversation, Flags
from .world import MissiveWorld

Test = Callable[[Conversation, Flags], bool]


def _in_inbox(row: Conversation, mine: Flags) -> bool:
    return not (mine.archived or mine.trashed or mine.junked or mine.closed or row.closed_at)


def _is_filed(row: Conversation, mine: Flags) -> bool:
    return not (mine.trashed or mine.junked)


MAILBOXES: dict[str, Test] = {
    "inbox": _in_inbox,
    "all": _is_filed,
    "assigned": lambda row, mine: mine.assigned and _is_filed(row, mine),
    "closed": lambda row, mine: (mine.closed or row.closed_at is not None) and _is_filed(row, mine),
    "snoozed": lambda row, mine: mine.snoozed and _is_filed(row, mine),
    "flagged": lambda row, mine: mine.flagged and _is_filed(row, mine),
    "trashed": lambda row, mine: mine.trashed,
    "junked": lambda row, mine: mine.junked,
    "drafts": lambda row, mine: bool(row.draft_ids) and _is_filed(row, mine),
}


def _by_id(name: str, wanted: str) -> Test:
    tests: dict[str, Test] = {
        "shared_label": lambda row, mine: wanted in row.label_ids and _is_filed(row, mine),
        "team_inbox": lambda row, mine: row.team_id == wanted and not row.assignee_ids and _in_inbox(row, mine),
        "team_closed": lambda row, mine: row.team_id == wanted and row.closed_at is not None and _is_filed(row, mine),
        "team_all": lambda row, mine: row.team_id == wanted and _is_filed(row, mine),
    }
    return tests[name]


def read_mailbox(request: Request, world: MissiveWorld) -> Test:
    """The test for the mailbox that the request names, or `Refused` with 400 when it names none."""
    tests: list[Test] = [test for name, test in MAILBOXES.items() if request.param(name) == "true"]
    if world.switches.missive_all_includes_trash and request.param("all") == "true":
        tests[tests.index(MAILBOXES["all"])] = lambda row, mine: True
    for name in ("shared_label", "team_inbox", "team_closed", "team_all"):
        if wanted := request.param(name):
            tests.append(_by_id(name, wanted))
    if not tests:
        raise Refused(refusal(400, "You need to paginate at least one mailbox"))
    if len(tests) > 1 and world.switches.missive_mailboxes_together == "400":
        raise Refused(refusal(400, "You can only paginate one mailbox"))
    if world.switches.missive_mailboxes_together == "first counts":
        del tests[1:]
    if organization := request.param("organization"):
        tests.append(lambda row, mine: row.organization_id == organization)
    return tests[0] if len(tests) == 1 else lambda row, mine: all(test(row, mine) for test in tests)


def conversation_page(world: MissiveWorld, user_id: str, test: Test, paging: Paging) -> list[Conversation]:
    """One page of conversations, newest activity first, read off the sorted listing. Guests' stubs are in it. A page on which all is
    hidden that was asked for would look like the end, and hide what follows from everybody: it is passed over."""
    world.listing.settle(world.clock())
    switches = world.switches
    rows = _matching(world, user_id, test, paging.until)
    if not switches.missive_permission_shortens:
        visible = (row for row in rows if _reaches(row, user_id))
        return take_page(visible, paging.limit, _activity, switches)
    counted, start = list(rows), 0
    while batch := take_page(iter(counted[start:]), paging.limit, _activity, switches):
        page = [row for row in batch if _reaches(row, user_id)]
        if any(paging.until is None or _activity(row) <= paging.until for row in page):
            return page
        start += len(batch)
    return []


def _activity(row: Conversation) -> int:
    return row.last_activity_at


def _reaches(row: Conversation, user_id: str) -> bool:
    return user_id in row.flags or user_id in row.guest_ids


def _matching(world: MissiveWorld, user_id: str, test: Test, until: int | None) -> Iterator[Conversation]:
    """Downwards from `until`, inclusive; rows out of the user's reach too, judged as if they were in it."""
    pairs, shown = world.listing.order("activity"), world.listing.rows
    first = len(pairs) if until is None else bisect_right(pairs, until, key=lambda pair: int(pair[0]))
    if world.switches.missive_page_repeats_row and until is not None:
        yield from islice(_upwards(world, user_id, test, first), 1)
    plain = Flags()
    for _, conversation_id in descending(pairs, first - 1):
        row = shown[conversation_id]
        if test(row, row.flags.get(user_id, plain)):
            yield row


def _upwards(world: MissiveWorld, user_id: str, test: Test, first: int) -> Iterator[Conversation]:
    """The user's rows newer than the page, the nearest first."""
    pairs = world.listing.order("activity")
    for position in range(first, len(pairs)):
        row = world.listing.rows[pairs[position][1]]
        if _reaches(row, user_id) and test(row, row.flags.get(user_id, Flags())):
            yield row
