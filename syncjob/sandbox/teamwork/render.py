"""Teamwork's tasks as v3 JSON (reference section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from ..switches import Switches
from .things import Task
from .world import TeamworkWorld

Json = dict[str, Any]


@lru_cache(maxsize=8192)  # lists and people come along with page after page
def stamp(seconds: int | None) -> str | None:
    """`YYYY-MM-DDTHH:MM:SSZ`."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}Z"


def task_json(task: Task, world: TeamworkWorld, wanted: frozenset[str] | None = None) -> Json:
    """A task with every field the reference lists as seen, or only the wanted ones; optional ones as the switches say."""
    row: Json = {}
    for names, part in _PARTS:
        if wanted is None or not wanted.isdisjoint(names):
            row |= part(task, world)
    if wanted is None or not wanted <= _NAMED:
        row |= _noise(task, world)
    return row if wanted is None else {name: value for name, value in row.items() if name in wanted}


def _texts(task: Task, world: TeamworkWorld) -> Json:
    priority = task.priority if task.priority is not None else world.switches.teamwork_no_priority
    return {"name": task.name, "description": task.description, "descriptionContentType": task.content_type, "priority": priority}


def _state(task: Task, world: TeamworkWorld) -> Json:
    """Status and stamps; completion and deletion are keys that exist only when it happened."""
    switches = world.switches
    row: Json = {"id": task.id, "status": task.status, "progress": task.progress, "updatedAt": stamp(task.updated_at)}
    if task.status == "completed":
        row |= {switches.teamwork_completed_field: stamp(task.completed_at), "completedBy": _person(task.completed_by, switches)}
    if task.deleted_at is not None:
        if switches.teamwork_deleted_marks in ("both", "status"):
            row["status"] = "deleted"
        if switches.teamwork_deleted_marks in ("both", "deletedAt"):
            row |= {"deletedAt": stamp(task.deleted_at), "deletedBy": _person(task.deleted_by, switches)}
    return row


def _dates(task: Task, world: TeamworkWorld) -> Json:
    return {
        "startDate": _day(task.start_date, world.switches),
        "dueDate": _day(task.due_date, world.switches),
        "createdAt": stamp(task.created_at),
        "dateUpdated": stamp(task.content_updated_at),
    }


def _places(task: Task, world: TeamworkWorld) -> Json:
    tasklist = world.tasklists[task.tasklist_id]
    place: Json = {"id": tasklist.id, "type": "tasklists"}
    if world.switches.teamwork_tasklist_meta:
        place["meta"] = {"name": tasklist.name, "projectId": tasklist.project_id}
    parent = relation(task.parent_id, "tasks")
    row: Json = {"tasklist": place, "tasklistId": tasklist.id, "parentTaskId": task.parent_id or 0, "parentTask": parent}
    if world.switches.teamwork_project_id:
        row["projectId"] = tasklist.project_id
    return row


def _noise(task: Task, world: TeamworkWorld) -> Json:
    """What a client should tolerate and leave alone, and fields of features the sandbox does not have."""
    return {
        "createdBy": _person(task.created_by, world.switches),
        "createdByUserId": task.created_by,
        "updatedBy": _person(task.updated_by, world.switches),
        "isPrivate": task.privacy,
        "estimateMinutes": task.estimate_minutes,
        "accumulatedEstimatedMinutes": task.estimate_minutes,
        "workflowStages": [{"workflowId": 5, "stageId": task.stage_id, "stageTaskDisplayOrder": 2000}],
        "displayOrder": 2000 + task.id % 97,
        "decimalDisplayOrder": 2000 + task.id % 97,
        "card": None,
        "lockdown": None,
        "sequence": None,
        "sequenceId": None,
        "startDateOffset": None,
        "dueDateOffset": None,
        "crmDealIds": None,
        "capacities": None,
        "proofs": None,
        "attachments": [],
        "commentFollowers": [],
        "changeFollowers": [],
        "hasDeskTickets": False,
        "notify": False,
        "isArchived": False,
        "userPermissions": {"canEdit": True, "canComplete": True, "canLogTime": True, "canViewEstTime": True, "canAddSubtasks": True},
    }


def _assignees(task: Task, world: TeamworkWorld) -> Json:
    users, companies, teams = relations(task.user_ids, "users"), relations(task.company_ids, "companies"), relations(task.team_ids, "teams")
    return {
        "assignees": users + companies + teams,
        "assigneeUsers": users,
        "assigneeCompanies": companies,
        "assigneeTeams": teams,
        "assigneeUserIds": list(task.user_ids) or None,
        "assigneeCompanyIds": list(task.company_ids) or None,
        "assigneeTeamIds": list(task.team_ids) or None,
    }


def _tags(task: Task, world: TeamworkWorld) -> Json:
    row: Json = {"tagIds": list(task.tag_ids) or None, "tags": relations(task.tag_ids, "tags") or None}
    if world.switches.teamwork_tags == "tags missing":
        del row["tags"]
    if world.switches.teamwork_tags == "tagIds null":
        row["tagIds"] = None
    return row


def _day(day: date | None, switches: Switches) -> str | None:
    if day is None:
        return None
    return day.isoformat() + ("T00:00:00Z" if switches.teamwork_due_date == "midnight" else "")


def _person(person_id: int | None, switches: Switches) -> Any:
    return person_id if switches.teamwork_people_as == "id" else relation(person_id, "users")


def relation(thing_id: int | None, kind: str) -> Json | None:
    """`{"id", "type"}`, where type names the section of `included`."""
    return None if thing_id is None else {"id": thing_id, "type": kind}


def relations(ids: Iterable[int], kind: str) -> list[Json]:
    """Several of them; never null."""
    return [{"id": thing_id, "type": kind} for thing_id in ids]


# Which fields each part makes, so that a sparse row costs only what it shows.
_PARTS: tuple[tuple[frozenset[str], Callable[[Task, TeamworkWorld], Json]], ...] = (
    (frozenset({"id", "status", "progress", "updatedAt", "completedAt", "completedOn", "completedBy", "deletedAt", "deletedBy"}), _state),
    (frozenset({"name", "description", "descriptionContentType", "priority"}), _texts),
    (frozenset({"startDate", "dueDate", "createdAt", "dateUpdated"}), _dates),
    (frozenset({"tasklist", "tasklistId", "projectId", "parentTaskId", "parentTask"}), _places),
    (frozenset({"tags", "tagIds"}), _tags),
    (frozenset(f"assignee{kind}" for kind in ("s", "Users", "Companies", "Teams", "UserIds", "CompanyIds", "TeamIds")), _assignees),
)
_NAMED = frozenset[str]().union(*(names for names, _ in _PARTS))
