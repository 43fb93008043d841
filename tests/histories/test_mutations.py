"""The histories notice each of the bugs that are put in on purpose. `python -m tests.histories --mutations` prints the table."""

from collections.abc import Mapping

import pytest

from tests.histories.mutations import MUTATIONS, hunt

FIRST: Mapping[str, int] = {
    "early break": 0, "local clock as checkpoint": 1, "sweep refetch off": 1, "position before delivery": 8,
    "checkpoint moved on error": 4, "ties cut": 16, "merge deletes": 40, "body not compared": 40, "adoption off": 44,
    "absence deletes": 66, "no look up": 66, "older observation wins": 156,
    "trash stays with the conversation": 204, "guard off": 225, "page dropped before commit": 340, "no overlap": 489,
    "short page ends a walk": 758, "nothing for no list": 793, "no restore": 960, "no control key": 155, "not json is an answer": 1666,
}  # fmt: skip
"""The seeds that noticed each bug when this was written: a hunt begins there."""
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
