"""Teamwork's v3 API over the fake site: requests in, responses out, no sockets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..exchange import Refused, Request, Response, json_response
from ..routes import Routes
from . import directory, render
from .errors import refusal
from .paging import paged, read_paging
from .query import TaskQuery, read_flag, read_ids, read_query, read_time
from .sideload import sideload, sparse, sparse_names
from .tasks import TaskPages
from .things import Activity, Project, Task, Tasklist
from .world import TeamworkWorld

ROOT = "/projects/api/v3"


class TeamworkFace:
    """Answers as Teamwork does, for the person whose key the request carries."""

    name = "teamwork"

    def __init__(self, world: TeamworkWorld) -> None:
        self.world = world
        self._pages = TaskPages(world)
        self._routes: Routes[Response] = Routes(
            [
                (f"{ROOT}/tasks.json", self._tasks),
                (f"{ROOT}/tasks/{{id}}.json", self._task),
                (f"{ROOT}/projects/{{id}}/tasks.json", self._tasks_of_project),
                (f"{ROOT}/tasklists/{{id}}/tasks.json", self._tasks_of_list),
                (f"{ROOT}/projects.json", self._projects),
                (f"{ROOT}/projects/{{id}}.json", self._project),
                (f"{ROOT}/projects/{{id}}/tasklists.json", self._tasklists),
                (f"{ROOT}/tasklists.json", self._tasklists),
                (f"{ROOT}/tasklists/{{id}}.json", self._tasklist),
                (f"{ROOT}/people.json", self._people),
                (f"{ROOT}/companies.json", self._companies),
                (f"{ROOT}/tags.json", self._tags),
                (f"{ROOT}/teams.json", self._teams),
                ("/teams.json", self._teams),
                (f"{ROOT}/me.json", self._me),
                ("/me.json", self._me),
                (f"{ROOT}/latestactivity.json", self._activities),
            ]
        )

    def respond(self, request: Request) -> Response:
        """The answer to any request on this site."""
        try:
            person_id = self._person(request)
            found = self._routes.find(request.path)
            if found is None:
                raise Refused(self._not_found())
            if request.method != "GET":
                raise Refused(refusal(405, "the sandbox is read only over HTTP"))
            answer, segments = found
            return answer(request, person_id, *segments)
        except Refused as refused:
            return refused.response

    def _person(self, request: Request) -> int:
        """Whose key it is: Basic `key:anything`, or Bearer (section 1)."""
        scheme, _, secret = (request.header("Authorization") or "").partition(" ")
        key = secret.strip()
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(key, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                key = ""
        if scheme.lower() not in ("basic", "bearer") or key not in self.world.keys:
            raise Refused(refusal(401, "Unauthorized"))
        return self.world.keys[key]

    def _not_found(self) -> Response:
        return Response(404) if self.world.switches.teamwork_not_found_body == "empty" else refusal(404, "Not found")

    def _no_access(self) -> Response:
        return refusal(403, "You do not have permission") if self.world.switches.teamwork_lost_access == 403 else self._not_found()

    # --- tasks ---

    def _tasks(self, request: Request, person_id: int) -> Response:
        return self._task_page(request, read_query(request, person_id))

    def _tasks_of_project(self, request: Request, person_id: int, project_id: str) -> Response:
        project = self._visible_project(project_id, person_id)
        return self._task_page(request, read_query(request, person_id, project_id=project.id))

    def _tasks_of_list(self, request: Request, person_id: int, tasklist_id: str) -> Response:
        tasklist = self._visible_tasklist(tasklist_id, person_id)
        return self._task_page(request, read_query(request, person_id, tasklist_id=tasklist.id))

    def _task_page(self, request: Request, query: TaskQuery) -> Response:
        switches = self.world.switches
        nested = query.nested or (query.nested is None and switches.teamwork_subtasks_nested)
        tasks, meta = self._pages.page(request, query, read_paging(request, switches), nested=nested)
        wanted = sparse_names(request, "tasks", switches)
        rows = [render.task_json(task, self.world, wanted) for task in tasks]
        if nested:
            for row, task in zip(rows, tasks, strict=True):
                row["subTasks"] = [render.task_json(child, self.world) for child in self._pages.below(task, query)]
        rows = sparse(rows, request, "tasks", switches)
        return json_response(200, {"tasks": rows, **meta, **sideload(tasks, request, self.world)})

    def _task(self, request: Request, person_id: int, task_id: str) -> Response:
        """By id: a deleted task answers 200 as an ordinary one, unless `hideDeleted` is sent (section 4)."""
        task = self.world.tasks.get(int(task_id)) if task_id.isdecimal() else None
        if task is None:
            raise Refused(self._not_found())
        if not self.world.may_see(task, person_id):
            raise Refused(self._no_access())
        if self._is_hidden(task, hide=bool(read_flag(request, "hideDeleted"))):
            raise Refused(self._not_found())
        row = render.task_json(task, self.world)
        if task.deleted_at is not None:  # "as an ordinary task, with nothing in the body saying it is gone"
            row["status"] = task.status
            row.pop("deletedAt", None)
            row.pop("deletedBy", None)
        rows = sparse([row], request, "tasks", self.world.switches)
        return json_response(200, {"task": rows[0], **sideload([task], request, self.world)})

    def _is_hidden(self, task: Task, *, hide: bool) -> bool:
        switches = self.world.switches
        hide = hide and switches.teamwork_hide_deleted
        if task.deleted_at is not None and hide:
            return True
        if "deleted" not in (self.world.tasklists[task.tasklist_id].status, self.world.project_of(task).status):
            return False
        return switches.teamwork_task_of_deleted_list == "404" or (hide and switches.teamwork_task_of_deleted_list == "404 if hideDeleted")

    # --- projects and task lists ---

    def _visible_project(self, project_id: str, person_id: int) -> Project:
        project = self.world.projects.get(int(project_id)) if project_id.isdecimal() else None
        if project is None:
            raise Refused(self._not_found())
        if person_id not in project.members:
            raise Refused(self._no_access())
        return project

    def _visible_tasklist(self, tasklist_id: str, person_id: int) -> Tasklist:
        tasklist = self.world.tasklists.get(int(tasklist_id)) if tasklist_id.isdecimal() else None
        if tasklist is None:
            raise Refused(self._not_found())
        self._visible_project(str(tasklist.project_id), person_id)
        return tasklist

    def _project(self, request: Request, person_id: int, project_id: str) -> Response:
        return json_response(200, {"project": directory.project_json(self._visible_project(project_id, person_id)), "included": {}})

    def _tasklist(self, request: Request, person_id: int, tasklist_id: str) -> Response:
        return json_response(200, {"tasklist": directory.tasklist_json(self._visible_tasklist(tasklist_id, person_id)), "included": {}})

    def _projects(self, request: Request, person_id: int) -> Response:
        statuses = {"active"}
        if read_flag(request, "includeArchivedProjects"):
            statuses.add("archived")
        if "deleted" in (request.param("projectStatuses") or "").split(","):
            statuses = {"deleted"}
        tentative = read_flag(request, "includeTentativeProjects") or not self.world.switches.teamwork_tentative_hidden
        rows = [
            row
            for row in self.world.projects.values()
            if person_id in row.members and row.status in statuses and not row.template and (tentative or row.type == "normal")
        ]
        return self._listed("projects", rows, directory.project_json, request)

    def _tasklists(self, request: Request, person_id: int, project_id: str | None = None) -> Response:
        chosen = read_ids(request, "projectIds") if project_id is None else {self._visible_project(project_id, person_id).id}
        statuses = {"new", "reopened"}
        statuses |= {"completed"} if read_flag(request, "showCompleted") else set()
        statuses |= {"deleted"} if read_flag(request, "showDeleted") else set()
        archived = read_flag(request, "includeArchivedProjects")
        projects = {
            row.id
            for row in self.world.projects.values()
            if person_id in row.members and not row.template and (row.status == "active" or (row.status == "archived" and archived))
        }
        rows = [
            row
            for row in self.world.tasklists.values()
            if row.status in statuses and row.project_id in projects and (chosen is None or row.project_id in chosen)
        ]
        return self._listed("tasklists", rows, directory.tasklist_json, request)

    # --- people, names ---

    def _people(self, request: Request, person_id: int) -> Response:
        rows = [row for row in self.world.people.values() if not row.deleted or read_flag(request, "showDeleted")]
        return self._listed("people", rows, directory.person_json, request)

    def _companies(self, request: Request, person_id: int) -> Response:
        return self._listed("companies", self.world.companies.values(), directory.company_json, request)

    def _tags(self, request: Request, person_id: int) -> Response:
        return self._listed("tags", self.world.tags.values(), directory.tag_json, request, default_size=500)

    def _teams(self, request: Request, person_id: int) -> Response:
        return self._listed("teams", self.world.teams.values(), directory.team_json, request)

    def _me(self, request: Request, person_id: int) -> Response:
        return json_response(200, {"person": directory.person_json(self.world.people[person_id])})

    # --- latest activity (section 9) ---

    def _activities(self, request: Request, person_id: int) -> Response:
        types = (request.param("activityTypes") or "task,tasklist,project,milestone").split(",")
        rows = [row for row in self.world.activities if row.type in types and self._shows_activity(row, request, person_id)]
        rows.sort(key=lambda row: (row.at, row.id), reverse=(request.param("orderMode") or "desc").lower() == "desc")
        return self._listed("activities", rows, lambda row: directory.activity_json(row, self.world), request, stamped=False)

    def _shows_activity(self, row: Activity, request: Request, person_id: int) -> bool:
        first, last = read_time(request, "startDate") or read_time(request, "updatedAfter"), read_time(request, "endDate")
        project = self.world.projects[row.project_id]
        return (
            (first is None or row.at >= first)
            and (last is None or row.at <= last)
            and person_id in project.members
            and (project.status != "archived" or bool(read_flag(request, "includeArchivedProjects")))
            and (row.verb != "deleted" or bool(read_flag(request, "showDeleted")))
        )

    def _listed(
        self,
        key: str,
        rows: Iterable[Any],
        to_json: Callable[[Any], dict[str, Any]],
        request: Request,
        *,
        default_size: int = 50,
        stamped: bool = True,
    ) -> Response:
        """One page of any other resource: same paging everywhere (section 13)."""
        switches = self.world.switches
        first = read_time(request, "updatedAfter") if stamped else None
        chosen: Sequence[Any] = [row for row in rows if first is None or row.updated_at >= first]
        shown, meta = paged(chosen, read_paging(request, switches, default_size=default_size), switches)
        return json_response(200, {key: sparse([to_json(row) for row in shown], request, key, switches), **meta, "included": {}})
