"""Teamwork's pages: `page`, `pageSize`, `meta.page`, and the cap on one query (reference section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..exchange import Refused, Request
from ..switches import Switches
from .errors import refusal
from .query import read_flag

Row = TypeVar("Row")

MAX_PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Paging:
    """Which slice of the rows a request wants."""

    page: int
    size: int
    cap: int | None
    skip_counts: bool

    @property
    def start(self) -> int:
        return (self.page - 1) * self.size

    @property
    def end(self) -> int:
        return self.start + self.size if self.cap is None else min(self.start + self.size, self.cap)


def read_paging(request: Request, switches: Switches, *, default_size: int = 50) -> Paging:
    """The slice, or `Refused` with 400."""
    size = _read_number(request, "pageSize", default_size)
    if size > MAX_PAGE_SIZE and switches.teamwork_page_size_above_max == "400":
        raise Refused(refusal(400, f"pageSize must not exceed {MAX_PAGE_SIZE}"))
    cap = None if switches.teamwork_at_cap == "unlimited" else switches.teamwork_cap
    paging = Paging(_read_number(request, "page", 1), min(size, MAX_PAGE_SIZE), cap, bool(read_flag(request, "skipCounts")))
    if cap is not None and paging.start >= cap and switches.teamwork_at_cap == "400":
        raise Refused(refusal(400, f"only the first {cap} records of a query can be listed"))
    return paging


def _read_number(request: Request, name: str, default: int) -> int:
    text = request.param(name)
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise Refused(refusal(400, f"invalid {name}"))
    return int(text)


def check_end(paging: Paging, found: int, switches: Switches) -> None:
    """Past the end: an empty page, or 400 by switch."""
    if paging.page > 1 and found == 0 and switches.teamwork_page_past_end == "400":
        raise Refused(refusal(400, "page out of range"))


def page_meta(paging: Paging, *, shown: int, more: bool, total: int | None, switches: Switches) -> dict[str, Any]:
    """`{"meta": …}`; the count is exact only on the last page, or when it was not skipped."""
    if not switches.teamwork_meta:
        return {}
    count = paging.page * paging.size + 1 if more else paging.start + shown
    if total is not None and switches.teamwork_count == "exact" and not paging.skip_counts:
        count = total
    page = {"pageOffset": paging.page - 1, "pageSize": paging.size, "count": count, "hasMore": more}
    return {"meta": {"page": page}}


def paged(rows: Sequence[Row], paging: Paging, switches: Switches) -> tuple[Sequence[Row], dict[str, Any]]:
    """One page of rows that are all known, with its `meta`."""
    shown = rows[paging.start : paging.end]
    check_end(paging, len(shown), switches)
    more = len(rows) > paging.end and (paging.cap is None or paging.end < paging.cap)
    return shown, page_meta(paging, shown=len(shown), more=more, total=len(rows), switches=switches)
