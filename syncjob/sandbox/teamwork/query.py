"""What a request for tasks asks for, and which tasks that is (reference section 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from ..exchange import Refused, Request
from .errors import refusal
from .things import Task
from .world import TeamworkWorld

SIX_MONTHS = 183 * 86400

# Parameter of the API -> field of TaskQuery. Whatever is not named here is silently ignored, as the vendor does.
FLAGS = {
    "includeCompletedTasks": "completed",
    "completedOnly": "completed_only",
    "showCompletedLists": "completed_lists",
    "includeArchivedProjects": "archived",
    "includeTasksFromDeletedLists": "deleted_lists",
    "includeTasksWithoutDueDates": "undated",
    "includeTentativeProjects": "tentative",
    "includePrivateItems": "private",
    "getSubTasks": "subtasks",
    "nestSubTasks": "nested",
    "showDeleted": "show_deleted",
    "deletedOnly": "deleted_only",
}
TIMES = {
    "updatedAfter": "updated_after",
    "updatedBefore": "updated_before",
    "createdAfter": "created_after",
    "createdBefore": "created_before",
    "completedAfter": "completed_after",
    "completedBefore": "completed_before",
    "deletedAfter": "deleted_after",
}
ID_LISTS = {
    "ids": "ids",
    "projectIds": "project_ids",
    "tasklistIds": "tasklist_ids",
    "tagIds": "tag_ids",
    "responsiblePartyIds": "user_ids",
}


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """The filters of one request; two equal queries see the same rows. None: not given, so the vendor's default holds."""

    person_id: int
    completed: bool | None = None
    completed_only: bool | None = None
    completed_lists: bool | None = None
    archived: bool | None = None
    deleted_lists: bool | None = None
    undated: bool | None = None
    tentative: bool | None = None
    private: bool | None = None
    subtasks: bool | None = None
    nested: bool | None = None
    show_deleted: bool | None = None
    deleted_only: bool | None = None
    updated_after: int | None = None
    updated_before: int | None = None
    created_after: int | None = None
    created_before: int | None = None
    completed_after: int | None = None
    completed_before: int | None = None
    deleted_after: int | None = None
    ids: frozenset[int] | None = None
    project_ids: frozenset[int] | None = None
    tasklist_ids: frozenset[int] | None = None
    tag_ids: frozenset[int] | None = None
    user_ids: frozenset[int] | None = None


def read_query(request: Request, person_id: int, *, project_id: int | None = None, tasklist_id: int | None = None) -> TaskQuery:
    """The query behind a request, or `Refused` with 400 when a value cannot be read."""
    values: dict[str, object] = {field: read_flag(request, name) for name, field in FLAGS.items()}
    values |= {field: read_time(request, name) for name, field in TIMES.items()}
    values |= {field: read_ids(request, name) for name, field in ID_LISTS.items()}
    if project_id is not None:
        values["project_ids"] = frozenset({project_id})
    if tasklist_id is not None:
        values["tasklist_ids"] = frozenset({tasklist_id})
    assert values.keys() <= {spec.name for spec in fields(TaskQuery)}
    return TaskQuery(person_id, **values)  # type: ignore[arg-type]


def read_flag(request: Request, name: str) -> bool | None:
    """`true` or `false`; None when not given."""
    text = request.param(name)
    if text is None or text == "":
        return None
    if text.lower() not in ("true", "false"):
        raise Refused(refusal(400, f"invalid boolean for {name}"))
    return text.lower() == "true"


