"""The rows that list endpoints show: sorted, and as late as the vendor's index."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", int, str)
Row = TypeVar("Row")


class Listing(Generic[Key, Row]):
    """Immutable rows by key, in sort orders that are kept, not computed: a page of 250 out of 50,000 rows costs the page.

    A change reaches the listing `lag` seconds after it happened; until then the lists show the row as it was.
    """

    def __init__(self, orders: Mapping[str, Callable[[Row], Any]]) -> None:
        self.rows: dict[Key, Row] = {}
        self.revision = 0
        self._values = orders
        self._orders: dict[str, list[tuple[Any, Key]]] = {}  # built when first asked for, then kept
        self._waiting: deque[tuple[float, Key, Row | None]] = deque()

    def change(self, key: Key, row: Row | None, *, at: float, lag: float = 0) -> None:
        """From `at + lag` on the row is shown as given; None: no longer."""
        self._waiting.append((at + lag, key, row))

    def settle(self, now: float) -> None:
        """Show every change whose time has come."""
        while self._waiting and self._waiting[0][0] <= now:
            _, key, row = self._waiting.popleft()
            self._place(key, row)
            self.revision += 1

    def order(self, name: str) -> list[tuple[Any, Key]]:
        """All rows as sorted pairs (sort value, key). Not to be changed by the caller."""
        if name not in self._orders:
            value = self._values[name]
            self._orders[name] = sorted((value(row), key) for key, row in self.rows.items())
        return self._orders[name]

    def value(self, name: str) -> Callable[[Row], Any]:
        """What a sort order compares."""
        return self._values[name]

    def _place(self, key: Key, row: Row | None) -> None:
        old = self.rows.pop(key, None)
        if row is not None:
            self.rows[key] = row
        for name, pairs in self._orders.items():
            value = self._values[name]
            if old is not None:
                del pairs[bisect_left(pairs, (value(old), key))]
            if row is not None:
                insort(pairs, (value(row), key))


def ascending(pairs: list[tuple[Any, Key]], start: Any = None) -> Iterator[tuple[Any, Key]]:
    """The pairs from the first whose value is at least `start`."""
    first = 0 if start is None else bisect_left(pairs, (start,))
    return (pairs[position] for position in range(first, len(pairs)))


def descending(pairs: list[tuple[Any, Key]], first: int) -> Iterator[tuple[Any, Key]]:
    """The pairs downwards, from the one at index `first`."""
    return (pairs[position] for position in range(first, -1, -1))
