"""Lists of tasks: what is hidden by default, paging, filters (Teamwork reference sections 2, 3)."""

from __future__ import annotations

import base64

import pytest

from syncjob.sandbox import Request

from .conftest import EVERYTHING, TUESDAY, Caller


def test_a_task_has_the_fields_of_the_reference(call: Caller) -> None:
    row = call.task(call.sandbox.world.teamwork.add_task("Order lamps", description="3 pcs"))
    assert row["createdAt"] == row["updatedAt"] == "2026-01-06T11:46:40Z"
    assert row["tasklist"]["meta"]["projectId"]
    assert (row["parentTaskId"], row["parentTask"], row["tagIds"], row["assigneeUserIds"], row["assignees"]) == (0, None, None, None, [])
    assert "projectId" not in row
    assert "deletedAt" not in row


@pytest.mark.parametrize(
    ("hide", "flag"),
    [
        (lambda world, task: world.complete_task(task), "includeCompletedTasks"),
        (lambda world, task: world.complete_tasklist(world.tasks[task].tasklist_id), "showCompletedLists"),
        (lambda world, task: world.archive_project(world.project_of(world.tasks[task]).id), "includeArchivedProjects"),
        (lambda world, task: world.delete_tasklist(world.tasks[task].tasklist_id), "includeTasksFromDeletedLists"),
        (lambda world, task: world.delete_task(task), "showDeleted"),
    ],
    ids=["completed", "completed list", "archived project", "deleted list", "deleted"],
)
def test_a_hidden_task_needs_its_flag(call: Caller, hide, flag: str) -> None:  # type: ignore[no-untyped-def]
    world = call.sandbox.world.teamwork
    task = world.add_task("here")
    assert task in call.task_ids()
    hide(world, task)
    assert task not in call.task_ids()
    assert task in call.task_ids(**{flag: "true"})