def read_time(request: Request, name: str) -> int | None:
    """A day or an RFC 3339 time as Unix seconds; None when not given."""
    text = request.param(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(refusal(400, f"invalid date for {name}")) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def read_ids(request: Request, name: str) -> frozenset[int] | None:
    """Comma separated ids in one parameter; None when not given."""
    text = request.param(name)
    if not text:
        return None
    try:
        return frozenset(int(part) for part in text.split(","))
    except ValueError:
        raise Refused(refusal(400, f"invalid ids for {name}")) from None


def matcher(query: TaskQuery, world: TeamworkWorld) -> Callable[[Task], bool]:
    """Whether a task is in the answer: everything but paging."""
    lists, keeps = _open_lists(query, world), _conditions(query, world)

    def matches(task: Task) -> bool:
        return task.tasklist_id in lists and all(keep(task) for keep in keeps)

    return matches


def since(query: TaskQuery, world: TeamworkWorld) -> int | None:
    """The earliest `updatedAt` that the answer may hold."""
    first = query.updated_after
    if first is None:
        return None
    if world.switches.teamwork_updated_after == "exclusive":
        first += 1
    if world.switches.teamwork_old_updated_after == "six months":
        first = max(first, world.now() - SIX_MONTHS)
    return first


def _open_lists(query: TaskQuery, world: TeamworkWorld) -> set[int]:
    """The lists whose tasks the flags let through: the hidden-by-default rules that hang on lists and projects."""
    lifted = query.ids is not None and world.switches.teamwork_ids_lift_hiding
    projects = _open_projects(query, world, lifted=lifted)
    statuses = {"new", "reopened"}
    if query.completed_lists or lifted:
        statuses.add("completed")
    if (query.deleted_lists and world.switches.teamwork_deleted_lists_flag) or lifted:
        statuses.add("deleted")
    return {
        row.id
        for row in world.tasklists.values()
        if row.status in statuses and row.project_id in projects and (query.tasklist_ids is None or row.id in query.tasklist_ids)
    }


def _open_projects(query: TaskQuery, world: TeamworkWorld, *, lifted: bool) -> set[int]:
    tentative = query.tentative or lifted or not world.switches.teamwork_tentative_hidden
    return {
        row.id
        for row in world.projects.values()
        if query.person_id in row.members
        and not row.template
        and (row.status == "active" or (row.status == "archived" and (query.archived or lifted)))
        and (row.type == "normal" or tentative)
        and (query.project_ids is None or row.id in query.project_ids)
    }


def _conditions(query: TaskQuery, world: TeamworkWorld) -> list[Callable[[Task], bool]]:
    """One small test for each rule that the request switches on, the most selective first."""
    keeps: list[Callable[[Task], bool]] = []
    if query.ids is not None:
        ids = query.ids
        keeps.append(lambda task: task.id in ids)
    keeps += _deletion_rules(query, world)
    keeps += _time_rules(query, world)
    keeps += _kind_rules(query, world)
    return keeps


def _deletion_rules(query: TaskQuery, world: TeamworkWorld) -> list[Callable[[Task], bool]]:
    switches = world.switches
    by_ids = query.ids is not None and switches.teamwork_ids_list_deleted
    only = (query.deleted_only and switches.teamwork_deleted_only) or (query.show_deleted and switches.teamwork_show_deleted == "replace")
    rules: list[Callable[[Task], bool]] = []
    if only:
        rules.append(lambda task: task.deleted_at is not None)
    elif not query.show_deleted and not by_ids:
        rules.append(lambda task: task.deleted_at is None)
    if query.deleted_after is not None:
        first = query.deleted_after + (switches.teamwork_updated_after == "exclusive")
        rules.append(lambda task: task.deleted_at is not None and task.deleted_at >= first)
    return rules


def _time_rules(query: TaskQuery, world: TeamworkWorld) -> list[Callable[[Task], bool]]:
    rules: list[Callable[[Task], bool]] = []

    def between(stamp: Callable[[Task], int | None], first: int | None, last: int | None) -> None:
        if first is not None:
            rules.append(lambda task: (stamp(task) or 0) >= first)
        if last is not None:
            rules.append(lambda task: (stamp(task) or last + 1) <= last)

    between(lambda task: task.updated_at, since(query, world), query.updated_before)
    between(lambda task: task.created_at, query.created_after, query.created_before)
    between(lambda task: task.completed_at, query.completed_after, query.completed_before)
    return rules


def _kind_rules(query: TaskQuery, world: TeamworkWorld) -> list[Callable[[Task], bool]]:
    switches, person_id = world.switches, query.person_id
    lifted = query.ids is not None and switches.teamwork_ids_lift_hiding
    rules: list[Callable[[Task], bool]] = []
    if query.completed_only:
        rules.append(lambda task: task.status == "completed")
    elif not query.completed and not lifted:
        rules.append(lambda task: task.status != "completed")
    if query.undated is False:
        rules.append(lambda task: task.due_date is not None)
    if query.nested:
        rules.append(lambda task: task.parent_id is None)
    if query.subtasks is False or (query.subtasks is None and not switches.teamwork_subtasks_shown and not lifted):
        rules.append(lambda task: task.parent_id is None)
    if query.private or (query.private is None and switches.teamwork_private_shown) or lifted:
        rules.append(lambda task: task.privacy != 1 or person_id in task.private_to)
    else:
        rules.append(lambda task: task.privacy != 1)
    if query.tag_ids is not None:
        tag_ids = query.tag_ids
        rules.append(lambda task: not tag_ids.isdisjoint(task.tag_ids))
    if query.user_ids is not None:
        user_ids = query.user_ids
        rules.append(lambda task: not user_ids.isdisjoint(task.user_ids))
    return rules
