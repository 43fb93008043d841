"""What goes, comes back or changes without a word: a sweep finds it, and proves it before anything is deleted."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from syncjob.core.errors import SyncjobError, Transient, Unreliable
from syncjob.core.model import EMAILS, TASKS, Answer, Call, Change, Page, Record, Walk, WalkKind
from syncjob.core.steps import Rhythm
from syncjob.sandbox import Fault, Request, Response, Switches
from syncjob.sandbox.faults import Rule
from syncjob.sources import proof
from syncjob.sources.teamwork import HIDDEN
from syncjob.store.store import KnownTo

from .bench import POLL, Bench
from .paths import NEVER, seen_by


def sweep(bench: Bench, *names: str) -> None:
    """One changes cycle and one sweep."""
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    bench.cycle(*names)
    bench.rhythm = Rhythm(POLL)


def list_all(bench: Bench) -> None:
    """A sweep of tasks as far as the end of its list, before anything is concluded from it."""
    bench.clock.at += 61
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    while not any(walk["kind"] == "sweep" and walk["listed"] for walk in bench.walks("teamwork.tasks")):
        bench.parts["teamwork"].step()


def live_task(bench: Bench) -> int:
    return int(sorted(bench.sandbox.truth.tasks())[len(bench.sandbox.truth.tasks()) // 2])


def live_thread(bench: Bench) -> str:
    return sorted(email["thread_id"] for email in bench.sandbox.truth.emails().values())[5]


def purge(bench: Bench) -> None:
    bench.sandbox.world.teamwork.delete_task(task := live_task(bench))
    bench.sandbox.world.teamwork.purge_task(task)


def delete_message(bench: Bench) -> None:
    bench.sandbox.world.missive.delete_message(sorted(bench.sandbox.truth.emails())[7])


NO_SIDELOADS = Switches(teamwork_sideloads="absent")


@pytest.mark.parametrize(("face", "switches"), [("teamwork", Switches()), ("missive", Switches()), ("teamwork", NO_SIDELOADS)])
def test_every_path_and_its_way_back(face: str, switches: Switches) -> None:
    assert all(NEVER not in ways for ways in seen_by(switches, face).values())


def test_a_sweep_of_what_is_known_asks_little(tmp_path: Path) -> None:
    bench = Bench(tmp_path, seed=3, tasks=40, conversations=20)
    bench.run()
    before = len(bench.sandbox.log)
    sweep(bench)
    changes, glimpse, thread = 4, 1, 1
    lists = 3 * 3 + 1  # each once more below its last row, since others may be hidden; and the head of the first again
    assert len(bench.sandbox.log) - before <= changes + glimpse + lists + thread
    assert bench.differences() == []
    bench.close()


def test_what_changed_without_a_word_is_fetched_by_the_hundred(tmp_path: Path) -> None:
    bench = Bench(tmp_path, seed=3, tasks=300, switches=Switches(teamwork_tag_bumps=False))
    bench.run("teamwork")
    tasks = bench.sandbox.truth.tasks()
    tag = bench.sandbox.world.teamwork.add_tag("everywhere")
    for key in tasks:
        bench.sandbox.world.teamwork.tag_task(int(key), tag)
    before = len(bench.sandbox.log)
    asked_sweep(bench, "teamwork")
    assert sum("ids" in each.params for each in bench.sandbox.log[before:]) == -(-len(tasks) // 100)
    assert bench.differences_of("task") == []
    bench.close()


VARIATIONS = [(name, position, switches) for name, position, switches in Switches.variations()]
KEPT = {"moved out of sight", "project access lost", "conversation access lost", "guest only"}
"""What stays where a source says 403: access is lost, and the record may well be there."""


@pytest.mark.proof
@pytest.mark.parametrize(("name", "position", "switches"), VARIATIONS, ids=[f"{name}={position}" for name, position, _ in VARIATIONS])
def test_every_path_and_its_way_back_with_every_switch(name: str, position: object, switches: Switches) -> None:
    seen = seen_by(switches, name.partition("_")[0])
    kept = KEPT if position == 403 else set()
    assert {path for path, (gone, back) in seen.items() if NEVER in (gone, back)} <= kept


def asked_sweep(bench: Bench, *names: str) -> None:
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    bench.cycle(*names)


BY_ID = {"teamwork": r"/tasks/\d+\.json", "missive": r"/v1/(conversations|messages)/[^/]*$"}
NO_LIST = ["empty list", "login page", "truncated json", "empty object", "wrong type", "401", "403", "404", "500 html"]
LISTS = {"teamwork": r"/tasks\.json", "missive": r"/v1/conversations$"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    found = Bench(tmp_path, seed=3, tasks=60, conversations=30)
    found.run()
    return found


def lose_some(bench: Bench) -> None:
    purge(bench)
    delete_message(bench)
    bench.sandbox.world.missive.delete_conversation(live_thread(bench))


@pytest.mark.parametrize("face", BY_ID)
def test_a_route_that_finds_nothing_for_ten_minutes_proves_nothing(bench: Bench, face: str) -> None:
    lose_some(bench)
    seq = bench.seq()
    bench.sandbox.faults.always(BY_ID[face], Fault("404"))
    with pytest.raises(Unreliable, match="not found by id either, so nothing is deleted"):
        asked_sweep(bench, face)
    for _ in range(10):
        with suppress(Unreliable):
            bench.cycle(face)
    assert bench.seq() == seq
    bench.sandbox.faults.clear()
    for _ in range(6):
        bench.cycle(face)
    assert bench.differences_of(*(("task",) if face == "teamwork" else ("email", "missive"))) == []


def test_a_route_that_finds_nothing_keeps_no_new_mail_out(bench: Bench) -> None:
    thread = live_thread(bench)
    new = [bench.sandbox.world.missive.add_message(thread) for _ in range(3)]
    bench.sandbox.faults.always(r"/v1/messages/", Fault("404"))
    with pytest.raises(Transient, match="is listed, but not found by its id"):
        bench.cycle("missive")
    bench.sandbox.faults.clear()
    bench.cycle("missive", wait=301)
    assert set(new) <= bench.held(EMAILS).keys()


def test_a_mail_that_goes_between_its_list_and_its_body_is_no_failure(bench: Bench) -> None:
    world = bench.sandbox.world.missive
    new = world.add_message(live_thread(bench))
    bench.sandbox.before_request.append(lambda request: new in request.path and new in world.messages and world.delete_message(new))
    bench.cycle("missive")
    assert new not in world.messages
    assert bench.differences_of("email", "missive") == []


def test_a_poll_whose_controls_are_not_found_gives_up_and_a_later_one_finds_what_is_gone(bench: Bench) -> None:
    delete_message(bench)
    bench.sandbox.world.missive.add_comment(live_thread(bench))
    bench.sandbox.faults.always(BY_ID["missive"], Fault("403"))
    for _ in range(12):
        with suppress(SyncjobError):
            bench.cycle("missive", wait=301)
    assert any(walk["wrong"] for walk in bench.walks(EMAILS) if walk["kind"] == "changes")
    bench.sandbox.faults.clear()
    bench.cycle("missive", wait=301)
    assert bench.differences_of("email", "missive") == []


@pytest.mark.parametrize("face", LISTS)
@pytest.mark.parametrize("kind", NO_LIST)
def test_a_list_that_fails_or_is_empty_in_mid_sweep_deletes_nothing(bench: Bench, face: str, kind: str) -> None:
    lose_some(bench)
    bench.cycle(face)
    seq = bench.seq()
    bench.rhythm = Rhythm(timedelta(days=1), sweep_asked=True)
    bench.reopen()
    bench.sandbox.faults.always(LISTS[face], Fault(kind))
    with suppress(SyncjobError):
        bench.run(face)
    assert [row.key for row in bench.feed() if row.seq > seq and row.deleted_at] == []
    assert len(bench.sandbox.requests(face)) < 150, "an empty list is not followed by a look-up of everything"


@pytest.mark.parametrize("face", LISTS)
@pytest.mark.parametrize("seed", range(3))
def test_where_half_the_answers_fail_only_what_is_gone_is_deleted(bench: Bench, face: str, seed: int) -> None:
    lose_some(bench)
    gone = bench.held(TASKS).keys() - bench.sandbox.truth.tasks().keys() | bench.held(EMAILS).keys() - bench.sandbox.truth.emails().keys()
    bench.sandbox.faults.seeded(Random(seed), 0.5, ["login page", "truncated json", "empty object", "wrong type", "500 html"], face=face)
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    failed = 0
    for _ in range(20):
        try:
            bench.cycle(face, wait=301)
        except SyncjobError:
            failed += 1
        assert {row.key for row in bench.feed() if row.deleted_at} <= gone
    assert failed > 3
    bench.sandbox.faults.clear()
    bench.cycle(face, wait=301)  # what failed before waits no longer
    sweep(bench, face)
    assert bench.differences_of(*(("task",) if face == "teamwork" else ("email", "missive"))) == []


def test_a_sweep_whose_controls_went_meanwhile_gives_up_and_the_next_one_finds_what_is_gone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    world = bench.sandbox.world.teamwork
    first, second = world.add_task("first"), world.add_task("second")
    bench.run("teamwork")
    world.purge_task(first)
    list_all(bench)
    world.purge_task(second)
    world.add_task("third")
    for _ in range(10):
        with suppress(Unreliable):
            bench.cycle("teamwork", wait=301)
    assert all(walk["finished_at"] for walk in bench.walks("teamwork.tasks"))
    sweep(bench, "teamwork")
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_conversation_that_its_list_shows_is_not_deleted_by_a_route_that_finds_half_of_what_is_there(tmp_path: Path, seed: int) -> None:
    bench, rng = Bench(tmp_path, seed=3, conversations=8), Random(seed)
    bench.run("missive")
    bench.sandbox.faults.rules.append(Rule(None, path="/v1/conversations/", lot=lambda: Fault("404") if rng.random() < 0.5 else None))
    for _ in range(8):
        for key in rng.sample(sorted({email["thread_id"] for email in bench.sandbox.truth.emails().values()}), 2):
            bench.sandbox.world.missive.add_message(key)
        with suppress(SyncjobError):
            bench.cycle("missive", wait=301)
    assert [row.key for row in bench.feed() if row.deleted_at] == [], f"seed {seed}"
    with bench.store.read() as tx:
        assert not tx.walks.held({EMAILS})
    bench.close()


@pytest.mark.parametrize("seed", range(10))
def test_a_mail_that_its_list_shows_is_not_deleted_by_a_route_that_finds_half_of_what_is_there(tmp_path: Path, seed: int) -> None:
    bench, rng = Bench(tmp_path, seed=3, conversations=20, switches=Switches(missive_edit_bumps=True)), Random(seed)
    bench.run("missive")
    bench.sandbox.faults.rules.append(Rule(None, path="/v1/messages/", lot=lambda: Fault("404") if rng.random() < 0.5 else None))
    for turn in range(8):
        for mail in sorted(bench.sandbox.truth.emails())[turn::8] if turn < 5 else ():
            bench.sandbox.world.missive.edit_message(mail, subject=f"subject {rng.random()}")
        with suppress(SyncjobError):
            bench.cycle("missive", wait=301)
    assert [row.key for row in bench.feed() if row.deleted_at] == [], f"seed {seed}"
    bench.close()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("first", [[1.0], [0.0, 1.0, 0.0]])
def test_a_route_that_finds_a_third_of_what_is_there_deletes_nothing(tmp_path: Path, seed: int, first: list[float]) -> None:
    """A list hides a task, too: then each of these answers looks like what a deletion would look like."""
    bench, rng, luck = Bench(tmp_path, seed=3, tasks=20), Random(seed), iter(first)
    bench.run("teamwork")
    respond, hidden = bench.sandbox.respond, live_task(bench)
    lot = lambda: Fault("404") if next(luck, rng.random()) > 0.33 else None  # noqa: E731 - a name would say no more
    bench.sandbox.faults.rules.append(Rule(None, path=BY_ID["teamwork"], lot=lot))
    with patch.object(bench.sandbox, "respond", lambda request: _without(hidden, respond(request))):
        for look in (asked_sweep, *[Bench.cycle] * 12):
            with suppress(SyncjobError):
                look(bench, "teamwork")
    assert [row.key for row in bench.feed() if row.deleted_at] == [], f"seed {seed}"
    bench.close()


def _without(task: int, response: Response) -> Response:
    payload = json.loads(response.body or b"{}")
    if isinstance(payload.get("tasks"), list):
        payload["tasks"] = [each for each in payload["tasks"] if each["id"] != task]
        return replace(response, body=json.dumps(payload).encode())
    return response


def test_the_page_of_a_sweep_in_answer_to_a_full_list_empties_no_row(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=20)
    bench.run("teamwork")
    sweep(bench, "teamwork")
    bench.sandbox.faults.at(1, Fault("previous page"), path="/tasks.json")
    bench.rhythm = Rhythm(POLL, full_asked=True)
    bench.reopen()
    with pytest.raises(SyncjobError, match="another question"):
        bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


def name_deleted(bench: Bench, section: str, id_: int) -> None:
    """Let it have been deleted when it was named last."""
    with bench.store.begin() as tx:
        known = tx.mirror.names("teamwork", section, [str(id_)])[str(id_)]
        tx.mirror.learn_names("teamwork", {section: {str(id_): {**known, "status": "deleted"}}})


def sweep_without(bench: Bench, task: int) -> None:
    """A sweep whose list leaves out a task."""
    respond = bench.sandbox.respond

    def left_out(request: Request) -> Response:
        is_list = request.path.endswith("/tasks.json") and "ids" not in request.params
        return _without(task, respond(request)) if is_list else respond(request)

    with patch.object(bench.sandbox, "respond", left_out):
        sweep(bench, "teamwork")


def in_a_list_of_its_own(bench: Bench) -> tuple[int, int]:
    """A task alone in its list, and that list; both are known."""
    world = bench.sandbox.world.teamwork
    list_ = world.add_tasklist("its own", world.add_project("its own"))
    task = world.add_task("alone", list_)
    bench.run("teamwork")
    return task, list_


def test_a_list_that_was_deleted_when_it_was_seen_last_does_not_prove_a_task_in_it_deleted(tmp_path: Path) -> None:
    """Its list has come back since, and nothing said so: a list of tasks left out the only one in it."""
    bench = Bench(tmp_path, tasks=20, switches=NO_SIDELOADS)
    task, list_ = in_a_list_of_its_own(bench)
    name_deleted(bench, "tasklists", list_)
    sweep_without(bench, task)
    assert str(task) in bench.held("teamwork.tasks")
    bench.close()


def test_a_list_that_was_deleted_when_it_was_seen_last_and_is_not_found_proves_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=20, switches=replace(NO_SIDELOADS, teamwork_deleted_lists_flag=False))
    task, list_ = in_a_list_of_its_own(bench)
    bench.sandbox.world.teamwork.delete_tasklist(list_)
    name_deleted(bench, "tasklists", list_)
    bench.sandbox.faults.rules.append(Rule(None, path=rf"/tasklists/{list_}\.json", lot=lambda: Fault("404")))
    sweep(bench, "teamwork")
    assert str(task) not in bench.held("teamwork.tasks")
    bench.close()


def test_a_task_of_a_deleted_list_is_gone_where_ids_show_it_among_all_others(tmp_path: Path) -> None:
    switches = replace(NO_SIDELOADS, teamwork_ids_list_deleted=True, teamwork_ids_lift_hiding=True)
    bench = Bench(tmp_path, tasks=20, switches=switches)
    task, list_ = in_a_list_of_its_own(bench)
    bench.sandbox.world.teamwork.delete_tasklist(list_)
    sweep(bench, "teamwork")
    assert str(task) not in bench.held("teamwork.tasks")
    bench.close()


def test_a_deleted_project_proves_nothing_of_a_task_whose_list_has_left_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=20, switches=replace(NO_SIDELOADS, teamwork_tasklist_meta=False))
    task, list_ = in_a_list_of_its_own(bench)
    world = bench.sandbox.world.teamwork
    old = world.tasklists[list_].project_id
    world._change_tasklist(list_, project_id=world.add_project("another"))
    world.delete_project(old)
    name_deleted(bench, "projects", old)
    sweep_without(bench, task)
    assert str(task) in bench.held("teamwork.tasks")
    bench.close()


def test_the_control_that_was_found_at_last_is_the_one_that_is_asked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    world = bench.sandbox.world.teamwork
    *controls, _, gone = [world.add_task(f"task {number}") for number in range(proof.CONTROLS + 2)]
    bench.run("teamwork")
    world.purge_task(gone)
    list_all(bench)
    for key in controls:
        world.purge_task(key)
    with suppress(Unreliable):
        bench.cycle("teamwork", wait=301)
    bench.cycle("teamwork", wait=301)
    assert [walk["wrong"] for walk in bench.walks("teamwork.tasks") if walk["kind"] == "sweep"] == [None]
    assert len(bench.differences_of("task")) == len(controls)
    bench.close()


def test_a_project_is_named_where_only_the_directories_tell_which_it_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, seed=3, tasks=12, switches=Switches(teamwork_sideloads="empty", teamwork_tasklist_meta=False))
    bench.run("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


def test_a_task_that_was_moved_into_a_project_that_was_deleted_is_gone(tmp_path: Path) -> None:
    """Nothing but that project's own page says so, and the mirror knows another one."""
    bench = Bench(tmp_path, seed=3, tasks=40, switches=NO_SIDELOADS)
    bench.run("teamwork")
    world, task = bench.sandbox.world.teamwork, live_task(bench)
    lists = (each for each in world.tasklists.values() if each.project_id != world.project_of(world.tasks[task]).id)
    world.move_task(task, next(each.id for each in lists if world._is_open(each)))
    world.delete_project(world.project_of(world.tasks[task]).id)
    sweep(bench, "teamwork")
    assert str(task) not in bench.held("teamwork.tasks")
    bench.close()


