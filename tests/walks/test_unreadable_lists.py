"""A page that fails whenever it is asked for keeps nothing waiting but what only it would tell, and never makes anything look deleted."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from syncjob.core.errors import Limited, SyncjobError, Transient
from syncjob.core.model import EMAILS, TASKS, Answer, Call, WalkKind
from syncjob.sandbox import Fault, Switches
from syncjob.sources import missive, teamwork

from .bench import Bench

STREAMS = {"teamwork": TASKS, "missive": EMAILS}
FAULTS = ("500 html", "403", "login page")
OPTIONAL = [
    ("missive", "trashed=true", "list of trashed conversations"),
    ("missive", "junked=true", "list of junked conversations"),
    ("teamwork", "deletedOnly=true", "list of deleted tasks"),
]
"""Whose list, how it is asked for, and the letter that tells of it."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, seed=4, tasks=60, conversations=60, tick=0.3)
    bench.run()
    yield bench
    bench.close()


def cycles(bench: Bench, name: str, count: int, *, sweep: bool = False, wait: float = 61) -> list[str]:
    """So many cycles; what each said. None of them makes anything look deleted that is there."""
    bench.parts[name]._rhythm = replace(bench.rhythm, sweep_asked=sweep)
    told = []
    for _ in range(count):
        change(bench, name)
        try:
            bench.cycle(name, wait=wait)
            told.append("")
        except SyncjobError as error:
            told.append(error.message)
        assert falsely_deleted(bench) == set()
    return told


def falsely_deleted(bench: Bench) -> set[str]:
    truth = bench.sandbox.truth.tasks().keys() | bench.sandbox.truth.emails().keys()
    return {row.key for row in bench.feed() if row.deleted_at} & truth


def change(bench: Bench, name: str) -> None:
    """Something new, so that a poll has something to find."""
    if name == "teamwork":
        bench.sandbox.world.teamwork.edit_task(int(min(bench.sandbox.truth.tasks())), name=f"edited at {bench.clock.at}")
    else:
        bench.sandbox.world.missive.add_message(min(email["thread_id"] for email in bench.sandbox.truth.emails().values()))


def letters(bench: Bench) -> list[str]:
    with sqlite3.connect(bench.folder / "mirror.db") as connection:
        return [key for (key,) in connection.execute("SELECT key FROM dead_letters ORDER BY key")]


def checkpoint(bench: Bench, name: str) -> datetime:
    with bench.store.read() as tx:
        return tx.walks.stream(STREAMS[name])["checkpoint"]


def delete_one(bench: Bench, name: str) -> str:
    """Delete what was deleted in no other way before."""
    if name == "teamwork":
        key = max(bench.sandbox.truth.tasks())
        bench.sandbox.world.teamwork.delete_task(int(key))
        return key
    key = max(email["thread_id"] for email in bench.sandbox.truth.emails().values())
    bench.sandbox.world.missive.trash(key)
    return key


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("name", "query", "letter"), OPTIONAL)
def test_a_list_that_a_walk_can_do_without_holds_nothing(bench: Bench, name: str, query: str, letter: str, fault: str) -> None:
    bench.sandbox.faults.always("", Fault(fault), face=name, query=query)
    before, start = checkpoint(bench, name), len(bench.sandbox.log)
    told = cycles(bench, name, 9)
    assert [bool(each) for each in told[-4:]] == [False] * 4
    assert letters(bench) == [letter]
    assert checkpoint(bench, name) > before
    what = "task" if name == "teamwork" else "email"
    assert bench.differences_of(what) == []

    asked = [each for each in bench.sandbox.log[start:] if query.partition("=")[0] in each.params]
    assert len(asked) == 3, "when it is known, it is asked for every 15 minutes"

    delete_one(bench, name)
    cycles(bench, name, 4, sweep=True)  # which needs the list of what is in the trash no more than a poll does
    assert bench.differences_of(what) == []
    assert letters(bench) == ([letter] if name == "teamwork" else [letter, f"{letter}, whole"])

    bench.sandbox.faults.clear()
    cycles(bench, name, 2, wait=3600)
    cycles(bench, name, 1, sweep=True)
    assert letters(bench) == []


def test_an_outage_skips_nothing_and_asks_little(bench: Bench) -> None:
    bench.sandbox.faults.always("", Fault("500 html"))
    for name in STREAMS:
        before = bench.requests(name)
        assert all(cycles(bench, name, 8))
        assert bench.requests(name) - before <= 8 * 2
    assert letters(bench) == []
    bench.sandbox.faults.clear()
    bench.settle()
    assert bench.differences() == []


def test_a_list_that_fails_for_a_while_is_asked_again(bench: Bench) -> None:
    bench.sandbox.faults.always("", Fault("500 html"), query="deletedOnly=true")
    assert all(cycles(bench, "teamwork", 2))
    assert letters(bench) == []
    delete_one(bench, "teamwork")
    bench.sandbox.faults.clear()
    assert cycles(bench, "teamwork", 2) == ["", ""]
    assert bench.differences_of("task") == []


