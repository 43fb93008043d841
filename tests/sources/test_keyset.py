"""Paging of tasks by themselves: every row is met, in whatever order a server shows rows of one second."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from syncjob.core.model import Call
from syncjob.sources.keyset import Seen, onward
from syncjob.sources.payload import stamp

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
MOST_REQUESTS = 400


def missed(seed: int, ties: int, size: int, *, shuffled: bool) -> tuple[int, int]:
    """How many rows a walk misses, and how many pages it asks for; twelve rows lie before those of one second, and five behind."""
    rng = Random(seed)
    times = [NOON - timedelta(minutes=minute) for minute in range(12, 0, -1)] + [NOON] * ties
    rows = [(str(key), time) for key, time in enumerate(times + [NOON + timedelta(minutes=minute) for minute in range(1, 6)])]
    position, met, ended = {"phase": "list", "after": None, "page": 1}, set[str](), False
    for asked in range(1, MOST_REQUESTS):
        if shuffled:
            rng.shuffle(rows)
        shown = sorted((row for row in rows if stamp(row[1]) >= (position["after"] or "")), key=lambda row: row[1])
        first = (position["page"] - 1) * size
        page = shown[first : first + size]
        payload = {"meta": {"page": {"hasMore": len(shown) > first + size}}}
        seen = Seen([{"id": key} for key, _ in page], dict(page), payload, Call("list", "/", (("pageSize", str(size)),), position))
        position, ended = onward(position, seen, met.intersection(seen.keys))
        met.update(seen.keys)
        assert position["phase"] == "list", f"seed {seed}: it doubts that the server pages by time"
        if ended:
            return len(rows) - len(met), asked
    raise AssertionError(f"seed {seed}: {MOST_REQUESTS} pages and no end")


@pytest.mark.parametrize(("ties", "size"), [(12, 4), (12, 10), (30, 12), (60, 50), (120, 50)])
def test_no_row_is_missed_where_equal_stamps_come_in_any_order(ties: int, size: int) -> None:
    assert [seed for seed in range(60) if missed(seed, ties, size, shuffled=True)[0]] == []


@pytest.mark.parametrize(("ties", "size", "pages"), [(3, 50, 1), (12, 4, 13), (60, 50, 5), (120, 50, 7)])
def test_equal_stamps_in_a_steady_order_are_read_twice(ties: int, size: int, pages: int) -> None:
    assert missed(1, ties, size, shuffled=False) == (0, pages)
