"""`include` and `fields[…]`: what comes along with the rows of a page, and how much of them (reference sections 2, 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..exchange import Request
from ..switches import Switches
from . import directory, render
from .things import Task
from .world import TeamworkWorld

LEFT_OUT_WHEN_PARTIAL = ("tags", "teams", "companies")


def sparse(rows: list[dict[str, Any]], request: Request, kind: str, switches: Switches) -> list[dict[str, Any]]:
    """The rows with only the attributes that `fields[kind]` names; the id stays."""
    names = sparse_names(request, kind, switches)
    return rows if names is None else [{name: value for name, value in row.items() if name in names} for row in rows]


def sparse_names(request: Request, kind: str, switches: Switches) -> frozenset[str] | None:
    """The attributes that the request wants of such rows; None: all."""
    wanted = request.param(f"fields[{kind}]")
    return frozenset({"id", *wanted.split(",")}) if wanted and switches.teamwork_sparse_fields else None


def sideload(tasks: Sequence[Task], request: Request, world: TeamworkWorld) -> dict[str, Any]:
    """`{"included": …}` with a section for each thing that `include` asks for, keyed by the id as a string."""
    how, wanted = world.switches.teamwork_sideloads, {part.strip() for part in (request.param("include") or "").split(",")} - {""}
    if how == "absent":
        return {}
    if how == "empty":
        return {"included": {}}
    if how == "partial":
        wanted.difference_update(LEFT_OUT_WHEN_PARTIAL)
    sections: dict[str, Any] = {}
    for name, rows in _sections(tasks, wanted, world).items():
        pruned = sparse(rows, request, name, world.switches)
        sections[name] = {str(row["id"]): row for row in pruned}
    return {"included": sections}


def _sections(tasks: Sequence[Task], wanted: set[str], world: TeamworkWorld) -> dict[str, list[dict[str, Any]]]:
    tasklists = [world.tasklists[tasklist_id] for tasklist_id in _ids(task.tasklist_id for task in tasks)]
    projects = [world.projects[project_id] for project_id in _ids(row.project_id for row in tasklists)]
    company_ids = {company for task in tasks for company in task.company_ids} if "companies" in wanted else set()
    if "projects.companies" in wanted:
        company_ids |= {row.company_id for row in projects}
    sections: dict[str, list[dict[str, Any]]] = {}
    if wanted & {"projects", "projects.companies"}:
        sections["projects"] = [directory.project_json(row) for row in projects]
    if "tasklists" in wanted:
        sections["tasklists"] = [directory.tasklist_json(row) for row in tasklists]
    if wanted & {"companies", "projects.companies"}:
        sections["companies"] = [directory.company_json(world.companies[row]) for row in sorted(company_ids)]
    if "users" in wanted:
        sections["users"] = [directory.person_json(world.people[row]) for row in _people(tasks)]
    if "teams" in wanted:
        sections["teams"] = [directory.team_json(world.teams[row]) for row in _ids(team for task in tasks for team in task.team_ids)]
    if "tags" in wanted:
        sections["tags"] = [directory.tag_json(world.tags[row]) for row in _ids(tag for task in tasks for tag in task.tag_ids)]
    if "parentTasks" in wanted:
        parents = _ids(task.parent_id for task in tasks)
        sections["tasks"] = [render.task_json(world.tasks[row], world) for row in parents if row in world.tasks]
    return sections


def _people(tasks: Sequence[Task]) -> list[int]:
    actors = _ids(person for task in tasks for person in (task.created_by, task.updated_by, task.completed_by, task.deleted_by))
    return _ids([*actors, *(person for task in tasks for person in task.user_ids)])


def _ids(ids: Iterable[int | None]) -> list[int]:
    return sorted({thing_id for thing_id in ids if thing_id is not None})
