"""What one answer, or a change at an awkward moment, could leave behind: the next sweep finds it, or the walk says what it lacks."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from syncjob.core.errors import SyncjobError
from syncjob.core.model import EMAILS, TASKS
from syncjob.core.steps import Rhythm
from syncjob.delivery import DestinationPart
from syncjob.sandbox import Fault, Request, Response, Switches
from syncjob.sandbox.missive.things import User
from tests.contracts.memory import MemoryDestination

from .bench import POLL, Bench

SPRING, SUMMER, AUTUMN = date(2026, 1, 1), date(2026, 7, 1), date(2026, 9, 30)
"""It is the first of September."""


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Any]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(tmp_path, seed=3, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def ask(bench: Bench, rhythm: Rhythm, face: str = "missive") -> None:
    """One cycle in which a person asks for something."""
    bench.rhythm = rhythm
    bench.reopen()
    with suppress(SyncjobError):
        bench.cycle(face)
    bench.rhythm = Rhythm(POLL)


def sweep(bench: Bench, face: str = "missive") -> None:
    ask(bench, Rhythm(POLL, sweep_asked=True), face)


def resync(bench: Bench) -> None:
    ask(bench, Rhythm(POLL, full_asked=True))


def deliver(bench: Bench, destination: MemoryDestination) -> None:
    part = DestinationPart(destination, bench.store, bench.clock)
    while part.step() is None:
        pass


def step_until_a_walk(bench: Bench, **found: Any) -> None:
    """Go on until there is a walk like this, under way."""
    while not any(walk["finished_at"] is None and found.items() <= walk.items() for walk in bench.walks(EMAILS)):
        bench.parts["missive"].step()


def threads(bench: Bench, count: int, messages: int = 3) -> list[str]:
    """So many conversations, a minute apart, and all read."""
    keys = []
    for _ in range(count):
        bench.clock.at += 60
        keys.append(bench.sandbox.world.missive.add_conversation(messages=messages))
    bench.run("missive")
    bench.clock.at += 600
    return keys


@pytest.mark.parametrize(("face", "what", "count"), [("missive", "email", {"conversations": 40}), ("teamwork", "task", {"tasks": 600})])
def test_a_date_that_moves_back_during_a_backfill_lets_all_in(make_bench: Any, face: str, what: str, count: dict[str, int]) -> None:
    bench = make_bench(**count, process_after=SUMMER)
    for _ in range(30 if face == "missive" else 3):
        bench.parts[face].step()
    bench.process_after = SPRING
    bench.reopen()
    bench.run(face)
    assert bench.differences_of(what) == []


@pytest.mark.parametrize("first", [SPRING, None])
@pytest.mark.parametrize(("face", "what"), [("missive", "email"), ("teamwork", "task")])
def test_a_date_that_moves_forward_and_back_keeps_nothing_out(make_bench: Any, first: date | None, face: str, what: str) -> None:
    bench = make_bench(process_after=first)
    bench.run(face)
    bench.process_after = AUTUMN
    bench.reopen()
    bench.sandbox.world.teamwork.add_task("met with the later date")
    bench.sandbox.world.missive.add_conversation(messages=2)
    for _ in range(2):
        bench.cycle(face, wait=3600)
    assert bench.differences_of(what) == []
    bench.process_after = first
    bench.reopen()
    bench.cycle(face)
    assert bench.differences_of(what) == []


@pytest.mark.parametrize(("face", "stream", "count"), [("missive", EMAILS, {"conversations": 8}), ("teamwork", TASKS, {"tasks": 30})])
def test_what_a_destination_holds_from_before_the_date_stays_current_in_a_new_mirror(
    make_bench: Any, tmp_path: Path, face: str, stream: str, count: dict[str, int]
) -> None:
    bench = make_bench(**count)
    bench.run(face)
    destination = MemoryDestination("memory", bench.clock)
    deliver(bench, destination)
    before = list(destination.live(stream))
    bench.store.close()
    shutil.rmtree(tmp_path / "spool")
    (tmp_path / "mirror.db").unlink()
    bench.process_after = AUTUMN
    bench.open()
    bench.run(face)
    deliver(bench, destination)
    gone, *_, edited = before
    if face == "teamwork":
        bench.sandbox.world.teamwork.delete_task(int(gone))
        bench.sandbox.world.teamwork.edit_task(int(edited), name="edited now")
    else:
        bench.sandbox.world.missive.delete_message(gone)
        bench.sandbox.world.missive.edit_message(edited, subject="edited now")
    for _ in range(2):
        sweep(bench, face)
        deliver(bench, destination)
    was, now = destination.rows(stream, keys=[gone]), destination.rows(stream, keys=[edited])
    assert [row["deleted"] for row in was] == [True]
    assert ["edited now" in row.values() for row in now] == [True]


def test_what_a_destination_holds_from_before_the_date_is_fetched_by_the_hundred(make_bench: Any, tmp_path: Path) -> None:
    bench = make_bench(tasks=150)
    bench.run("teamwork")
    destination = MemoryDestination("memory", bench.clock)
    deliver(bench, destination)
    bench.store.close()
    shutil.rmtree(tmp_path / "spool")
    (tmp_path / "mirror.db").unlink()
    bench.process_after = AUTUMN
    bench.open()
    bench.run("teamwork")
    deliver(bench, destination)
    before = len(bench.sandbox.log)
    sweep(bench, "teamwork")
    assert bench.walks(TASKS)[-1]["complete"]
    assert len(bench.sandbox.log) - before <= 5
    with bench.store.read() as tx:
        assert tx.strangers.some(TASKS) == []


def test_a_poll_that_goes_on_with_a_later_date_keeps_nothing_out_for_good(make_bench: Any) -> None:
    bench = make_bench()
    threads(bench, 3)
    bench.sandbox.world.missive.add_conversation(messages=2)
    bench.clock.at += 61
    step_until_a_walk(bench, kind="changes")
    bench.process_after = AUTUMN
    bench.reopen()
    while any(walk["finished_at"] is None for walk in bench.walks(EMAILS)):
        bench.parts["missive"].step()
    bench.process_after = None
    bench.reopen()
    bench.cycle("missive", wait=900)
    assert bench.differences_of("email") == []


@pytest.mark.parametrize("face", ["missive", "teamwork"])
def test_a_list_that_is_always_empty_costs_one_look_up(make_bench: Any, face: str) -> None:
    bench = make_bench(tasks=40, conversations=20)
    bench.run(face)
    respond = bench.sandbox.respond

    def left_out(request: Request) -> Response:
        response = respond(request)
        if not request.path.endswith(("/tasks.json", "/conversations")) or "ids" in request.params:
            return response
        payload = json.loads(response.body)
        return replace(response, body=json.dumps(payload | {name: [] for name in ("tasks", "conversations") if name in payload}).encode())

    with patch.object(bench.sandbox, "respond", left_out):
        for _ in range(3):
            before = len(bench.sandbox.log)
            sweep(bench, face)
            assert len(bench.sandbox.log) - before <= 12
            assert "showed nothing" in bench.walks(EMAILS if face == "missive" else TASKS)[-1]["error"]


def test_a_resync_asked_for_while_another_full_walk_is_open_comes_after_it(make_bench: Any) -> None:
    bench = make_bench(conversations=12, process_after=SUMMER, switches=Switches(missive_edit_moves_updated_at=False))
    bench.run("missive")
    edit_in_secret(bench, sorted(bench.sandbox.truth.emails(SUMMER))[:1])
    bench.process_after = SPRING
    bench.reopen()
    step_until_a_walk(bench, kind="full")
    resync(bench)
    assert bench.differences_of("email") == []


def edit_in_secret(bench: Bench, mails: list[str]) -> None:
    """Change mails in a way that no list shows: they differ below what a preview holds."""
    for end in ("", "changed at the end"):
        if end:
            resync(bench)
        for mail in mails:
            bench.sandbox.world.missive.edit_message(mail, body="<p>" + "same words " * 30 + end + "</p>")


def test_a_resync_reads_again_what_becomes_active_before_its_turn(make_bench: Any) -> None:
    bench = make_bench(switches=Switches(missive_edit_moves_updated_at=False))
    keys = threads(bench, 12)
    missive = bench.sandbox.world.missive
    edit_in_secret(bench, [missive.conversations[key].message_ids[-1] for key in (keys[3], keys[8])])
    bench.clock.at += 61
    bench.rhythm = Rhythm(POLL, full_asked=True)
    bench.reopen()
    step_until_a_walk(bench, kind="full", listed=True)
    missive.add_comment(keys[3])
    bench.cycle("missive")
    assert bench.differences_of("email") == []


def test_a_mail_whose_body_is_refused_once_is_asked_for_again(make_bench: Any) -> None:
    bench = make_bench()
    key = threads(bench, 3)[1]
    mail = bench.sandbox.world.missive.add_message(key)
    respond, hit = bench.sandbox.respond, []

    def refused_once(request: Request) -> Response:
        response = respond(request)
        if not request.path.endswith(f"/messages/{mail}") or hit:
            return response
        hit.append(request)
        return replace(response, status=400, body=b"<html>400 Bad Request</html>")

    with patch.object(bench.sandbox, "respond", refused_once), suppress(SyncjobError):
        bench.cycle("missive")
    assert hit
    bench.cycle("missive", wait=301)
    assert bench.differences_of("email") == []


def test_a_mail_whose_look_up_is_refused_once_is_suspected_again(make_bench: Any) -> None:
    bench = make_bench()
    missive = bench.sandbox.world.missive
    gone = missive.conversations[threads(bench, 12)[9]].message_ids[1]
    missive.delete_message(gone)
    bench.sandbox.faults.at(1, Fault("403"), path=f"/v1/messages/{gone}")
    sweep(bench)
    assert bench.sandbox.faults.rules[0].times == 0
    sweep(bench)
    assert bench.differences_of("email") == []


def test_a_mail_whose_look_up_is_always_refused_costs_a_quiet_poll_nothing(make_bench: Any) -> None:
    bench = make_bench()
    missive, key = bench.sandbox.world.missive, threads(bench, 12)[9]
    gone = missive.conversations[key].message_ids[1]
    missive.delete_message(gone)
    missive.add_comment(key)
    bench.sandbox.faults.always(f"/v1/messages/{gone}", Fault("403"))
    bench.cycle("missive", wait=600)
    before = len(bench.sandbox.log)
    bench.cycle("missive", wait=600)
    assert len(bench.sandbox.log) - before == 2
    assert gone in bench.held(EMAILS)


def test_messages_that_two_lists_left_out_are_found_by_the_next(make_bench: Any) -> None:
    bench = make_bench()
    key = threads(bench, 3)[1]
    for _ in range(5):
        bench.sandbox.world.missive.add_message(key)
    bench.sandbox.faults.always(f"/v1/conversations/{key}/messages", Fault("rows missing"))
    bench.cycle("missive")
    with patch("syncjob.sources.missive.in_turn", return_value=[]):
        sweep(bench)
        bench.sandbox.faults.clear()
        assert bench.differences_of("email") != []
        sweep(bench)
    assert bench.differences_of("email") == []


def test_what_went_from_the_trash_is_found_though_its_conversation_came_back_during_a_sweep(make_bench: Any) -> None:
    bench = make_bench(switches=Switches(missive_delete_lowers_count=False))
    missive, keys = bench.sandbox.world.missive, threads(bench, 12)
    missive.trash(keys[5])
    sweep(bench)
    missive.delete_message(missive.conversations[keys[5]].message_ids[0])

    def take_out(request: Request) -> None:
        if "junked" in request.params and missive.conversations[keys[5]].flags[missive.me].trashed:
            missive.untrash(keys[5])

    bench.clock.at += 61
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    step_until_a_walk(bench, kind="sweep")
    bench.sandbox.before_request.append(take_out)
    bench.run("missive")
    assert not missive.conversations[keys[5]].flags[missive.me].trashed
    with patch("syncjob.sources.missive.in_turn", return_value=[]):  # which would come to it some time
        sweep(bench)
    assert bench.differences_of("email") == []


def test_messages_that_no_list_can_show_do_not_keep_sweeps_from_finding_what_is_gone(make_bench: Any) -> None:
    bench = make_bench(switches=Switches(missive_ties="cut"))
    missive, keys = bench.sandbox.world.missive, threads(bench, 20)
    for _ in range(12):
        missive.add_message(keys[3], delivered_at=missive.now())
    bench.settle("missive")
    missive.delete_conversation(keys[8])
    bench.clock.at += 600
    for _ in range(2):
        sweep(bench)
        assert "more than 10 messages of conversation" in bench.walks(EMAILS)[-1]["error"]
        assert [line for line in bench.differences_of("email") if "too many" in line] == []


def test_tasks_that_no_list_shows_do_not_keep_sweeps_from_finding_what_is_gone(make_bench: Any) -> None:
    bench = make_bench(tasks=400)
    bench.run("teamwork")
    teamwork = bench.sandbox.world.teamwork
    projects = Counter(teamwork.project_of(teamwork.tasks[int(key)]).id for key in bench.sandbox.truth.tasks())
    unlisted, gone, *_ = (project for project, count in projects.most_common() if count >= 10)
    teamwork._change_project(unlisted, template=True)
    teamwork.delete_project(gone)
    sweep(bench, "teamwork")
    assert "showed nothing of 10 records that are there" in bench.walks(TASKS)[-1]["error"]
    sweep(bench, "teamwork")
    kept = {key for key in bench.held(TASKS) if teamwork.project_of(teamwork.tasks[int(key)]).id in (gone, unlisted)}
    assert {teamwork.project_of(teamwork.tasks[int(key)]).id for key in kept} == {unlisted}
    assert bench.walks(TASKS)[-1]["error"] is None


@pytest.mark.parametrize("status", [404, 403])
@pytest.mark.parametrize("guest", [True, False])
def test_what_cannot_be_listed_does_not_take_the_turn_of_others(make_bench: Any, status: int, *, guest: bool) -> None:
    bench = make_bench(switches=Switches(missive_late_import="own date", missive_lost_access=status))
    missive, keys = bench.sandbox.world.missive, threads(bench, 6, messages=2)
    missive.revoke_access(keys[0], guest=guest)
    sweep(bench)
    for key in keys[1:]:
        gone = missive.messages[missive.conversations[key].message_ids[0]]
        missive.delete_message(gone.id)
        missive.add_message(key, delivered_at=gone.delivered_at)
    for _ in keys:
        sweep(bench)
    kept = {row.key for row in bench.feed() if row.stream == EMAILS and row.data and row.data["thread_id"] == keys[0]}
    assert [line for line in bench.differences_of("email") if line.split()[1] not in kept] == []


def test_what_lies_below_a_page_of_messages_that_cannot_be_read_is_read(make_bench: Any) -> None:
    bench = make_bench()
    key = threads(bench, 2, messages=1)[0]
    mails = []
    for _ in range(20):
        bench.clock.at += 60
        mails.append(bench.sandbox.world.missive.add_message(key))
    respond = bench.sandbox.respond

    def spoil(request: Request) -> Response:
        response = respond(request)
        if "/messages" not in request.path:
            return response
        payload = json.loads(response.body)
        for row in payload["messages"] if isinstance(payload["messages"], list) else [payload["messages"]]:
            row["attachments"] = [{"id": 7}] if row["id"] in mails[8:] else row["attachments"]
        return replace(response, body=json.dumps(payload).encode())

    with patch.object(bench.sandbox, "respond", spoil):
        bench.cycle("missive")
    assert set(mails[:8]) <= bench.held(EMAILS).keys()
    with bench.store.read() as tx:
        assert {each.key for each in tx.letters.find()} == set(mails[8:])


def test_what_lies_below_a_page_of_conversations_that_cannot_be_read_is_read(make_bench: Any) -> None:
    bench = make_bench(switches=Switches(missive_conversation_limit=10))
    keys = threads(bench, 25, messages=1)
    mail = bench.sandbox.world.missive.add_message(keys[2])
    for key in keys[10:]:
        bench.clock.at += 1
        bench.sandbox.world.missive.add_comment(key)
    respond = bench.sandbox.respond

    def spoil(request: Request) -> Response:
        response = respond(request)
        payload = json.loads(response.body)
        for row in payload.get("conversations", ()):
            row["shared_labels"] = 7 if row["id"] in keys[10:] else row["shared_labels"]
        return replace(response, body=json.dumps(payload).encode())

    with patch.object(bench.sandbox, "respond", spoil):
        sweep(bench)
    assert mail in bench.held(EMAILS)


@pytest.mark.parametrize("missive_all_includes_trash", [True, False])
def test_the_user_of_the_key_is_found_among_hundreds(make_bench: Any, *, missive_all_includes_trash: bool) -> None:
    bench = make_bench(switches=Switches(missive_all_includes_trash=missive_all_includes_trash))
    missive = bench.sandbox.world.missive
    others = [User(missive.new_id(), f"Somebody {number}", f"somebody{number}@acme.test") for number in range(450)]
    missive.users = {**{each.id: each for each in others}, **missive.users}
    keys = threads(bench, 6, messages=2)
    with bench.store.read() as tx:
        assert tx.walks.source("missive")["identity"] == f"missive user {missive.me}"
    missive.trash(keys[2])
    bench.settle("missive")
    assert bench.differences_of("email") == []
