"""What goes, comes back or changes without a word: a sweep finds it, and proves it before anything is deleted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from syncjob.core.model import EMAILS, TASKS
from syncjob.core.steps import Rhythm
from syncjob.sandbox import Switches

from .bench import POLL, Bench, new_folder


def sweep(bench: Bench, *names: str) -> None:
    """One changes cycle and one sweep."""
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    bench.cycle(*names)
    bench.rhythm = Rhythm(POLL)


def live_task(bench: Bench) -> int:
    return int(sorted(bench.sandbox.truth.tasks())[len(bench.sandbox.truth.tasks()) // 2])


def live_thread(bench: Bench) -> str:
    return sorted(email["thread_id"] for email in bench.sandbox.truth.emails().values())[5]


def delete_list(bench: Bench) -> None:
    world = bench.sandbox.world.teamwork
    world.delete_tasklist(world.tasks[live_task(bench)].tasklist_id)


def delete_project(bench: Bench) -> None:
    world = bench.sandbox.world.teamwork
    world.delete_project(world.project_of(world.tasks[live_task(bench)]).id)


def lose_project(bench: Bench) -> None:
    world = bench.sandbox.world.teamwork
    world.revoke_access(world.project_of(world.tasks[live_task(bench)]).id)


def purge(bench: Bench) -> None:
    bench.sandbox.world.teamwork.delete_task(task := live_task(bench))
    bench.sandbox.world.teamwork.purge_task(task)


def delete_message(bench: Bench) -> None:
    bench.sandbox.world.missive.delete_message(sorted(bench.sandbox.truth.emails())[7])


PATHS: dict[str, Callable[[Bench], object]] = {
    "task deleted": lambda bench: bench.sandbox.world.teamwork.delete_task(live_task(bench)),
    "task purged": purge,
    "list deleted": delete_list,
    "project deleted": delete_project,
    "access to a project lost": lose_project,
    "message deleted": delete_message,
    "conversation deleted": lambda bench: bench.sandbox.world.missive.delete_conversation(live_thread(bench)),
    "conversation trashed": lambda bench: bench.sandbox.world.missive.trash(live_thread(bench)),
    "access to a conversation lost": lambda bench: bench.sandbox.world.missive.revoke_access(live_thread(bench)),
    "guest of a conversation": lambda bench: bench.sandbox.world.missive.revoke_access(live_thread(bench), guest=True),
}


@pytest.mark.parametrize("path", PATHS)
def test_what_goes_is_deleted_after_a_sweep_and_nothing_else(tmp_path: Path, path: str) -> None:
    bench = Bench(tmp_path, seed=3, tasks=40, conversations=20)
    bench.run()
    held = {stream: set(bench.held(stream)) for stream in (TASKS, EMAILS)}
    PATHS[path](bench)
    sweep(bench)
    assert bench.differences() == []
    live = set(bench.held(TASKS)) | set(bench.held(EMAILS))
    assert {row.key for row in bench.feed() if row.deleted_at} == (held[TASKS] | held[EMAILS]) - live
    before = len(bench.sandbox.log)
    sweep(bench)
    assert bench.differences() == []
    changes, glimpse, lists, thread = 4, 1, 7, 1
    assert len(bench.sandbox.log) - before <= changes + glimpse + lists + thread, "a second sweep asks nothing that is known"
    bench.close()


VARIATIONS = [pytest.param(switches, id=f"{name}={position}") for name, position, switches in Switches.variations()]


@pytest.mark.proof
@pytest.mark.parametrize("switches", VARIATIONS)
def test_every_path_with_every_switch(switches: Switches) -> None:
    wrong = []
    for path, change in PATHS.items():
        with new_folder() as folder:
            bench = Bench(folder, seed=3, tasks=30, conversations=12, switches=switches)
            bench.run()
            change(bench)
            bench.clock.at += 120
            sweep(bench)
            wrong += [f"{path}: {line}" for line in bench.differences()]
            bench.close()
    assert wrong == []
