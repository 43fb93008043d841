"""Each position of each Teamwork switch can be seen from outside."""

from __future__ import annotations

from typing import Any

import pytest

from syncjob.sandbox import Limits, Window

from .conftest import EVERYTHING, TUESDAY, Caller, MakeCaller


def deleted_task(call: Caller) -> int:
    task = call.sandbox.world.teamwork.add_task("gone")
    call.sandbox.world.teamwork.delete_task(task)
    return task


def test_show_deleted_includes_or_replaces(call_with: MakeCaller) -> None:
    for position, live_too in (("include", True), ("replace", False)):
        call = call_with(teamwork_show_deleted=position)
        task, live = deleted_task(call), call.sandbox.world.teamwork.add_task("live")
        shown = call.task_ids(showDeleted="true")
        assert task in shown
        assert (live in shown) is live_too


def test_deleted_only_may_be_ignored(call_with: MakeCaller) -> None:
    for position in (True, False):
        call = call_with(teamwork_deleted_only=position)
        live = call.sandbox.world.teamwork.add_task("live")
        assert (live in call.task_ids(showDeleted="true", deletedOnly="true")) is not position


def test_hide_deleted_may_be_ignored(call_with: MakeCaller) -> None:
    for position, status in ((True, 404), (False, 200)):
        call = call_with(teamwork_hide_deleted=position)
        assert call.teamwork(f"tasks/{deleted_task(call)}.json", hideDeleted="true").status == status


@pytest.mark.parametrize(
    ("marks", "status", "stamped"),
    [("both", "deleted", True), ("status", "deleted", False), ("deletedAt", "new", True), ("none", "new", False)],
)
def test_deleted_rows_are_marked_or_not(call_with: MakeCaller, marks: str, status: str, stamped: bool) -> None:
    call = call_with(teamwork_deleted_marks=marks)
    task = deleted_task(call)
    row = call.teamwork("tasks.json", ids=str(task), showDeleted="true").json()["tasks"][0]
    assert row["status"] == status
    assert ("deletedAt" in row) is stamped


def test_ids_may_list_deleted_rows_or_lift_the_hiding(call_with: MakeCaller) -> None:
    for deleted, lifted in ((False, False), (True, False), (False, True)):
        call = call_with(teamwork_ids_list_deleted=deleted, teamwork_ids_lift_hiding=lifted)
        gone, done = deleted_task(call), call.sandbox.world.teamwork.add_task("done")
        call.sandbox.world.teamwork.complete_task(done)
        assert call.task_ids(ids=f"{gone},{done}") == [gone] * deleted + [done] * lifted


def test_the_flag_for_deleted_lists_may_be_ignored(call_with: MakeCaller) -> None:
    for position in (True, False):
        call = call_with(teamwork_deleted_lists_flag=position)
        world = call.sandbox.world.teamwork
        task = world.add_task("hidden")
        world.delete_tasklist(world.tasks[task].tasklist_id)
        assert (task in call.task_ids(includeTasksFromDeletedLists="true")) is position


def test_a_task_of_a_deleted_list_by_id(call_with: MakeCaller) -> None:
    expected = {"200": (200, 200), "404 if hideDeleted": (200, 404), "404": (404, 404)}
    for position, statuses in expected.items():
        call = call_with(teamwork_task_of_deleted_list=position)
        world = call.sandbox.world.teamwork
        task = world.add_task("hidden")
        world.delete_tasklist(world.tasks[task].tasklist_id)
        path = f"tasks/{task}.json"
        assert (call.teamwork(path).status, call.teamwork(path, hideDeleted="true").status) == statuses


def test_deleting_a_list_hides_or_marks_its_tasks(call_with: MakeCaller) -> None:
    for position, status in (("hides", "new"), ("marks", "deleted")):
        call = call_with(teamwork_cascade=position)
        world = call.sandbox.world.teamwork
        task = world.add_task("hidden")
        world.delete_tasklist(world.tasks[task].tasklist_id)
        shown = call.teamwork("tasks.json", ids=str(task), includeTasksFromDeletedLists="true", showDeleted="true").json()["tasks"]
        assert [row["status"] for row in shown] == [status]
        world.restore_tasklist(world.tasks[task].tasklist_id)
        assert task in call.task_ids()


@pytest.mark.parametrize(
    ("switch", "fields"),
    [
        ("teamwork_private_shown", {"privacy": 1, "private_to": frozenset({501})}),
        ("teamwork_subtasks_shown", {"parent_id": 1}),
    ],
)
def test_what_is_shown_without_its_flag(call_with: MakeCaller, switch: str, fields: dict[str, Any]) -> None:
    for position in (True, False):
        call = call_with(**{switch: position})
        world = call.sandbox.world.teamwork
        if "parent_id" in fields:
            fields = {"parent_id": world.add_task("top")}
        task = world.add_task("x", **fields)
        assert (task in call.task_ids()) is position
        assert task in call.task_ids(includePrivateItems="true", getSubTasks="true")