def test_tentative_projects_are_hidden_and_templates_always_are(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    tentative, template = world.add_project("maybe", type="tentative"), world.add_project("mould", template=True)
    task, hidden = world.add_task("a", world.add_tasklist("l", tentative)), world.add_task("b", world.add_tasklist("l", template))
    assert task not in call.task_ids()
    assert task in call.task_ids(includeTentativeProjects="true")
    assert hidden not in call.task_ids(**EVERYTHING)


def test_nothing_shows_what_the_user_may_not_see(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    private = world.add_task("private", privacy=1, private_to=frozenset({502}))
    lost = world.add_task("lost")
    world.revoke_access(world.project_of(world.tasks[lost]).id)
    assert {private, lost}.isdisjoint(call.task_ids(**EVERYTHING))
    assert call.teamwork(f"tasks/{private}.json").status == call.teamwork(f"tasks/{lost}.json").status == 404


def test_another_key_sees_with_other_eyes(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    world.keys["other"] = 502
    task = world.add_task("private", privacy=1, private_to=frozenset({502}))
    path = f"/projects/api/v3/tasks/{task}.json"
    assert call.sandbox.respond(Request("GET", path, {}, {"Authorization": "Bearer other"})).status == 200
    assert call.teamwork(f"tasks/{task}.json").status == 404


@pytest.mark.parametrize("header", ["", "Bearer nobody", "Basic !!!", "Basic " + base64.b64encode(b"nobody:x").decode(), "Digest x"])
def test_a_wrong_key_is_401(call: Caller, header: str) -> None:
    answer = call.sandbox.respond(Request("GET", "/projects/api/v3/me.json", {}, {"Authorization": header}))
    assert answer.status == 401
    assert answer.json()["errors"]


def test_me_is_the_key_s_user(call: Caller) -> None:
    assert call.teamwork("me.json").json()["person"]["id"] == call.sandbox.world.teamwork.me


def test_an_unknown_parameter_is_ignored(call: Caller) -> None:
    assert call.task_ids(updatedSince="2026-01-06T11:46:40Z") == call.task_ids()


def test_an_unreadable_value_is_400(call: Caller) -> None:
    for params in ({"updatedAfter": "yesterday"}, {"page": "0"}, {"includeCompletedTasks": "yes"}, {"ids": "a"}):
        assert call.teamwork("tasks.json", **params).status == 400


def test_updated_after_takes_a_day_or_a_second_and_is_inclusive(call: Caller) -> None:
    call.clock.forward(3600)
    task = call.sandbox.world.teamwork.add_task("new")
    assert call.task_ids(updatedAfter="2026-01-06T12:46:40Z") == [task]
    assert call.task_ids(updatedAfter="2026-01-06T12:46:41Z") == []
    assert task in call.task_ids(updatedAfter="2026-01-06")
    assert task not in call.task_ids(updatedBefore="2026-01-06T12:46:39Z")


def test_pages_cover_everything_once_and_say_when_they_end(call: Caller) -> None:
    everything = call.task_ids(**EVERYTHING)
    seen: list[int] = []
    for page in range(1, 100):
        answer = call.teamwork("tasks.json", **EVERYTHING, page=str(page), pageSize="7", orderBy="updatedat").json()
        seen += [row["id"] for row in answer["tasks"]]
        meta = answer["meta"]["page"]
        assert (meta["pageOffset"], meta["pageSize"], meta["count"]) == (page - 1, 7, len(everything))
        if not meta["hasMore"]:
            break
    assert sorted(seen) == everything
    past = call.teamwork("tasks.json", **EVERYTHING, page="99", pageSize="7").json()
    assert (past["tasks"], past["meta"]["page"]["hasMore"]) == ([], False)


def test_skipped_counts_are_a_lower_bound(call: Caller) -> None:
    meta = call.teamwork("tasks.json", **EVERYTHING, pageSize="7", skipCounts="true").json()["meta"]["page"]
    assert (meta["count"], meta["hasMore"]) == (8, True)


def test_a_first_page_and_a_complete_answer_agree(call: Caller) -> None:
    for order in ("updatedat", "createdat", "id", "duedate", "completedat"):
        for mode in ("asc", "desc"):
            asked = {**EVERYTHING, "orderBy": order, "orderMode": mode, "pageSize": "20"}
            lazy, complete = call.teamwork("tasks.json", **asked, skipCounts="true").json(), call.teamwork("tasks.json", **asked).json()
            assert lazy["tasks"] == complete["tasks"]


def test_rows_are_in_order_also_after_changes(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    call.task_ids(orderBy="updatedat")  # the order exists before the changes
    for task_id in call.task_ids()[::3]:
        call.clock.forward(5)
        world.edit_task(task_id, name="again")
    rows = call.teamwork("tasks.json", **EVERYTHING, orderBy="updatedat", pageSize="500").json()["tasks"]
    stamps = [(row["updatedAt"], row["id"]) for row in rows]
    assert stamps == sorted(stamps)


def test_ties_share_a_second(call: Caller) -> None:
    keys = call.sandbox.world.make_ties("teamwork.tasks", 30, at=TUESDAY + 500)
    rows = call.teamwork("tasks.json", updatedAfter="2026-01-06T11:55:00Z", orderBy="updatedat", pageSize="10").json()
    assert {row["updatedAt"] for row in rows["tasks"]} == {"2026-01-06T11:55:00Z"}
    assert rows["meta"]["page"]["count"] == 30
    assert {row["id"] for row in rows["tasks"]} <= set(map(int, keys))


def test_rows_drift_between_two_pages(call: Caller) -> None:
    first = call.teamwork("tasks.json", orderBy="updatedat", pageSize="5").json()["tasks"]
    neighbour = call.teamwork("tasks.json", orderBy="updatedat", pageSize="5", page="2").json()["tasks"][0]["id"]
    call.sandbox.before_request.append(lambda request: call.sandbox.world.teamwork.edit_task(first[0]["id"], name="moved"))
    second = call.teamwork("tasks.json", orderBy="updatedat", pageSize="5", page="2").json()["tasks"]
    assert neighbour not in {row["id"] for row in second}


def test_lists_of_a_project_and_of_a_tasklist(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    project = world.add_project("own")
    tasklist = world.add_tasklist("list", project)
    task = world.add_task("one", tasklist)
    for path in (f"projects/{project}/tasks.json", f"tasklists/{tasklist}/tasks.json"):
        assert [row["id"] for row in call.teamwork(path).json()["tasks"]] == [task]
    assert call.teamwork("tasklists/5/tasks.json").status == 404
    assert call.task_ids(projectIds=str(project)) == call.task_ids(tasklistIds=str(tasklist)) == [task]


def test_sideloads_come_when_asked_for(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    task = world.add_task("one", user_ids=(502,), team_ids=(61,), company_ids=(12,), tag_ids=(71,))
    asked = {"ids": str(task), "include": "projects,tasklists,users,companies,teams,tags"}
    included = call.teamwork("tasks.json", **asked).json()["included"]
    assert set(included) == {"projects", "tasklists", "users", "companies", "teams", "tags"}
    assert set(included["users"]) == {"501", "502"}
    assert (set(included["teams"]), set(included["companies"]), set(included["tags"])) == ({"61"}, {"12"}, {"71"})
    assert call.teamwork("tasks.json", ids=str(task)).json()["included"] == {}


def test_sparse_rows_show_only_what_is_asked_for(call: Caller) -> None:
    rows = call.teamwork("tasks.json", **{"fields[tasks]": "id,updatedAt,status", "include": "users", "fields[users]": "firstName"}).json()
    assert all(set(row) == {"id", "updatedAt", "status"} for row in rows["tasks"])
    assert all(set(row) == {"id", "firstName"} for row in rows["included"]["users"].values())
    assert "displayOrder" in call.teamwork("tasks.json", **{"fields[tasks]": "displayOrder"}).json()["tasks"][0]


def test_a_deleted_task_answers_as_an_ordinary_one_by_id(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    task = world.add_task("gone")
    world.delete_task(task)
    row = call.task(task)
    assert row["status"] == "new"
    assert "deletedAt" not in row
    assert call.teamwork(f"tasks/{task}.json", hideDeleted="true").status == 404
    world.purge_task(task)
    assert call.teamwork(f"tasks/{task}.json").status == 404


def test_deleted_after_alone_matches_nothing(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    task = world.add_task("gone")
    world.delete_task(task)
    since = {"deletedAfter": "2026-01-06T11:46:40Z"}
    assert call.task_ids(**since) == []
    assert call.task_ids(**since, showDeleted="true", deletedOnly="true", **EVERYTHING) == [task]


def test_deleting_and_restoring_take_the_subtasks_along(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    top = world.add_task("top")
    early, child = world.add_task("early", parent_id=top), world.add_task("child", parent_id=top)
    world.delete_task(early)
    world.delete_task(top)
    assert {top, early, child}.isdisjoint(call.task_ids(**EVERYTHING))
    world.restore_task(top)
    assert {top, child} <= set(call.task_ids(**EVERYTHING))
    assert early not in call.task_ids(**EVERYTHING)


def test_a_move_keeps_the_id_and_takes_the_subtasks_along(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    top = world.add_task("top")
    child = world.add_task("child", parent_id=top)
    tasklist = world.add_tasklist("elsewhere", world.add_project("other"))
    world.move_task(top, tasklist)
    assert call.task(child)["tasklistId"] == call.task(top)["tasklistId"] == tasklist
    assert call.task(child)["parentTaskId"] == top


def test_a_board_move_leaves_the_legacy_stamp_alone(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    task = world.add_task("card")
    call.clock.forward(60)
    world.move_card(task, 7)
    row = call.task(task)
    assert (row["updatedAt"], row["dateUpdated"]) == ("2026-01-06T11:47:40Z", "2026-01-06T11:46:40Z")


def test_renaming_does_not_touch_tasks(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    task = world.add_task("one", tag_ids=(71,), user_ids=(502,))
    before = call.task(task)
    call.clock.forward(60)
    world.rename_tag(71, "later")
    world.rename_person(502, "New", "Name")
    world.rename_project(world.project_of(world.tasks[task]).id, "Renamed")
    assert call.task(task) == before
    assert call.teamwork("tags.json").json()["tags"][0]["name"] == "later"


def test_the_trash_is_emptied_after_thirty_days(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    task = world.add_task("old")
    world.delete_task(task)
    call.clock.forward(31 * 86400)
    world.empty_trash()
    assert call.teamwork(f"tasks/{task}.json").status == 404


def test_latest_activity_tells_deletions_and_restores(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    task = world.add_task("seen")
    world.delete_task(task)
    world.restore_task(task)
    rows = call.teamwork("latestactivity.json", activityTypes="task", showDeleted="true", orderMode="asc").json()["activities"]
    assert [(row["itemId"], row["activityType"]) for row in rows] == [(task, "new"), (task, "deleted"), (task, "undeleted")]
    assert rows[0]["link"] == f"tasks/{task}"


def test_the_other_resources_answer(call: Caller) -> None:
    for name, key in (
        ("projects", "projects"),
        ("tasklists", "tasklists"),
        ("people", "people"),
        ("companies", "companies"),
        ("teams", "teams"),
    ):
        assert call.teamwork(f"{name}.json").json()[key]
    listed = {row["status"] for row in call.teamwork("projects.json", includeArchivedProjects="true", pageSize="500").json()["projects"]}
    assert listed == {"active", "archived"}
    assert {row["status"] for row in call.teamwork("projects.json", projectStatuses="deleted").json()["projects"]} == {"deleted"}
    assert not call.teamwork("tags.json", updatedAfter="2026-01-06").json()["tags"]
