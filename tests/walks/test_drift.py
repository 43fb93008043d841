"""Rows that change, move or vanish between two pages: after the walk and one changes cycle, nothing is lost and nothing is stale."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from syncjob.core.model import EMAILS, TASKS
from syncjob.sandbox import Request, Switches

from .bench import TUESDAY, Bench


def between_pages(bench: Bench, path: str, change: Callable[[int], None], *, most: int) -> None:
    """Call `change` with 1, 2, ... before each request for a page of this path but the first."""
    seen = 0

    def hook(request: Request) -> None:
        nonlocal seen
        if request.path.endswith(path):
            seen += 1
            if 1 < seen <= most + 1:
                change(seen - 1)

    bench.sandbox.before_request.append(hook)


@pytest.mark.parametrize("seed", range(4))
def test_tasks_that_are_edited_between_pages_are_all_read(tmp_path: Path, seed: int) -> None:
    bench, rng = Bench(tmp_path, seed=seed, tasks=700, tick=1), random.Random(seed)
    world = bench.sandbox.world.teamwork

    def edit(turn: int) -> None:
        for key in rng.sample(sorted(world.tasks), 30):
            if world.tasks[key].deleted_at is None:
                world.edit_task(key, name=f"edited in turn {turn}")
        world.add_task(f"new in turn {turn}")

    between_pages(bench, "/tasks.json", edit, most=6)
    bench.run("teamwork")
    bench.sandbox.before_request.clear()
    bench.cycle("teamwork")
    assert bench.differences_of("task") == [], f"seed {seed}"
    bench.close()


@pytest.mark.parametrize("fate", ["edited", "deleted", "purged", "moved out of sight"])
def test_the_row_that_a_page_continues_from_may_move_or_go(tmp_path: Path, fate: str) -> None:
    bench = Bench(tmp_path, tick=1)
    world = bench.sandbox.world.teamwork
    tasks = [world.add_task(f"task {number}", updated_at=int(TUESDAY) - 5000 + number) for number in range(600)]
    hidden = next(row.id for row in world.tasklists.values() if world.me not in world.projects[row.project_id].members)

    def change(turn: int) -> None:
        key = tasks[250 * turn - turn]  # the newest of the page before
        if fate == "edited":
            world.edit_task(key, name="edited")
        elif fate == "moved out of sight":
            world.move_task(key, hidden)
        else:
            (world.delete_task if fate == "deleted" else world.purge_task)(key)

    between_pages(bench, "/tasks.json", change, most=2)
    bench.run("teamwork")
    bench.sandbox.before_request.clear()
    bench.cycle("teamwork")
    alive = {str(key) for key in bench.sandbox.truth.tasks()}
    assert alive <= bench.held(TASKS).keys()
    assert len(bench.held(TASKS).keys() - alive) <= 2  # what vanished without a word is for the sweep
    assert all(walk["complete"] for walk in bench.walks(TASKS))
    bench.close()


@pytest.mark.parametrize("count", [600, 250])
def test_ties_that_are_edited_while_they_are_read_are_not_lost(tmp_path: Path, count: int) -> None:
    bench, rng = Bench(tmp_path, tasks=50, tick=1), random.Random(7)
    world = bench.sandbox.world.teamwork
    ties = bench.sandbox.world.make_ties("teamwork.tasks", count, at=int(TUESDAY) - 86_400)
    between_pages(
        bench, "/tasks.json", lambda turn: [world.edit_task(int(key), name=f"turn {turn}") for key in rng.sample(ties, 20)], most=5
    )
    bench.run("teamwork")
    bench.sandbox.before_request.clear()
    bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("seed", range(2))
def test_conversations_that_rise_between_pages_are_all_read(tmp_path: Path, seed: int) -> None:
    bench, rng = Bench(tmp_path, seed=seed, conversations=80, messages_each=1, tick=1), random.Random(seed)
    world = bench.sandbox.world.missive

    def mail(turn: int) -> None:
        for key in rng.sample(list(world.conversations), 5):
            world.add_message(key, subject=f"turn {turn}")
        world.add_conversation(messages=2, subject=f"new in turn {turn}")

    between_pages(bench, "/conversations", mail, most=4)
    bench.run("missive")
    bench.sandbox.before_request.clear()
    bench.cycle("missive")
    bench.cycle("missive")
    assert bench.differences_of("email") == [], f"seed {seed}"
    bench.close()


def test_mail_that_arrives_while_a_thread_is_read_is_not_lost(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tick=1)
    world = bench.sandbox.world.missive
    conversation = world.add_conversation(messages=0)
    for number in range(45):
        world.add_message(conversation, delivered_at=int(TUESDAY) - 1000 + number // 3)
    between_pages(bench, "/messages", lambda turn: world.add_message(conversation, subject=f"turn {turn}"), most=3)
    bench.run("missive")
    bench.sandbox.before_request.clear()
    bench.cycle("missive")
    assert bench.differences() == []
    bench.close()


def test_a_message_swapped_for_another_while_its_thread_is_read_leaves_no_hole(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tick=1)
    world = bench.sandbox.world.missive
    conversation = world.add_conversation(messages=0)
    messages = [world.add_message(conversation, delivered_at=int(TUESDAY) - 1000 + number) for number in range(30)]

    def swap(turn: int) -> None:
        world.delete_message(messages[-turn])
        world.add_message(conversation, subject=f"turn {turn}")

    between_pages(bench, "/messages", swap, most=2)
    bench.run("missive")
    bench.sandbox.before_request.clear()
    bench.cycle("missive")
    assert bench.sandbox.truth.emails().keys() <= bench.held(EMAILS).keys()
    bench.close()


def test_a_conversation_merged_away_during_the_backfill_is_read_under_its_survivor(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tick=1)
    world = bench.sandbox.world.missive
    first, second = (world.add_conversation(messages=3) for _ in range(2))
    between_pages(bench, "/messages", lambda turn: world.merge(first, into=second), most=1)
    bench.clock.at += 10
    bench.run("missive")
    bench.sandbox.before_request.clear()
    bench.settle("missive")
    assert bench.differences() == []
    bench.close()


def test_a_body_that_is_edited_without_a_new_time_is_read_again_when_its_preview_changed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=3, switches=Switches(missive_edit_moves_updated_at=False))
    bench.run("missive")
    world = bench.sandbox.world.missive
    key, email = next(iter(bench.sandbox.truth.emails().items()))
    world.edit_message(key, body="<div>edited</div>")
    world.add_comment(email["thread_id"])
    bench.settle("missive")
    assert bench.differences_of("email") == []
    bench.close()