def test_a_clock_that_is_wrong_is_told_of_in_every_cycle(bench: Bench) -> None:
    bench.sandbox.faults.always("", Fault("date skewed", hours=30))
    assert all("the server says that it is" in told for name in STREAMS for told in cycles(bench, name, 6))
    assert letters(bench) == []


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("changes", r"^updatedAfter=.*pageSize=250\b"),
        ("sweep", r"^includeCompleted.*pageSize=(500|100)\b"),
        ("full", r"^includeCompleted.*pageSize=250\b"),
    ],
)
def test_pages_that_are_too_much_for_a_server_become_smaller(bench: Bench, kind: str, query: str) -> None:
    bench.rhythm = replace(bench.rhythm, full_asked=kind == "full")
    bench.sandbox.faults.always(r"/tasks\.json", Fault("500 html"), query=query)
    assert [bool(each) for each in cycles(bench, "teamwork", 3, sweep=kind == "sweep")] == [True, True, False]
    assert [walk["complete"] for walk in bench.walks(TASKS) if walk["kind"] == kind][-1]
    assert bench.differences_of("task") == []
    assert letters(bench) == []


def test_where_small_pages_fail_as_well_a_walk_goes_on_in_pages_of_the_usual_size(bench: Bench) -> None:
    bench.sandbox.faults.always(r"/tasks\.json", Fault("500 html"), query="^includeCompleted")
    assert all(cycles(bench, "teamwork", 5, sweep=True))
    bench.sandbox.faults.clear()
    cycles(bench, "teamwork", 1)
    assert next(each for each in reversed(bench.sandbox.requests("teamwork")) if "fields[tasks]" in each.params).params["pageSize"] == "500"
    assert bench.walks(TASKS)[-1]["complete"]
    assert bench.differences_of("task") == []


@pytest.mark.parametrize(
    ("kind", "at_first", "then"),
    [
        ("changes", "^updatedAfter=", r"^updatedAfter=.*pageSize=250\b"),
        ("sweep", "^includeCompleted", r"^includeCompleted.*pageSize=500\b"),
    ],
)
def test_a_list_that_can_be_read_again_in_small_pages_alone_is_read(bench: Bench, kind: str, at_first: str, then: str) -> None:
    bench.sandbox.faults.always(r"/tasks\.json", Fault("500 html"), query=at_first)
    assert all(cycles(bench, "teamwork", 5, sweep=kind == "sweep"))
    assert letters(bench)
    bench.sandbox.faults.clear()
    bench.sandbox.faults.always(r"/tasks\.json", Fault("500 html"), query=then)
    start = bench.clock.now()
    cycles(bench, "teamwork", 20)
    assert any(walk["complete"] and walk["finished_at"] > start for walk in bench.walks(TASKS) if walk["kind"] == kind)


def test_one_failure_sends_no_walk_back_to_the_first_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teamwork, "GLIMPSE_SIZE", 10)
    bench = Bench(tmp_path, tasks=5)
    bench.sandbox.world.make_ties(TASKS, 60)
    bench.run("teamwork")
    bench.sandbox.faults.always(r"/tasks\.json", Fault("500 html"), query="^includeCompleted")
    assert all(cycles(bench, "teamwork", 4, sweep=True))
    bench.sandbox.faults.clear()
    bench.clock.at += 61

    def position() -> Any:
        return next(walk["position"] for walk in bench.walks(TASKS) if walk["kind"] == "sweep")

    while position().get("page") != 4:
        assert bench.parts["teamwork"].step() is None
    before = position()
    bench.sandbox.faults.at(1, Fault("500 html"))
    with pytest.raises(Transient):
        bench.parts["teamwork"].step()
    assert position() == before
    bench.close()


def test_each_list_has_its_own_three_runs(bench: Bench) -> None:
    bench.sandbox.faults.always(r"/tasks\.json", Fault("500 html"), query="^updatedAfter=")
    cycles(bench, "teamwork", 2)
    bench.sandbox.faults.always(r"/tasks\.json", Fault("500 html"), query="deletedOnly=true")
    cycles(bench, "teamwork", 1)
    assert letters(bench) == ["list of tasks"]


def test_where_everything_is_refused_no_list_is_put_aside(bench: Bench) -> None:
    bench.sandbox.faults.always("", Fault("403"))
    for name in STREAMS:
        assert all(cycles(bench, name, 7))
    assert letters(bench) == []


def test_where_whose_key_it_is_is_never_told_a_list_is_put_aside_all_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=20)
    bench.sandbox.faults.always(r"/me\.json", Fault("403"))
    bench.run("teamwork")
    bench.sandbox.faults.always("", Fault("403"), query="deletedOnly=true")
    cycles(bench, "teamwork", 4)
    assert letters(bench) == ["list of deleted tasks"]
    bench.close()


def test_too_many_requests_say_nothing_of_a_page(bench: Bench) -> None:
    ask = bench.parts["teamwork"]._ask

    def limited(call: Call, urgency: WalkKind) -> Answer:
        if call.name == "list":
            raise Limited("too many requests")
        return ask(call, urgency)

    bench.parts["teamwork"]._ask = limited
    assert cycles(bench, "teamwork", 6) == ["too many requests"] * 6
    assert letters(bench) == []


