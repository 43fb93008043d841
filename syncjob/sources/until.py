"""Paging by `until`, for every Missive list: newest first, in whole seconds, `until` included.

https://missiveapp.com/docs/developers/rest-api/endpoints. A page shows the items at or before `until`. Whether it holds
*all* items of its last second (and then more than `limit`), or is cut at `limit`, is not documented. Where a whole page
shows one second and exactly `limit` items, a probe with the smallest limit tells: if it brings more than it asked for,
the second was shown whole. If not, the rest of that second cannot be shown by the API at all, which is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from syncjob.sources.payload import from_epoch

SMALLEST_LIMIT = 2


@dataclass(frozen=True, slots=True)
class Onward:
    """How a list goes on: `end`, or the next `until`; `probe`: first ask that second with the smallest limit."""

    until: int | None = None
    end: bool = False
    probe: bool = False


def onward(times: Sequence[int], *, until: int | None, limit: int, stale: bool) -> Onward:
    """How to go on after a page whose items have these times. `stale`: it brought nothing new, and a page of this list shows all
    that it stands for, so that a short one is the end."""
    oldest = min(times, default=None)
    if oldest is None or (until is not None and oldest > until):
        return Onward(end=True)
    if until is None or oldest < until:
        return Onward(until=oldest)
    if len(times) == limit:
        return Onward(until=oldest, probe=True)
    return Onward(end=True) if stale and len(times) < limit else Onward(until=oldest - 1)


def paging(limit: int, until: int | None) -> tuple[tuple[str, str], ...]:
    """The parameters that ask for a page."""
    return (("limit", str(limit)), *((("until", str(until)),) if until is not None else ()))


def as_time(until: int) -> str:
    """A second as messages tell it."""
    time = from_epoch(until)
    return time.strftime("%Y-%m-%d %H:%M:%S UTC") if time else str(until)
