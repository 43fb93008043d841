"""One record, name or page that comes in an odd shape every time keeps nothing else from being read, and nothing that is gone alive."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syncjob.core.errors import SyncjobError
from syncjob.core.model import EMAILS, TASKS
from syncjob.sandbox import Request, Response, Switches

from .bench import Bench
from .test_postponed import dead, never_answered, swept

ODD = (7, ["x"], {"x": 1}, None)


def reshaped(bench: Bench, change: Callable[[Any], None], where: Callable[[Request], bool] = lambda _: True) -> None:
    """Change what the sandbox answers from here on."""
    respond = bench.sandbox.respond

    def changed(request: Request) -> Response:
        response = respond(request)
        if response.status != 200 or not where(request):
            return response
        found = json.loads(response.body)
        change(found)
        return replace(response, body=json.dumps(found).encode())

    bench.sandbox.respond = changed  # type: ignore[method-assign]


@pytest.mark.parametrize("time", [None, "absent"])
def test_a_conversation_that_never_says_when_it_was_active_stops_nothing(tmp_path: Path, time: str | None) -> None:
    bench = Bench(tmp_path, conversations=10)
    bench.run("missive")
    odd, busy, gone, *_ = sorted({email["thread_id"] for email in bench.sandbox.truth.emails().values()})

    def change(found: Any) -> None:
        for row in found.get("conversations", ()):
            if row["id"] == odd:
                row["last_activity_at"] = time
                if time:
                    del row["last_activity_at"]

    reshaped(bench, change)
    bench.sandbox.world.missive.add_message(busy)
    bench.sandbox.world.missive.delete_conversation(gone)
    assert swept(bench, "missive", cycles=3) == [True]
    assert bench.differences_of("email") == []
    with bench.store.read() as tx:
        assert tx.walks.stream(EMAILS)["checkpoint"] == bench.clock.now()
    bench.close()


def test_deleted_tasks_that_are_shown_without_their_names_are_deleted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=30)
    bench.run("teamwork")
    bench.sandbox.world.teamwork.delete_task(int(min(bench.held(TASKS))))

    def change(found: Any) -> None:
        kept = ("id", "status", "updatedAt", "deletedAt")
        found["tasks"] = [{name: row[name] for name in kept if name in row} for row in found["tasks"]]

    reshaped(bench, change, lambda request: "deletedOnly" in request.params)
    bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("section", "field"), [("users", "firstName"), ("tasklists", "project"), ("projects", "name"), ("tags", "name")])
def test_an_odd_name_breaks_no_page_that_shows_it(tmp_path: Path, section: str, field: str, odd: object) -> None:
    bench = Bench(tmp_path, seed=3, tasks=40)
    bench.run("teamwork")
    key, *_ = sorted(bench.held(TASKS))

    def change(found: Any) -> None:
        for entry in (found.get("included") or {}).get(section, {}).values():
            entry[field] = odd
            entry.pop("projectId", None)

    reshaped(bench, change)
    bench.sandbox.world.teamwork.edit_task(int(key), name="edited")
    bench.cycle("teamwork")
    assert bench.held(TASKS)[key]["title"] == "edited"
    assert dead(bench) == []
    bench.close()


def test_a_directory_that_gives_the_same_page_for_ever_is_read_to_an_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=30, switches=Switches(teamwork_sideloads="partial"))
    bench.run("teamwork")
    world = bench.sandbox.world.teamwork

    def change(found: Any) -> None:
        found["meta"]["page"]["hasMore"] = True

    def first_page(request: Request) -> None:
        if request.path.endswith("/tags.json"):
            request.params["page"] = "1"  # type: ignore[index]

    bench.sandbox.before_request.append(first_page)
    reshaped(bench, change, lambda request: request.path.endswith("/tags.json"))
    key = min(bench.held(TASKS))
    world.tag_task(int(key), world.add_tag("brand new"))
    before = bench.requests("teamwork")
    bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    assert bench.requests("teamwork") - before < 8
    bench.close()


def test_a_task_of_which_nobody_can_tell_whether_it_is_hidden_keeps_no_sweep_from_ending(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=60, switches=Switches(teamwork_hide_deleted=False))
    bench.run("teamwork")
    odd, *_, gone = sorted(bench.held(TASKS))
    bench.sandbox.world.teamwork.purge_task(int(gone))

    def change(found: Any) -> None:
        found["tasks"] = [row for row in found["tasks"] if str(row["id"]) != odd]

    reshaped(bench, change, lambda request: request.path.endswith("/tasks.json"))
    never_answered(bench, "teamwork", lambda call: call.name == "hidden" and call.about["key"] == odd)
    assert swept(bench, "teamwork") == [True]
    assert dead(bench) == [("hidden", odd)]
    assert bench.differences_of("task") == []
    bench.close()


def test_a_look_up_that_always_fails_is_put_aside_and_asked_for_by_the_next_sweep(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=30, switches=Switches(teamwork_restore_bumps=False))
    bench.run("teamwork")
    key = min(bench.held(TASKS))
    world = bench.sandbox.world.teamwork
    world.delete_task(int(key))
    bench.cycle("teamwork")
    world.restore_task(int(key))
    never_answered(bench, "teamwork", lambda call: call.name == "look_up" and key in call.path)
    assert swept(bench, "teamwork") == [True]
    assert dead(bench) == [("look_up", key)]
    with suppress(SyncjobError):
        bench.cycle("teamwork", wait=300)
    assert dead(bench) == [("look_up", key)]
    bench.reopen()
    swept(bench, "teamwork", cycles=2)
    assert bench.differences_of("task") == []
    assert dead(bench) == []
    bench.close()


def test_a_page_with_few_fields_empties_no_row_though_a_deleted_task_is_on_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=20)
    bench.run("teamwork")
    edited, deleted, *_ = sorted(bench.held(TASKS))
    bench.sandbox.world.teamwork.edit_task(int(edited), name="edited")
    titles = {key: row["title"] for key, row in bench.held(TASKS).items()}

    def change(found: Any) -> None:
        rows = [{name: row[name] for name in ("id", "status", "updatedAt", "tasklistId") if name in row} for row in found["tasks"]]
        found["tasks"] = [*rows, {"id": int(deleted), "status": "deleted", "updatedAt": "2026-09-01T12:00:00Z"}]

    reshaped(bench, change, lambda request: request.path.endswith("/tasks.json") and "deletedOnly" not in request.params)
    with pytest.raises(SyncjobError, match="another question"):
        bench.cycle("teamwork")
    assert {key: row["title"] for key, row in bench.held(TASKS).items()} == titles
    bench.close()


def test_a_conversation_without_a_time_hides_no_other_one_of_a_full_second(tmp_path: Path) -> None:
    """It counts as the page's oldest: a page of which all share a second is still one that shows no more of it."""
    bench = Bench(tmp_path, conversations=3, switches=Switches(missive_ties="cut"))
    bench.sandbox.world.make_ties("missive.conversations", 120, at=int(bench.clock.at) - 30 * 86_400)

    def change(found: Any) -> None:
        rows = found["conversations"]
        if len({row["last_activity_at"] for row in rows}) == 1 and len(rows) > 2:
            rows[1]["last_activity_at"] = None

    reshaped(bench, change, lambda request: request.path.endswith("/conversations"))
    bench.run("missive")
    assert any("share the second" in (walk["error"] or "") for walk in bench.walks(EMAILS))
    bench.close()
