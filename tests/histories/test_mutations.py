"""The histories notice each of the bugs that are put in on purpose. `python -m tests.histories --mutations` prints the table."""

from collections.abc import Mapping

import pytest

from tests.histories.mutations import MUTATIONS, hunt

FIRST: Mapping[str, int] = {
    "early break": 0, "local clock as checkpoint": 1, "sweep refetch off": 1, "checkpoint moved on error": 1,
    "trash stays with the conversation": 1, "body not compared": 2, "no look up": 2, "no restore": 6, "position before delivery": 8,
    "merge deletes": 11, "older observation wins": 11, "ties cut": 26, "page dropped before commit": 39, "adoption off": 44,
    "no overlap": 52, "absence deletes": 73, "guard off": 115, "not json is an answer": 137, "no control key": 155,
    "nothing for no list": 161, "short page ends a walk": 549,
}  # fmt: skip
"""The first seeds that noticed each bug when this was written: a hunt begins there."""
MOST = 40
AT_ONCE = ("early break", "local clock as checkpoint", "sweep refetch off", "position before delivery")


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_gross_bug_is_noticed_at_once(name: str) -> None:
    assert hunt(name, range(FIRST[name], FIRST[name] + 3)).seed is not None


@pytest.mark.proof
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bug_is_noticed(name: str) -> None:
    seeds = range(FIRST[name], FIRST[name] + MOST)
    assert hunt(name, seeds).seed is not None, f"{MOST} histories do not notice: {name}"