def test_what_a_poll_holds_while_a_sweep_is_under_way_stays_held_when_that_ends(bench: Bench) -> None:
    list_all(bench)
    world, tasks = bench.sandbox.world.teamwork, [*bench.sandbox.truth.tasks()]
    for key in tasks[: len(tasks) // 2]:
        world.delete_task(int(key))
    bench.cycle("teamwork")
    assert not [walk for walk in bench.walks(TASKS) if not walk["finished_at"]]
    with bench.store.read() as tx:
        assert {each.key for each in tx.walks.held({TASKS})} >= {*tasks[: len(tasks) // 2]}
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    bench.cycle("teamwork")
    with bench.store.read() as tx:
        assert {each.key for each in tx.walks.held({TASKS})} == {*tasks} - bench.sandbox.truth.tasks().keys()


def test_what_a_poll_proves_anew_of_what_is_held_stays_held_when_a_sweep_that_began_before_lifts_the_rest(bench: Bench) -> None:
    now, later = bench.clock.now(), bench.clock.now() + timedelta(minutes=1)
    gone, back = (Change("deleted", Record(TASKS, key, {}), "", now, "not found") for key in ("1", "2"))
    with bench.store.begin() as tx:
        kinds: list[tuple[WalkKind, datetime]] = [("changes", now), ("sweep", later), ("changes", later)]
        before, sweep, poll = (tx.walks.begin(Walk(0, TASKS, kind, None, None, {}, at, 1), live=10) for kind, at in kinds)
        tx.walks.doom(before, [gone, back], observed=1)
        tx.walks.hold(before.id)
        tx.walks.update(before.id, finished_at=now)
        tx.walks.doom(poll, [gone], observed=2)
        assert tx.walks.doomed(poll) == []
        tx.walks.lift({TASKS}, sweep)
        assert [each.key for each in tx.walks.held({TASKS})] == ["1"]
        tx.walks.update(poll.id, finished_at=later)
        tx.walks.doom(sweep, [gone], observed=3)
        another = tx.walks.begin(Walk(0, TASKS, "changes", None, None, {}, later, 1), live=10)
        tx.walks.doom(another, [gone], observed=4)
        assert [each.key for each in tx.walks.doomed(sweep)] == ["1"]


@pytest.mark.parametrize(("own", "gone"), [("1", True), (None, True), ("2", False)])
def test_a_deleted_list_proves_nothing_of_a_task_whose_own_page_shows_it_in_another(tmp_path: Path, own: str | None, gone: bool) -> None:
    """Lists may lag behind: this one shows the task where it was before."""
    bench = Bench(tmp_path)
    shown = {"id": 7, "name": "moved", "updatedAt": "2026-09-01T12:00:00Z", "tasklistId": 1, "status": "new"}
    body = {"tasks": [shown], "included": {"tasklists": {"1": {"id": 1, "name": "old", "status": "deleted"}}}}
    about = {"key": "7", "by": [*HIDDEN], "seen": False, "control": None, "tasklist": own}
    walk = Walk(1, TASKS, "sweep", None, None, {}, bench.clock.now(), 1)
    answer = Answer(200, json.dumps(body).encode(), bench.clock.now())
    with bench.store.read() as tx:
        page = bench.parts["teamwork"].source.read(walk, Call("hidden", "/tasks.json", about=about), answer, KnownTo(tx, "teamwork"))
    assert bool(page.records) is gone
    assert [want.about["seen"] for want in page.wants] == ([] if gone else [True])
    bench.close()


def test_a_page_of_tasks_that_were_not_asked_for_proves_nothing(tmp_path: Path) -> None:
    """The control is among them, and the suspect is not."""
    bench = Bench(tmp_path, tasks=20)
    bench.run("teamwork")
    control, *others = ({"id": int(key), "name": "any", "updatedAt": "2026-09-01T12:00:00Z"} for key in bench.sandbox.truth.tasks())
    about = {"key": "7", "by": [*HIDDEN], "seen": True, "control": str(control["id"])}
    walk = Walk(1, TASKS, "sweep", None, None, {}, bench.clock.now(), 1)

    def read(*tasks: Any) -> Page:
        answer = Answer(200, json.dumps({"tasks": tasks}).encode(), bench.clock.now())
        with bench.store.read() as tx:
            return bench.parts["teamwork"].source.read(walk, Call("hidden", "/tasks.json", about=about), answer, KnownTo(tx, "teamwork"))

    assert [record.gone.why for record in read(control).records if record.gone] == ["deleted"]
    with pytest.raises(Transient, match="asked for 7, the answer shows others too"):
        read(control, *others)
    bench.close()


def test_a_task_whose_list_was_deleted_is_gone_where_only_the_list_itself_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, seed=3, tasks=40, switches=replace(NO_SIDELOADS, teamwork_deleted_lists_flag=False))
    bench.run("teamwork")
    world = bench.sandbox.world.teamwork
    world.delete_tasklist(world.tasks[live_task(bench)].tasklist_id)
    sweep(bench, "teamwork")
    assert bench.differences_of("task") == []
    bench.close()


def test_a_mail_whose_place_in_the_count_was_taken_by_a_new_one_is_missed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, switches=Switches(missive_delete_lowers_count=False))
    world = bench.sandbox.world.missive
    thread = world.add_conversation(messages=1)
    mails = [world.add_message(thread, delivered_at=world.now() - 60 * number) for number in range(12)]
    bench.run("missive")
    world.delete_message(mails[2])
    world.add_message(thread)
    bench.cycle("missive")
    assert bench.differences_of("email", "missive") == []
    bench.close()


def test_a_conversation_that_is_shown_to_guests_only_is_a_control_for_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    world = bench.sandbox.world.missive
    stub, deleted = world.add_conversation(), world.add_conversation()
    bench.run("missive")
    world.revoke_access(stub, guest=True)
    world.delete_conversation(deleted)
    sweep(bench, "missive")
    assert [walk["error"] for walk in bench.walks(EMAILS)] == [None, None, None]
    bench.close()


def test_a_sweep_misses_nothing_in_a_list_without_conversations_that_are_out_of_reach(tmp_path: Path) -> None:
    bench = Bench(tmp_path, switches=Switches(missive_lost_access=403))
    world = bench.sandbox.world.missive
    lost = [world.add_conversation() for _ in range(12)]
    world.add_conversation()
    bench.run("missive")
    for thread in lost:
        world.revoke_access(thread)
    sweep(bench, "missive")
    assert [walk["error"] for walk in bench.walks(EMAILS)] == [None, None, None]
    bench.close()


HIDES = Switches(missive_permission_shortens=True)


def test_a_page_that_shows_one_conversation_of_fifty_is_not_the_last_one(tmp_path: Path) -> None:
    """Between the user's conversations lie others, which count for the limit and are left out."""
    bench = Bench(tmp_path, switches=HIDES)
    world = bench.sandbox.world.missive
    for oldest in (True, False):
        world.add_conversation(subject="mine")
        for _ in range(60 if oldest else 0):
            bench.clock.at += 1
            world.revoke_access(world.add_conversation())
        bench.clock.at += 1
    bench.run("missive")
    assert len(bench.sandbox.truth.emails()) == 2
    assert bench.differences_of("email") == []
    bench.close()


@pytest.mark.parametrize("kind", ["full", "changes"])
def test_a_list_of_messages_that_left_some_out_is_read_again_by_the_next_sweep(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path, seed=3, conversations=8)
    world = bench.sandbox.world.missive
    thread = min((row for row in world.conversations.values() if len(row.message_ids) in (3, 4)), key=lambda row: row.last_activity_at).id
    if kind != "full":
        bench.run("missive")
        for _ in range(3):  # the first of them is the third in the list
            bench.clock.at += 1
            world.add_message(thread)
    bench.sandbox.faults.at(1, Fault("rows missing"), path=f"{thread}/messages")
    bench.cycle("missive")
    assert bench.differences_of("email") != []
    with patch("syncjob.sources.missive.in_turn", return_value=[]):  # which would come to it some time
        sweep(bench, "missive")
    assert bench.differences_of("email") == []
    bench.close()


def test_a_sweep_sees_a_new_tag_that_nobody_has_named_yet(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=3, switches=Switches(teamwork_tag_bumps=False))
    bench.run("teamwork")
    bench.sandbox.world.teamwork.tag_task(live_task(bench), bench.sandbox.world.teamwork.add_tag("brand new"))
    sweep(bench, "teamwork")
    assert bench.differences_of("task") == []
    bench.close()


def test_a_tag_without_a_name_costs_one_fetch_and_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=3, switches=Switches(teamwork_tag_bumps=False, teamwork_sideloads="absent"))
    bench.run("teamwork")
    bench.sandbox.world.teamwork.tag_task(live_task(bench), bench.sandbox.world.teamwork.add_tag("brand new"))
    asked = []
    for _ in range(3):
        before = bench.requests("teamwork")
        sweep(bench, "teamwork")
        asked.append(bench.requests("teamwork") - before)
    assert asked == [asked[2] + 1, asked[2], asked[2]]
    bench.close()


