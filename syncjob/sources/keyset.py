"""Paging by keyset on `updatedAt`, for every list of Teamwork's tasks: a function of what was asked, what it showed, and what was met.

A page is asked in the order of `updatedAt`, from one second before the last stamp seen, so that it is right whether
`updatedAfter` includes its own second or not. Each page therefore shows the row that the step continues from; when
it does not, that row is looked up: it moved or went, or else the server does not do what we asked, and the walk
turns to plain page numbers. A second that holds more than a page is read by page numbers too, again and again from the
first. Rows that are edited meanwhile move to the end, where the walk finds them. Where two passes show the same rows in
the same order, that was all; where the server has no order for equal stamps, several passes have to show nothing new.

https://apidocs.teamwork.com/guides/teamwork/how-does-paging-work
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from syncjob.core.errors import Incomplete
from syncjob.core.model import Call, Json
from syncjob.sources.payload import has_more, stamp

MOST_PASSES, QUIET_PASSES = 20, 6
FEW = 10
"""No server gives so few rows where there are more, whatever size of pages it is asked for."""
SECOND = timedelta(seconds=1)


class Seen:
    """What a page showed, as far as paging is concerned. `more`: whether more follows, as the answer says; where it does not, a full
    page may be followed by more. None: nobody knows."""

    def __init__(self, rows: Sequence[Json], stamps: Mapping[str, datetime | None], payload: Mapping[str, Json], call: Call) -> None:
        self.keys = [str(raw["id"]) for raw in rows if isinstance(raw, dict) and raw.get("id")]
        self.by_key = {key: time for key, time in stamps.items() if time}
        self.stamps = list(self.by_key.values())
        more = has_more(payload)
        self.promised = more is True
        self.more = None if more is None and len(rows) < int(dict(call.params)["pageSize"]) else more is not False


def onward(position: Mapping[str, Json], seen: Seen, met: Collection[str]) -> tuple[Mapping[str, Json], bool]:
    """Where a list goes on after a page, and whether that was its end. `met`: those of its keys that the walk knows already.

    Raises Incomplete where nothing is shown and more is said to follow.
    """
    fresh = len(set(seen.keys) - set(met))
    origin = position.get("from")
    if origin and position["page"] == 1 and not position.get("pass") and origin not in seen.keys and not _is_crowded(position, seen):
        return {"phase": "check", "id": origin, "stamp": position["from_stamp"], "then": position}, False
    last, passing = max(seen.stamps, default=None), position.get("pass", 0)
    beyond = last is not None and not position.get("whole") and _after(last) > (position["after"] or "")
    repeats = not seen.keys or seen.keys[0] == position.get("first")  # by page numbers, what is known already may be read once more
    nothing_new = fresh == 0 and seen.more is None and len(seen.keys) < FEW
    ended = seen.more is False or (not seen.promised and not beyond and (repeats if passing else nothing_new))
    if not seen.keys and not ended:
        raise Incomplete("teamwork.tasks: an empty page that claims to have more behind it", hint="the next run goes on from here")
    order = _order(position, seen)
    paging = {"order": order, "promised": seen.promised, "first": next(iter(seen.keys), None)}
    if not passing:
        if ended:
            return position, True
        if beyond and last:
            return _step(seen, last), False
        return {**position, "page": 2, "pass": 1, "fresh": 0, **paging}, False
    fresh += position["fresh"]
    if not ended and not beyond:
        return {**position, "page": position["page"] + 1, "fresh": fresh, **paging}, False
    quiet, enough = 0 if fresh else position.get("quiet", 0) + 1, 1 if position.get("whole") else QUIET_PASSES
    if passing == 1 or fresh or (order != position.get("before") and quiet < enough):
        return again({**position, "before": order, "quiet": quiet}), False
    return (position, True) if ended or last is None else (_step(seen, last), False)


def again(position: Mapping[str, Json]) -> Mapping[str, Json]:
    """The next pass over the pages of one step. Where that were too many, the run after this one takes the last two again."""
    done = position["pass"]
    return {**position, "page": 1, "pass": done + 1 if done < MOST_PASSES else MOST_PASSES - 1, "fresh": 0, "order": "", "first": None}


def gave_up(asked: Mapping[str, Json], then: Mapping[str, Json]) -> str | None:
    """What to tell when passes over the same pages were too many, as this page shows, and where it has the walk go on."""
    is_over = asked.get("pass") == MOST_PASSES and then.get("pass") == MOST_PASSES - 1
    return "teamwork.tasks: its pages keep changing faster than they can be read" if is_over else None


def _is_crowded(position: Mapping[str, Json], seen: Seen) -> bool:
    """Whether a page shows nothing but rows of the second that it continues from: it need not show all, in whatever order."""
    stamps = [stamp(time) for time in seen.stamps]
    return seen.more is not False and bool(stamps) and position["after"] <= min(stamps) <= max(stamps) == position["from_stamp"]


def _order(position: Mapping[str, Json], seen: Seen) -> str:
    """A digest of the rows of a pass, in order, as far as this page. Not of those behind its second: they may change meanwhile."""
    behind = {key for key, time in seen.by_key.items() if not position.get("whole") and _after(time) > (position["after"] or "")}
    rows = [key for key in seen.keys if key not in behind]
    return hashlib.blake2b(" ".join([position.get("order", ""), *rows]).encode(), digest_size=8).hexdigest()


def _step(seen: Seen, last: datetime) -> Mapping[str, Json]:
    """A keyset step: page 1 again, from just before the last stamp."""
    origin = next(key for key, time in seen.by_key.items() if time == last)
    return {"phase": "list", "after": _after(last), "page": 1, "from": origin, "from_stamp": stamp(last)}


def _after(last: datetime) -> str:
    return stamp(last - SECOND)
