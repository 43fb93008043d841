"""Random histories: after every cycle nothing false, at the end the truth. `python -m tests.histories --seed N -v` replays one."""

import pytest

from tests.histories.history import play
from tests.histories.plan import draw

SHORT, LONG, AT_ONCE = range(200), range(200, 2000), 5


def batches(seeds: range) -> list[range]:
    return [seeds[start : start + AT_ONCE] for start in range(0, len(seeds), AT_ONCE)]


def violations(seeds: range) -> list[str]:
    """The first violation of each history that has one, with the command that replays it."""
    outcomes = map(play, seeds)
    return [f"{each.violations[0]} (python -m tests.histories --seed {each.seed} -v)" for each in outcomes if each.violations]


@pytest.mark.parametrize("seeds", batches(SHORT), ids=str)
def test_no_history_violates_anything(seeds: range) -> None:
    assert violations(seeds) == []


@pytest.mark.proof
@pytest.mark.parametrize("seeds", batches(LONG), ids=str)
def test_none_of_thousands_of_histories_violates_anything(seeds: range) -> None:
    assert violations(seeds) == []


def test_some_go_over_http_and_some_into_postgres() -> None:
    plans = [draw(seed) for seed in SHORT]
    assert 0 < sum(plan.net for plan in plans) < 20
    assert 0 < sum(plan.postgres for plan in plans) < 30


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_seed_replays_exactly(everywhere: bool) -> None:
    first, second = play(5, everywhere=everywhere), play(5, everywhere=everywhere)
    assert first.requests > 10
    assert (first.digest, first.crashes, first.faults) == (second.digest, second.crashes, second.faults)