def test_an_outage_does_not_count_as_failures_of_the_page_that_was_next(bench: Bench) -> None:
    bench.sandbox.faults.always("", Fault("500 html"))
    cycles(bench, "teamwork", 7)
    bench.sandbox.faults.clear()
    bench.sandbox.faults.always("", Fault("500 html"), query="deletedOnly=true")
    assert all(cycles(bench, "teamwork", 2))
    assert letters(bench) == []


@pytest.mark.parametrize(("name", "path", "query"), [("missive", "/conversations$", "until="), ("teamwork", r"/tasks\.json", "page=2")])
def test_what_a_poll_can_read_does_not_wait_for_a_page_that_it_cannot(
    bench: Bench, name: str, path: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missive, "LIST_LIMIT", 5)
    monkeypatch.setattr(teamwork, "PAGE_SIZE", 5)
    for key in sorted({email["thread_id"] for email in bench.sandbox.truth.emails().values()})[:9]:
        bench.sandbox.world.missive.add_message(key)
        bench.clock.at += 1
    for key in sorted(bench.sandbox.truth.tasks())[:9]:
        bench.sandbox.world.teamwork.edit_task(int(key), name="edited")
    before = checkpoint(bench, name)
    bench.sandbox.faults.always(path, Fault("500 html"), face=name, query=query)
    told = cycles(bench, name, 5)
    assert all(told[:2])
    assert all(told[3:]), "each says so"
    incomplete = [walk for walk in bench.walks(STREAMS[name]) if walk["finished_at"] and walk["error"]]
    assert len(incomplete) >= 3
    assert "could not be read to the end" in incomplete[-1]["error"]
    assert checkpoint(bench, name) == before
    newest = max(bench.sandbox.world.missive.conversations.values(), key=lambda each: each.last_activity_at) if name == "missive" else None
    if newest:
        shown = {email["thread_id"] for email in bench.held(EMAILS).values()}
        assert newest.id in shown
        assert not any(newest.id in line for line in bench.differences_of("email"))
    assert letters(bench) == ["list of all conversations" if newest else "list of tasks"]

    bench.sandbox.faults.clear()
    cycles(bench, name, 2)
    assert bench.differences_of("task" if name == "teamwork" else "email") == []
    assert letters(bench) == []
    assert checkpoint(bench, name) != before


def test_a_first_load_takes_in_what_it_can_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missive, "LIST_LIMIT", 5)
    bench = Bench(tmp_path, conversations=20)
    bench.sandbox.faults.always("/conversations$", Fault("500 html"), query="until=")
    for _ in range(6):
        with suppress(Transient):
            bench.cycle("missive")
    assert len({email["thread_id"] for email in bench.held(EMAILS).values()}) == 5
    bench.sandbox.faults.clear()
    bench.settle("missive")
    assert bench.differences_of("email") == []
    assert [walk["complete"] for walk in bench.walks(EMAILS) if walk["kind"] == "full"] == [True]
    bench.close()


@pytest.mark.parametrize("section", ["tags", "projects"])
def test_a_directory_that_always_fails_makes_no_rows_without_names(tmp_path: Path, section: str) -> None:
    bench = Bench(tmp_path, tasks=30, switches=Switches(teamwork_sideloads="absent"))
    world = bench.sandbox.world.teamwork
    bench.run("teamwork")
    before, key = bench.held(TASKS), min(bench.sandbox.truth.tasks())
    bench.sandbox.faults.always(rf"/{section}\.json", Fault("500 html"))
    world.tag_task(int(key), world.add_tag("brand new"))
    world.move_task(int(key), world.add_tasklist("New list", world.add_project("New project")))
    assert all(cycles(bench, "teamwork", 6))
    assert bench.held(TASKS).keys() == before.keys()
    bench.sandbox.faults.clear()
    cycles(bench, "teamwork", 2, sweep=True)
    assert bench.differences_of("task") == []
    assert letters(bench) == []
    bench.close()


def test_a_task_whose_own_page_always_fails_stops_no_list_that_continues_from_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teamwork, "PAGE_SIZE", 5)
    keys = sorted(bench.sandbox.truth.tasks())[:12]
    for key in keys:
        bench.clock.at += 5
        bench.sandbox.world.teamwork.edit_task(int(key), name="edited")
    bench.clock.at += 61
    while "from" not in (position := bench.walks(TASKS)[-1]["position"]):
        bench.parts["teamwork"].step()
    bench.sandbox.world.teamwork.edit_task(int(position["from"]), name="moved")
    bench.sandbox.faults.always(rf"/tasks/{position['from']}\.json", Fault("500 html"))
    assert [bool(each) for each in cycles(bench, "teamwork", 4)] == [True, True, False, False]
    assert bench.differences_of("task") == []
    assert bench.walks(TASKS)[-1]["complete"]
