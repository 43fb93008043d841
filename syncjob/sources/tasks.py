"""A Teamwork task as the contract's row.

Shapes from https://apidocs.teamwork.com/docs/teamwork/endpoints-by-object/tasks/get-projects-api-v3-tasks-json.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from syncjob.core.model import TASKS, Gone, Json, Record
from syncjob.sources.payload import day, instant, stamp

PEOPLE = ("users", "companies", "teams")
SECTIONS = ("projects", "tasklists", "tags", *PEOPLE)


def _listed(value: Any) -> Any:
    return [] if value is None else value


class Link(BaseModel):
    """A relationship: `{id, type, meta?}`."""

    model_config = ConfigDict(extra="ignore")
    id: int
    type: str = ""
    meta: dict[str, Any] | None = None


Links = Annotated[list[Link], BeforeValidator(_listed)]
Ids = Annotated[list[int], BeforeValidator(_listed)]


class Task(BaseModel):
    """What we read of a task. Noise (display order, permissions, avatars) is not even looked at."""

    model_config = ConfigDict(extra="ignore")
    id: int = Field(gt=0)
    name: str | None = None
    description: str | None = None
    status: str | None = None
    priority: str | None = None
    progress: int | None = None
    startDate: str | None = None
    dueDate: str | None = None
    createdAt: str | None = None
    updatedAt: str
    completedAt: str | None = None
    completedOn: str | None = None
    deletedAt: str | None = None
    projectId: int | None = None
    tasklistId: int | None = None
    tasklist: Link | None = None
    parentTaskId: int | None = None
    parentTask: Link | None = None
    assignees: Links = []
    assigneeUserIds: Ids = []
    assigneeCompanyIds: Ids = []
    assigneeTeamIds: Ids = []
    tagIds: Ids = []
    tags: Links = []

    @property
    def list_id(self) -> int | None:
        return self.tasklistId or (self.tasklist.id if self.tasklist else None)

    @cached_property
    def people(self) -> list[tuple[str, str]]:
        """Everyone assigned, as (section, id)."""
        by_type = {(link.type, str(link.id)) for link in self.assignees if link.type in PEOPLE}
        by_ids = zip(PEOPLE, (self.assigneeUserIds, self.assigneeCompanyIds, self.assigneeTeamIds), strict=True)
        return sorted(by_type | {(section, str(id_)) for section, ids in by_ids for id_ in ids})

    @cached_property
    def labels(self) -> list[tuple[str, str]]:
        """Its tags, as (section, id)."""
        return sorted({("tags", str(id_)) for id_ in (*self.tagIds, *(link.id for link in self.tags))})


def names_in(included: Mapping[str, Any]) -> dict[str, dict[str, Json]]:
    """What the sideload says of each section, cut down to what rows need: `{section: {id: {name, ...}}}`."""
    found: dict[str, dict[str, Json]] = {}
    for section in SECTIONS:
        entries = included.get(section)
        if isinstance(entries, dict) and entries:
            found[section] = {str(id_): _name(section, entry) for id_, entry in entries.items() if isinstance(entry, dict)}
    return found


def _text(value: Json) -> str:
    """A name, of whatever type: one that is odd must not break every page that shows it."""
    return str(value) if isinstance(value, str | int | float) else ""


def _name(section: str, entry: Mapping[str, Any]) -> Json:
    if section == "users":
        return {"name": " ".join(filter(None, (_text(entry.get("firstName")), _text(entry.get("lastName")))))}
    kept = {"name": _text(entry.get("name"))}
    if section == "tasklists":
        link = entry.get("project")
        project = entry.get("projectId") or (link.get("id") if isinstance(link, dict) else link)
        kept["project"] = str(project) if project else ""
    if section in ("tasklists", "projects"):
        kept["status"] = entry.get("status") or ""
    return kept


def needed(tasks: Iterable[Task]) -> dict[str, set[str]]:
    """The names that these tasks mention, by section. A list's project is known only once the list is."""
    found: dict[str, set[str]] = {section: set() for section in SECTIONS}
    for task in tasks:
        for section, id_ in (*task.people, *task.labels):
            found[section].add(id_)
        if task.list_id:
            found["tasklists"].add(str(task.list_id))
        if project := task.projectId or (task.tasklist and task.tasklist.meta and task.tasklist.meta.get("projectId")):
            found["projects"].add(str(project))
    return found


def record(task: Task, name_of: Callable[[str, str], Json], base_url: str) -> Record:
    """The task as a record. `name_of(section, id)` gives what is known of a name, `{}` for nothing."""
    tasklist = name_of("tasklists", str(task.list_id)) if task.list_id else {}
    meta = (task.tasklist and task.tasklist.meta) or {}
    project_id = str(task.projectId or meta.get("projectId") or tasklist.get("project") or "") or None
    project = name_of("projects", project_id) if project_id else {}
    updated = instant(task.updatedAt)
    parent = task.parentTaskId or (task.parentTask.id if task.parentTask else 0)
    data = {
        "task_id": str(task.id),
        "project_id": project_id,
        "project_name": project.get("name"),
        "tasklist_id": str(task.list_id) if task.list_id else None,
        "tasklist_name": tasklist.get("name") or meta.get("name"),
        "title": task.name,
        "description": task.description,
        "status": task.status,
        "priority": task.priority if task.priority not in ("", "none") else None,
        "progress": task.progress,
        "tags": called(task.labels, name_of),
        "assignees": called(task.people, name_of),
        "parent_task_id": str(parent) if parent else None,
        "start_at": day(task.startDate),
        "due_at": day(task.dueDate),
        "created_at": _stamped(task.createdAt),
        "updated_at": stamp(updated) if updated else None,
        "completed_at": _stamped(task.completedAt or task.completedOn),
        "source_links": {"web": f"{base_url}/app/tasks/{task.id}"},
    }
    return Record(TASKS, str(task.id), data, version=task.updatedAt, updated_at=updated, gone=_gone(task, tasklist, project))


def _gone(task: Task, tasklist: Mapping[str, Json], project: Mapping[str, Json]) -> Gone | None:
    """The source's own word that this task is deleted: per-row evidence only."""
    if task.status == "deleted" or task.deletedAt:
        return Gone("deleted", instant(task.deletedAt))
    if tasklist.get("status") == "deleted":
        return Gone("its task list is deleted")
    if project.get("status") == "deleted":
        return Gone("its project is deleted")
    return None


def called(links: Iterable[tuple[str, str]], name_of: Callable[[str, str], Json]) -> list[str]:
    """Names by code point, equal ones once; one that nobody ever named is left out."""
    return sorted({name for section, id_ in links if (name := name_of(section, id_).get("name"))})


def _stamped(text: str | None) -> str | None:
    time = instant(text)
    return stamp(time) if time else None
