"""Full and changes walks of both sources, taken step by step in any order while the world is edited: the newest observation wins."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from syncjob.core.model import EMAILS, TASKS, Walk
from syncjob.core.steps import Rhythm
from syncjob.store import Store
from syncjob.store.walks import FINAL, PENDING

from .bench import POLL, Bench
from .edits import edit, edit_mails, edit_tasks


def live_by_truth_but_deleted(bench: Bench) -> list[str]:
    """Rows that are marked as deleted though they are not: the one thing that may never be, not even in between."""
    truth = bench.sandbox.truth.tasks().keys() | bench.sandbox.truth.emails().keys()
    return [row.key for row in bench.feed() if row.deleted_at and row.key in truth]


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.proof) for seed in range(2, 20))])
def test_walks_and_edits_in_any_order_end_in_the_truth(tmp_path: Path, seed: int) -> None:
    bench, rng = Bench(tmp_path, seed=seed, tasks=350, conversations=25), Random(seed)
    for _ in range(260):
        bench.clock.at += rng.choice((0, 1, 1, 5, 20))
        if rng.random() < 0.25:
            edit(bench.sandbox, rng)
        if rng.random() < 0.02:
            bench.reopen()
        rng.choice([*bench.parts.values()]).step()
    bench.clock.at += 1
    bench.run()
    bench.settle(cycles=3)
    assert bench.differences() == [], f"seed {seed}"
    assert {walk["kind"] for walk in bench.walks(TASKS)} == {walk["kind"] for walk in bench.walks(EMAILS)} == {"full", "changes"}
    bench.close()


@pytest.mark.parametrize("seed", range(2))
def test_a_full_resync_between_changes_walks_ends_in_the_truth(tmp_path: Path, seed: int) -> None:
    bench, rng = Bench(tmp_path, seed=seed, tasks=300, conversations=12), Random(seed)
    bench.run()
    bench.rhythm = Rhythm(POLL, full_asked=True)
    bench.reopen()
    for _ in range(80):
        bench.clock.at += rng.choice((1, 5, 20))
        if rng.random() < 0.3:
            edit(bench.sandbox, rng)
        rng.choice([*bench.parts.values()]).step()
    bench.clock.at += 1
    bench.run()
    bench.settle(cycles=3)
    assert bench.differences() == [], f"seed {seed}"
    bench.close()


@pytest.mark.parametrize("seed", range(2))
def test_after_every_quiet_cycle_no_live_record_is_marked_as_deleted(tmp_path: Path, seed: int) -> None:
    bench, rng = Bench(tmp_path, seed=seed, tasks=40, conversations=12), Random(seed)
    bench.run()
    for turn in range(8):
        for _ in range(5):
            bench.clock.at += 7
            edit_tasks(bench.sandbox, rng)
            edit_mails(bench.sandbox, rng)
        bench.settle(cycles=2)
        assert live_by_truth_but_deleted(bench) == [], f"seed {seed}, turn {turn}"
        assert bench.differences() == [], f"seed {seed}, turn {turn}"
    bench.close()


def test_what_is_edited_within_the_overlap_is_read_once_and_then_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=30, conversations=8)
    bench.run()
    world = bench.sandbox.world
    world.teamwork.edit_task(next(iter(world.teamwork.tasks)), name="edited")
    world.missive.add_message(next(iter(world.missive.conversations)))
    bench.cycle()
    seq = bench.seq()
    before = {face: bench.requests(face) for face in bench.parts}
    bench.cycle(wait=timedelta(seconds=61).total_seconds())
    assert bench.seq() == seq
    assert all(bench.requests(face) - count <= 2 for face, count in before.items())
    bench.close()


@pytest.mark.parametrize("verdict", FINAL)
def test_what_one_walk_finds_out_is_not_waited_for_by_another(tmp_path: Path, verdict: str) -> None:
    now, store = datetime(2026, 9, 1, tzinfo=UTC), Store(tmp_path / "mirror.db")
    with store.begin() as tx:
        poll, full = (tx.walks.begin(Walk(0, EMAILS, kind, None, None, {}, now, 1), live=2) for kind in ("changes", "full"))
        tx.walks.sight(full.id, {(EMAILS, "gone"): PENDING, (EMAILS, "asked"): PENDING})
        tx.walks.sight(poll.id, {(EMAILS, "gone"): verdict})  # the answer ended the questions of both
        assert tx.walks.verdicts(full.id, EMAILS) == {PENDING: 1}
        assert tx.walks.verdicts(poll.id, EMAILS) == {verdict: 1}
    store.close()
