"""A first run over a large world: everything, once, within the request formulas; and the quiet cycle after it."""

import gc
import weakref
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pytest

from syncjob.core.model import Answer
from syncjob.spool import Leaf, Spool

from .bench import Bench, new_folder


@pytest.fixture(scope="module")
def filled() -> Iterator[Bench]:
    with new_folder() as folder:
        bench = Bench(folder, tasks=1200, conversations=300)
        bench.run()
        yield bench
        bench.close()


def pages_of_conversations(count: int) -> int:
    return 1 if count < 50 else 1 + ceil((count - 49) / 49)


def pages_of_messages(count: int) -> int:
    return 1 if count < 10 else 1 + ceil((count - 9) / 9)


def test_a_backfill_is_row_by_row_equal_to_the_truth(filled: Bench) -> None:
    assert filled.differences() == []


def test_a_backfill_of_teamwork_costs_no_more_than_its_formula(filled: Bench) -> None:
    shown = len(filled.sandbox.truth.tasks())
    assert filled.requests("teamwork") <= 1 + ceil(max(0, shown - 250) / 249) + 2


def test_a_backfill_of_missive_costs_no_more_than_its_formula(filled: Bench) -> None:
    world = filled.sandbox.world.missive
    lists: dict[str, int] = {"all": 0, "trashed": 0, "junked": 0}
    threads = messages = 0
    for row in world.conversations.values():
        mine = row.flags.get(world.me)
        if mine is None:
            lists["all"] += world.me in row.guest_ids
            continue
        lists["trashed" if mine.trashed else "junked" if mine.junked else "all"] += 1
        if not mine.trashed and not mine.junked:
            threads += pages_of_messages(len(row.message_ids))
            messages += len(row.message_ids)
    lists_asked = pages_of_conversations(lists["all"]) + pages_of_conversations(lists["trashed"]) + pages_of_conversations(lists["junked"])
    ends = len(lists)  # each list is asked for once more below its last row, since others may be hidden
    assert filled.requests("missive") <= lists_asked + ends + threads + ceil(messages / 10) + 4


def test_nothing_is_asked_twice_for_a_body(filled: Bench) -> None:
    asked = filled.bodies_asked()
    assert len(asked) == len(set(asked))


def test_a_second_cycle_costs_two_requests_and_writes_nothing(filled: Bench) -> None:
    before, seq, rows = {face: filled.requests(face) for face in filled.parts}, filled.seq(), filled.feed()
    filled.reopen()
    filled.cycle(wait=600)
    assert filled.seq() == seq
    assert filled.feed() == rows
    assert all(filled.requests(face) - count <= 2 for face, count in before.items())


def test_a_cycle_within_the_overlap_of_the_backfill_is_as_quiet(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=60, conversations=20)
    bench.run()
    before, seq = {face: bench.requests(face) for face in bench.parts}, bench.seq()
    bench.cycle()
    assert bench.seq() == seq
    assert all(bench.requests(face) - count <= 2 for face, count in before.items())
    bench.close()


def test_what_was_taken_in_goes_without_the_garbage_collector_which_looks_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    bench, seen, drop = Bench(tmp_path, tasks=30, conversations=10), list[weakref.ref[Answer]](), Spool.drop

    def dropped(spool: Spool, leaf: Leaf) -> None:
        seen.append(weakref.ref(leaf.answer))
        drop(spool, leaf)

    monkeypatch.setattr(Spool, "drop", dropped)
    gc.disable()
    bench.run()
    gc.enable()
    bench.close()
    assert seen
    assert not [each for each in seen if each()]
