"""The histories notice each of the bugs that are put in on purpose. `python -m tests.histories --mutations` prints the table."""

import pytest

from tests.histories.mutations import MUTATIONS, hunt

MOST = range(400)


@pytest.mark.proof
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bug_is_noticed(name: str) -> None:
    caught = hunt(name, MOST)
    assert caught.seed is not None, f"{len(MOST)} histories do not notice: {name}"
    assert not caught.violation.startswith("broke: TypeError"), caught.violation
