"""A task that comes back is live again only once that is proven: by a later stamp, or by its own page. A mail comes with its thread."""

import sqlite3
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pytest

from syncjob.core.model import CONVERSATIONS, EMAILS, Change, Record, Walk
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
    assert bench.differences_of("task") == []
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


def test_deletions_that_are_held_go_with_their_conversation_when_it_is_out_of_the_trash_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=3)
    world = bench.sandbox.world.missive
    key = world.add_conversation(40)
    bench.run("missive")
    world.trash(key)
    bench.settle("missive")
    assert held(bench) == {EMAILS: 40, CONVERSATIONS: 1}
    world.untrash(key)
    bench.cycle("missive")
    assert held(bench) == {}
    assert bench.differences_of("email") == []
    bench.close()


def held(bench: Bench) -> dict[str, int]:
    with bench.store.read() as tx:
        return dict(Counter(each.stream for each in tx.walks.held([EMAILS, CONVERSATIONS])))


def test_a_mail_that_is_held_to_be_gone_itself_stays_so_when_its_conversation_is_shown(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=8)
    bench.run("missive")
    key, email = min((row["thread_id"], key) for key, row in bench.held(EMAILS).items())
    bench.sandbox.world.missive.delete_message(email)
    with bench.store.begin() as tx:
        poll = tx.walks.begin(Walk(0, EMAILS, "changes", None, None, {}, bench.clock.now(), 1, listed=True), live=1)
        tx.walks.doom(poll, [Change("deleted", Record(EMAILS, email, {}), "", None, "not found")], observed=10**6)
        tx.walks.hold(poll.id)
        tx.walks.update(poll.id, finished_at=bench.clock.now())
    bench.sandbox.world.missive.add_message(key)
    with patch("syncjob.sources.missive_threads.suspects", return_value=[]):
        bench.cycle("missive")
    assert held(bench) == {EMAILS: 1}
    bench.close()


def test_a_mail_that_was_deleted_with_its_conversation_comes_back_when_that_lists_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=4)
    bench.run("missive")
    thread, key = min((row["thread_id"], key) for key, row in bench.held(EMAILS).items())
    with sqlite3.connect(bench.folder / "mirror.db") as connection:  # as a version before this one could leave it
        connection.execute("UPDATE rows SET deleted_at = '2026-09-01T00:00:00.000000Z', deleted_why = 'trashed' WHERE key = ?", [key])
        connection.execute("UPDATE streams SET live = live - 1 WHERE stream = ?", [EMAILS])
    connection.close()
    bench.reopen()
    bench.sandbox.world.missive.add_message(thread)
    bench.cycle("missive")
    assert bench.differences_of("email") == []
    bench.close()
