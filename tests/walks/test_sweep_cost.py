"""What a sweep costs, against the formulas of the vendors' references: N/499 for tasks, pc(N) + pc(T) + pc(J) + 1 for conversations."""

from collections import Counter
from pathlib import Path

import pytest

from syncjob.core.steps import Rhythm

from .bench import POLL, Bench

TASKS, CONVERSATIONS = 11_800, 11_300
"""So many that the key's user sees ten thousand of each."""
GUESTS = 1.03
"""What conversations add that are listed without being this user's, and stamps that several share."""


def pages(rows: int) -> int:
    """Of a list by `until` in fifties, one row of which repeats, with the request that shows its end."""
    return 1 + -(-max(0, rows - 49) // 49)


@pytest.mark.proof
@pytest.mark.parametrize("name", ["teamwork", "missive"])
def test_a_sweep_of_ten_thousand_costs_what_the_formulas_say(tmp_path: Path, name: str) -> None:
    world_of = {"tasks": TASKS} if name == "teamwork" else {"conversations": CONVERSATIONS, "messages_each": 1}
    bench = Bench(tmp_path, seed=2, **world_of)  # type: ignore[arg-type]
    bench.run(name)
    before = bench.requests(name)
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    bench.cycle(name)
    asked = Counter(each.path.rpartition("/")[2] for each in bench.sandbox.requests(name)[before:])
    truth, world = bench.sandbox.truth, bench.sandbox.world.missive
    if name == "teamwork":
        tasks = len(truth.tasks())
        print(f"{tasks} tasks: {asked.total() - 2} requests, formula {-(-tasks // 499)}")
        assert asked.total() - 2 <= -(-tasks // 499) + 1
    else:
        mine = [flags for row in world.conversations.values() if (flags := row.flags.get(world.me))]
        trashed, junked = sum(flags.trashed for flags in mine), sum(flags.junked for flags in mine)
        live = len(mine) - trashed - junked
        formula, turns = pages(live) + pages(trashed) + pages(junked) + 1, -(-live // 100)
        sizes = f"{live} conversations, {trashed} trashed, {junked} junked"
        print(f"{sizes}: {asked.total() - 2} requests, formula {formula} and {turns} in turn")
        ends = 3  # each list is asked for once more below its last row, since others may be hidden
        assert asked["conversations"] - 2 <= formula * GUESTS + 3 + ends
        assert asked["messages"] <= turns + 1
    assert bench.differences_of(*(("task",) if name == "teamwork" else ("email", "attachment"))) == []
    bench.close()
