"""The histories notice each of the bugs that are put in on purpose. `python -m tests.histories --mutations` prints the table."""

from collections.abc import Mapping

import pytest

from tests.histories.mutations import MUTATIONS, hunt

FIRST: Mapping[str, int] = {
    "early break": 0, "local clock as checkpoint": 1, "sweep refetch off": 1, "trash stays with the conversation": 2,
    "absence deletes": 6, "no restore": 6, "older observation wins": 6, "body not compared": 6, "checkpoint moved on error": 10,
    "ties cut": 16, "what is there is not compared": 19, "page dropped before commit": 23, "no control key": 33,
    "not json is an answer": 36, "merge deletes": 37, "position before delivery": 37, "adoption off": 37, "nothing for no list": 42,
    "short page ends a walk": 50, "no overlap": 67, "no look up": 77, "guard off": 118, "unread list counts as read": 200,
}  # fmt: skip
"""The first seeds that noticed each bug when this was written: a hunt begins there."""
MOST = 40
AT_ONCE = ("early break", "local clock as checkpoint", "sweep refetch off", "no control key")


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_gross_bug_is_noticed_at_once(name: str) -> None:
    assert hunt(name, range(FIRST[name], FIRST[name] + 3)).seed is not None


@pytest.mark.proof
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bug_is_noticed(name: str) -> None:
    seeds = range(FIRST[name], FIRST[name] + MOST)
    assert hunt(name, seeds).seed is not None, f"{MOST} histories do not notice: {name}"