def test_tentative_projects_may_be_shown(call_with: MakeCaller) -> None:
    for position in (True, False):
        call = call_with(teamwork_tentative_hidden=position)
        world = call.sandbox.world.teamwork
        task = world.add_task("x", world.add_tasklist("l", world.add_project("maybe", type="tentative")))
        assert (task in call.task_ids()) is not position


def test_subtasks_may_be_nested(call_with: MakeCaller) -> None:
    for position in (False, True):
        call = call_with(teamwork_subtasks_nested=position)
        world = call.sandbox.world.teamwork
        top = world.add_task("top")
        child = world.add_task("child", parent_id=top)
        assert (child in call.task_ids()) is not position
        assert child in call.task_ids(nestSubTasks="false")
        nested = call.teamwork("tasks.json", nestSubTasks="true", pageSize="500").json()["tasks"]
        assert [row["id"] for row in next(row for row in nested if row["id"] == top)["subTasks"]] == [child]


def test_updated_after_may_be_exclusive(call_with: MakeCaller) -> None:
    for position, shown in (("inclusive", True), ("exclusive", False)):
        call = call_with(teamwork_updated_after=position)
        call.sandbox.world.teamwork.add_task("now")
        assert bool(call.task_ids(updatedAfter="2026-01-06T11:46:40Z")) is shown
        assert call.task_ids(updatedAfter="2026-01-06T11:46:39Z")


def test_an_old_updated_after_may_be_cut_to_six_months(call_with: MakeCaller) -> None:
    whole, cut = call_with(), call_with(teamwork_old_updated_after="six months")
    asked = {**EVERYTHING, "updatedAfter": "2020-01-01"}
    assert set(cut.task_ids(**asked)) < set(whole.task_ids(**asked))
    assert cut.task_ids(**EVERYTHING) == whole.task_ids(**EVERYTHING)


def test_a_change_reaches_the_lists_late(call_with: MakeCaller) -> None:
    call = call_with(teamwork_lag_seconds=30)
    task = call.sandbox.world.teamwork.add_task("new")
    assert call.task(task)["name"] == "new"
    assert task not in call.task_ids()
    call.clock.forward(30)
    assert task in call.task_ids()
    call.sandbox.world.teamwork.edit_task(task, name="newer")
    shown = call.teamwork("tasks.json", ids=str(task)).json()["tasks"][0]
    assert (shown["name"], call.task(task)["name"]) == ("new", "newer")


def test_lost_access_is_404_or_403(call_with: MakeCaller) -> None:
    for position in (404, 403):
        call = call_with(teamwork_lost_access=position)
        world = call.sandbox.world.teamwork
        task = world.add_task("x")
        world.revoke_access(world.project_of(world.tasks[task]).id)
        assert call.teamwork(f"tasks/{task}.json").status == position


def test_paging_switches(call_with: MakeCaller) -> None:
    assert call_with().teamwork("tasks.json", pageSize="501").json()["meta"]["page"]["pageSize"] == 500
    assert call_with(teamwork_page_size_above_max="400").teamwork("tasks.json", pageSize="501").status == 400
    assert call_with(teamwork_page_past_end="400").teamwork("tasks.json", page="99").status == 400
    assert "meta" not in call_with(teamwork_meta=False).teamwork("tasks.json").json()
    bound = call_with(teamwork_count="lower bound").teamwork("tasks.json", pageSize="3").json()["meta"]["page"]
    assert (bound["count"], bound["hasMore"]) == (4, True)


@pytest.mark.parametrize(("position", "more", "next_status"), [("ends", False, 200), ("400", False, 400), ("unlimited", True, 200)])
def test_one_query_is_capped(call_with: MakeCaller, position: str, more: bool, next_status: int) -> None:
    call = call_with(teamwork_cap=10, teamwork_at_cap=position)
    pages = [call.teamwork("tasks.json", pageSize="5", page=page, orderBy="id") for page in ("1", "2", "3")]
    assert [page.status for page in pages] == [200, 200, next_status]
    assert [page.json()["meta"]["page"]["hasMore"] for page in pages[:2]] == [True, more]


def test_order_by_id_may_be_ignored(call_with: MakeCaller) -> None:
    for position in (True, False):
        ids = call_with(teamwork_order_by_id=position).task_ids(**EVERYTHING)
        assert (ids == sorted(ids)) is position


def test_ties_may_come_in_another_order_each_time(call_with: MakeCaller) -> None:
    for position, orders in (("stable", 1), ("shuffled", 3)):
        call = call_with(teamwork_tie_order=position)
        call.sandbox.world.make_ties("teamwork.tasks", 12, at=TUESDAY)
        asked = {"updatedAfter": "2026-01-06T11:46:40Z", "orderBy": "updatedat"}
        assert len({tuple(call.task_ids(**asked)) for _ in range(3)}) == orders
        assert {tuple(sorted(call.task_ids(**asked))) for _ in range(3)} == {tuple(sorted(call.task_ids(**asked)))}


