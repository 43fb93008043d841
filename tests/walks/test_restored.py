"""A task that comes back is live again only once that is proven: by a later stamp, or by its own page. A mail comes with its thread."""

from pathlib import Path
from unittest.mock import patch

import pytest

from syncjob.core.steps import Rhythm
from syncjob.sandbox import Request, Switches
from syncjob.sandbox.missive.world import MissiveWorld
from tests.walks.bench import POLL, Bench


@pytest.mark.parametrize("moves", [True, False])
def test_a_restored_task_comes_back_however_its_stamp_behaves(tmp_path: Path, moves: bool) -> None:
    bench = Bench(tmp_path, tasks=20, switches=Switches(teamwork_restore_bumps=moves))
    bench.run("teamwork")
    key = sorted(bench.sandbox.truth.tasks())[0]
    bench.clock.at += 1000
    bench.sandbox.world.teamwork.delete_task(int(key))
    bench.cycle("teamwork")
    assert key not in {row.key for row in bench.feed() if row.deleted_at is None}
    bench.clock.at += 1000
    bench.sandbox.world.teamwork.restore_task(int(key))
    bench.cycle("teamwork")
    bench.rhythm = Rhythm(POLL, full_asked=True)
    bench.reopen()
    bench.cycle("teamwork")
    assert bench.differences_of("tasks") == []
    bench.close()


def test_tasks_come_back_with_their_list_where_only_a_directory_says_that_it_was_deleted(tmp_path: Path) -> None:
    """Nothing shows that a list is back but its directory, and that was read long ago."""
    bench = Bench(tmp_path, seed=3, tasks=40, switches=Switches(teamwork_sideloads="empty"))
    world = bench.sandbox.world.teamwork
    list_ = world.tasks[int(sorted(bench.sandbox.truth.tasks())[0])].tasklist_id
    bench.sandbox.before_request.append(lambda request: "tasklists.json" in request.path and world.delete_tasklist(list_))
    bench.run("teamwork")
    bench.sandbox.before_request.clear()
    assert bench.differences_of("task") == []
    world.restore_tasklist(list_)
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


def test_mails_come_back_with_their_conversation_though_the_other_source_has_asked_more(tmp_path: Path) -> None:
    """Each source numbers its own answers: those of the other one say nothing of how new a mail is."""
    bench = Bench(tmp_path, conversations=3)
    bench.run("missive")
    bench.settle("teamwork", cycles=20)
    key = next(iter(bench.sandbox.truth.emails().values()))["thread_id"]
    bench.sandbox.world.missive.trash(key)
    bench.settle("missive")
    assert bench.differences_of("email") == []
    bench.sandbox.world.missive.untrash(key)
    bench.settle("missive")
    assert bench.differences_of("email") == []
    bench.close()


@pytest.mark.parametrize("count", [22, 40])
def test_mails_that_were_read_while_their_conversation_was_in_the_trash_come_with_it(tmp_path: Path, count: int) -> None:
    """A poll finds it there while a backfill reads its bodies; the last of them shows that it is back, as it was when they were listed."""
    bench = Bench(tmp_path, switches=Switches(missive_trash_bumps=False))
    world = bench.sandbox.world.missive
    key = world.add_conversation(count)

    def trash(world: MissiveWorld, key: str) -> None:
        world.trash(key)
        bench.clock.at += 61  # a poll is due

    def befall(request: Request) -> None:
        if "/v1/messages/" in request.path and (fate := next(fates, None)):
            fate(world, key)

    fates = iter([trash, None, MissiveWorld.untrash])
    bench.sandbox.before_request.append(befall)
    bench.run("missive")
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    with patch("syncjob.sources.missive.in_turn", return_value=[]):  # which would come to it some time
        bench.cycle("missive", wait=6000)
    assert bench.differences_of("email") == []
    bench.close()


def test_mails_come_back_when_the_conversation_that_was_shown_as_a_stub_is_shown_whole_again(tmp_path: Path) -> None:
    """Nothing of it has changed meanwhile."""
    bench = Bench(tmp_path)
    world = bench.sandbox.world.missive
    *_, key = (world.add_conversation() for _ in range(6))  # more than a sweep lists anyway
    bench.run("missive")
    for change in (lambda: world.revoke_access(key, guest=True), lambda: world.grant_access(key)):
        change()
        bench.rhythm = Rhythm(POLL, sweep_asked=True)
        bench.reopen()
        bench.settle("missive")
        assert bench.differences_of("email") == []
    bench.close()
