"""The first run and the quiet one after it."""

from collections.abc import Callable

import pytest

from .job import Job
from .rows import mirror, read, truth, written


def test_a_backfill_leaves_both_databases_equal_to_the_sources_row_by_row(big: Callable[..., Job]) -> None:
    job = big(conversations=40)

    ran = job.once("--json")

    assert ran.exit == 0, ran.all
    assert job.differences() == []
    assert all(truth(job.sandbox).values()), "a world without tasks, emails or attachments proves nothing"


def test_a_second_run_asks_two_requests_of_each_source_and_writes_nothing(both: Job) -> None:
    assert both.dsn
    assert both.once().exit == 0
    mirrored, counters, in_postgres, in_sqlite = mirror(both.state), written(both.dsn), read(both.dsn), read(both.sqlite)

    ran = both.once("--json")

    assert ran.exit == 0, ran.all
    assert ran.asked["teamwork"] <= 2
    assert ran.asked["missive"] <= 2
    assert ran.document["requests"] == dict(ran.asked)
    assert [found["written"] for found in ran.document["destinations"].values()] == [0, 0]
    assert mirror(both.state) == mirrored
    assert written(both.dsn) == counters
    assert read(both.dsn) == in_postgres
    assert read(both.sqlite) == in_sqlite


def test_changes_reach_both_databases_and_touch_no_other_row(both: Job) -> None:
    assert both.dsn
    assert both.once().exit == 0
    before = read(both.dsn)
    edited, done = list(both.sandbox.truth.tasks())[:2]
    both.sandbox.world.teamwork.edit_task(int(edited), name="Renamed")
    both.sandbox.world.teamwork.complete_task(int(done))
    conversation = both.sandbox.world.missive.add_conversation(2)

    ran = both.once()

    assert ran.exit == 0, ran.all
    assert both.differences() == []
    after = read(both.dsn)
    touched = {key for table, rows in after.items() for key, row in rows.items() if before[table].get(key) != row}
    new = {key for key, row in after["emails"].items() if row["thread_id"] == conversation}
    new |= {key for key, row in after["attachments"].items() if row["email_id"] in new}
    assert touched == {edited, done} | new


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(2, 5))
def test_a_backfill_of_two_thousand_tasks_and_three_thousand_messages_equals_the_sources(big: Callable[..., Job], seed: int) -> None:
    job = big(seed, 2000, 1000)

    ran = job.once("--json")

    assert ran.exit == 0, ran.all
    assert job.differences() == []
    print(f"{ran.seconds:.1f} s, {dict(ran.asked)}")