def test_sparse_fields_may_be_ignored(call_with: MakeCaller) -> None:
    row = call_with(teamwork_sparse_fields=False).teamwork("tasks.json", **{"fields[tasks]": "id"}).json()["tasks"][0]
    assert "name" in row


@pytest.mark.parametrize(
    ("switches", "field", "value"),
    [
        ({"teamwork_due_date": "date"}, "dueDate", "2026-02-10"),
        ({}, "dueDate", "2026-02-10T00:00:00Z"),
        ({}, "priority", None),
        ({"teamwork_no_priority": ""}, "priority", ""),
        ({"teamwork_no_priority": "none"}, "priority", "none"),
        ({"teamwork_people_as": "relationship"}, "createdBy", {"id": 501, "type": "users"}),
        ({"teamwork_tags": "tagIds null"}, "tagIds", None),
        ({}, "tagIds", [71]),
        ({}, "completedAt", "2026-01-06T11:46:40Z"),
        ({"teamwork_completed_field": "completedOn"}, "completedOn", "2026-01-06T11:46:40Z"),
    ],
)
def test_the_forms_of_a_field(call_with: MakeCaller, switches: dict[str, Any], field: str, value: Any) -> None:
    from datetime import date

    call = call_with(**switches)
    world = call.sandbox.world.teamwork
    task = world.add_task("x", due_date=date(2026, 2, 10), tag_ids=(71,))
    world.complete_task(task)
    assert call.task(task)[field] == value


def test_fields_that_may_be_missing_or_given(call_with: MakeCaller) -> None:
    assert "tags" not in call_with(teamwork_tags="tags missing").teamwork("tasks.json").json()["tasks"][0]
    assert "meta" not in call_with(teamwork_tasklist_meta=False).teamwork("tasks.json").json()["tasks"][0]["tasklist"]
    assert call_with(teamwork_project_id=True).teamwork("tasks.json").json()["tasks"][0]["projectId"]


def test_sideloads_may_be_missing(call_with: MakeCaller) -> None:
    asked = {"include": "projects,tags,users"}
    assert set(call_with(teamwork_sideloads="partial").teamwork("tasks.json", **asked).json()["included"]) == {"projects", "users"}
    assert call_with(teamwork_sideloads="empty").teamwork("tasks.json", **asked).json()["included"] == {}
    assert "included" not in call_with(teamwork_sideloads="absent").teamwork("tasks.json", **asked).json()


def test_not_found_has_a_body_or_not(call_with: MakeCaller) -> None:
    assert call_with().teamwork("tasks/1.json").body == b""
    assert call_with(teamwork_not_found_body="json").teamwork("tasks/1.json").json()["errors"]


@pytest.mark.parametrize(
    ("switch", "change"),
    [
        ("teamwork_delete_bumps", lambda world, task: world.delete_task(task)),
        ("teamwork_restore_bumps", lambda world, task: world.restore_task(task)),
        ("teamwork_tag_bumps", lambda world, task: world.tag_task(task, 72)),
        ("teamwork_tag_bumps", lambda world, task: world.untag_task(task, 71)),
        ("teamwork_move_bumps", lambda world, task: world.move_task(task, world.add_tasklist("l", 7707))),
        ("teamwork_archive_bumps", lambda world, task: world.archive_project(world.project_of(world.tasks[task]).id)),
        ("teamwork_list_delete_bumps", lambda world, task: world.delete_tasklist(world.tasks[task].tasklist_id)),
    ],
)
def test_what_bumps_the_update_stamp(call_with: MakeCaller, switch: str, change: Any) -> None:
    for position in (True, False):
        call = call_with(**{switch: position})
        world = call.sandbox.world.teamwork
        task = world.add_task("x", tag_ids=(71,))
        call.clock.forward(100)
        change(world, task)
        assert (world.tasks[task].updated_at == TUESDAY + 100) is position


def test_the_limit_is_told_in_every_form(call_with: MakeCaller) -> None:
    one = Limits(teamwork=(Window(1, 60),))
    forms = {"429 json": 429, "429 empty": 429, "429 text": 429, "400": 400}
    for position, status in forms.items():
        call = call_with(limits=one, teamwork_limit_signal=position)
        assert call.teamwork("me.json").status == 200
        refused = call.teamwork("me.json")
        assert refused.status == status
        assert refused.headers["x-ratelimit-remaining"] == "0"
        assert (refused.body == b"") is (position == "429 empty")
    resets = {"seconds": "60", "epoch": str(TUESDAY + 60), "missing": None}
    for position, value in resets.items():
        assert call_with(limits=one, teamwork_limit_reset=position).teamwork("me.json").headers.get("x-ratelimit-reset") == value
    spelled = call_with(limits=one, teamwork_limit_headers="X-Rate-Limit").teamwork("me.json").headers
    assert spelled["X-Rate-Limit-limit"] == "1"
    assert not [name for name in call_with(limits=one, teamwork_limit_headers="none").teamwork("me.json").headers if "imit" in name]
