"""The power goes at every durable point in turn: before and after each request, spool file, commit and drop. The next start goes on."""

import shutil
from itertools import count
from pathlib import Path
from random import Random

import pytest

from syncjob.core.model import TASKS

from .bench import Bench, Clock, Crash, Fuse
from .edits import edit_mails, edit_tasks

PAGE_IN_FLIGHT, POLL_REQUESTS = 1, 2


def run_with_one_crash(folder: Path, like: Bench, at: int | None, name: str) -> tuple[Bench, bool]:
    """Run one source on the world of another bench, with a crash at that durable point; the bench, and whether there was such a point."""
    bench = Bench(folder, sandbox=like.sandbox, clock=like.clock, fuse=Fuse(at))
    try:
        bench.run(name)
    except Crash:
        bench.fuse = Fuse()
        bench.reopen()
        bench.run(name)
        return bench, True
    return bench, False


@pytest.mark.parametrize(("name", "what"), [("teamwork", "task"), ("missive", "email")])
def test_a_backfill_that_crashes_at_any_point_ends_in_the_truth(tmp_path: Path, name: str, what: str) -> None:
    world = Bench(tmp_path / "world", tasks=12, conversations=2, messages_each=2)
    whole, _ = run_with_one_crash(tmp_path / "whole", world, None, name)
    cost, rows = world.requests(name), whole.seq()
    assert whole.differences_of(what) == []
    whole.close()
    for point in count(1):
        before = world.requests(name)
        bench, crashed = run_with_one_crash(tmp_path / str(point), world, point, name)
        assert bench.differences_of(what) == [], f"crash at {point}"
        assert bench.seq() == rows, f"rows written twice after a crash at {point}"
        assert world.requests(name) - before <= cost + PAGE_IN_FLIGHT + POLL_REQUESTS, f"crash at {point}"
        assert not list((tmp_path / str(point) / "spool" / name).iterdir()), f"left in the spool after a crash at {point}"
        bench.close()
        if not crashed:
            break
    assert point > 14
    world.close()


@pytest.mark.parametrize(("name", "what", "seed"), [("teamwork", "task", 2), ("missive", "email", 3)])
def test_a_changes_walk_that_crashes_at_any_point_ends_in_the_truth(tmp_path: Path, name: str, what: str, seed: int) -> None:
    world, rng = Bench(tmp_path / "world", seed=seed, tasks=12, conversations=2, messages_each=2), Random(seed)
    world.run(name)
    world.settle(name)
    world.close()
    for _ in range(4):
        world.clock.at += 3
        (edit_tasks if name == "teamwork" else edit_mails)(world.sandbox, rng)
    world.clock.at += 61
    rows = 0
    for point in count():
        folder = shutil.copytree(tmp_path / "world", tmp_path / str(point))
        bench, crashed = run_with_one_crash(folder, world, point, name)
        bench.fuse.blows_at = None
        bench.cycle(name)
        assert bench.differences_of(what) == [], f"crash at {point}"
        rows = rows or bench.seq()
        assert bench.seq() == rows, f"rows written twice after a crash at {point}"
        bench.close()
        if point and not crashed:
            break
    assert point > 15


@pytest.mark.parametrize("seed", range(3))
def test_crash_upon_crash_ends_in_the_truth(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    bench = Bench(tmp_path, seed=seed, tasks=260, conversations=8, fuse=Fuse(rng.randint(1, 60)))
    crashes = 0
    while True:
        try:
            bench.run()
            break
        except Crash:
            crashes += 1
            bench.clock.at += rng.choice((0, 1, 70))
            bench.fuse = Fuse(rng.randint(8, 80))
            bench.reopen()
    assert bench.differences() == [], f"seed {seed}"
    assert bench.seq() == len(bench.feed()), f"rows written twice, seed {seed}"
    assert crashes
    bench.close()


def test_an_answer_that_was_spooled_before_a_crash_is_not_asked_again(tmp_path: Path) -> None:
    world = Bench(tmp_path / "world", tasks=12)
    fuse = Fuse(None)
    bench = Bench(tmp_path / "state", sandbox=world.sandbox, clock=world.clock, fuse=fuse)
    part = bench.parts["teamwork"]
    part.step()  # identity
    part.step()  # the walk opens
    fuse.blows_at = fuse.points + 3  # request, half a file, whole file
    with pytest.raises(Crash):
        part.step()
    asked = world.requests("teamwork")
    bench.reopen()
    assert bench.held(TASKS) == {}
    bench.parts["teamwork"].step()
    assert bench.held(TASKS).keys() == world.sandbox.truth.tasks().keys()
    assert world.requests("teamwork") == asked
    bench.close()
    world.close()


def test_a_leaf_that_comes_back_after_it_was_absorbed_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=12, clock=Clock())
    part = bench.parts["teamwork"]
    part.step()
    part.step()
    bench.fuse.blows_at = bench.fuse.points + 6  # request, file twice, commit twice, before the drop
    with pytest.raises(Crash):
        part.step()
    (leaf,) = (tmp_path / "spool" / "teamwork").glob("*.leaf")
    raw = leaf.read_bytes()
    bench.fuse.blows_at = None
    bench.reopen()
    bench.run("teamwork")
    seq = bench.seq()
    bench.sandbox.world.teamwork.edit_task(int(next(iter(bench.held(TASKS)))), name="edited since")
    bench.cycle("teamwork")
    leaf.write_bytes(raw)
    bench.reopen()
    bench.run("teamwork")
    assert bench.seq() == seq + 1
    assert bench.differences_of("task") == []
    bench.close()