def test_a_merge_that_a_sweep_finds_has_the_survivor_listed_whole(tmp_path: Path) -> None:
    """Messages of one conversation under the other's id, and an equal count: nothing else would say that one is gone."""
    bench = Bench(tmp_path, conversations=8)
    bench.run("missive")
    world = bench.sandbox.world.missive
    one, other, *_ = sorted({email["thread_id"] for email in bench.sandbox.truth.emails().values()})
    world.merge(one, into=other)
    bench.cycle("missive")
    lost = next(key for key, email in sorted(bench.sandbox.truth.emails().items()) if email["thread_id"] == other)
    world.conversations[other] = replace(world.conversations[other], miscounted=1)
    world.delete_message(lost)
    with patch("syncjob.sources.missive.in_turn", return_value=[]):  # which would come to it some time
        sweep(bench, "missive")
    assert bench.differences_of("email") == []
    bench.close()


def test_a_mail_that_a_sweep_proved_to_be_gone_is_asked_for_again_when_that_sweep_is_not_believed(tmp_path: Path) -> None:
    """Its list left out a quarter of the conversations, so nothing of what it found counts."""
    bench = Bench(tmp_path, seed=3)
    world = bench.sandbox.world.missive
    threads = []
    for _ in range(62):
        bench.clock.at += 5
        threads.append(world.add_conversation(3))
    bench.run("missive")
    bench.clock.at += 100_000
    world.delete_message(world.conversations[threads[0]].message_ids[1])
    respond, hidden = bench.sandbox.respond, set(threads[20:34])

    def left_out(request: Request) -> Response:
        response = respond(request)
        if request.path != "/v1/conversations":
            return response
        shown = [each for each in json.loads(response.body)["conversations"] if each["id"] not in hidden]
        return replace(response, body=json.dumps({"conversations": shown}).encode())

    with patch("syncjob.sources.missive.in_turn", return_value=[]):  # which would come to it some time
        with patch.object(bench.sandbox, "respond", left_out):
            sweep(bench, "missive")
        assert bench.walks(EMAILS)[-1]["wrong"]
        assert bench.differences_of("email") != []
        sweep(bench, "missive")
    assert bench.differences_of("email") == []
    bench.close()


def test_a_count_that_is_wrong_for_ever_costs_two_more_lists_and_no_other(bench: Bench) -> None:
    world, thread = bench.sandbox.world.missive, live_thread(bench)
    world.conversations[thread] = replace(world.conversations[thread], miscounted=2)
    world.add_message(thread)
    asked = []
    with patch("syncjob.sources.missive.in_turn", return_value=[]):
        for look in (bench.cycle, *[partial(sweep, bench)] * 3):
            before = len(bench.sandbox.requests("missive"))
            look("missive")
            asked.append(sum(f"{thread}/messages" in each.path for each in bench.sandbox.requests("missive")[before:]))
    assert asked == [2, 2, 2, 0]  # a page, and that nothing is behind it
