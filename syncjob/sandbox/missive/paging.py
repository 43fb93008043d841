"""Missive's pages: `limit` and an inclusive `until`, ties beyond the limit (reference sections 2, 3, 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TypeVar

from ..exchange import Refused, Request
from ..switches import Switches
from .errors import refusal

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Paging:
    """How many rows a request wants, and from which second backwards."""

    limit: int
    until: int | None


def read_paging(request: Request, *, default: int, most: int) -> Paging:
    """The slice, or `Refused` with the vendor's 400 text."""
    limit = read_number(request, "limit", default)
    if limit < 2:
        raise Refused(refusal(400, "min 'limit' value is 2"))
    if limit > most:
        raise Refused(refusal(400, f"max 'limit' value is {most}"))
    until = read_number(request, "until", -1)
    return Paging(limit, None if until == -1 else until)


def read_number(request: Request, name: str, default: int) -> int:
    """A whole number, or `Refused` with 400."""
    text = request.param(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise Refused(refusal(400, f"invalid '{name}' value"))
    return int(text)


def take_page(rows: Iterator[Row], limit: int, stamp: Callable[[Row], int], switches: Switches) -> list[Row]:
    """The first `limit` rows, and by switch all further ones that share the last one's second."""
    page = list(islice(rows, limit))
    if page and switches.missive_ties == "included":
        page += takewhile(lambda row: stamp(row) == stamp(page[limit - 1]), rows) if len(page) == limit else ()
    return page


def page_until(rows: Sequence[Row], paging: Paging, stamp: Callable[[Row], int], switches: Switches) -> list[Row]:
    """A page out of rows that are all known, newest first."""
    until = paging.until
    start = 0 if until is None else next((index for index, row in enumerate(rows) if stamp(row) <= until), len(rows))
    if until is not None and start and switches.missive_page_repeats_row:
        start -= 1
    return take_page(iter(rows[start:]), paging.limit, stamp, switches)
