"""What exists in Teamwork: immutable values; stamps are whole Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Company:
    id: int
    name: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Team:
    id: int
    name: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    first_name: str
    last_name: str
    email: str
    company_id: int
    created_at: int
    updated_at: int
    deleted: bool = False

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(frozen=True, slots=True)
class Tag:
    id: int
    name: str
    color: str
    project_id: int  # 0: for every project
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    name: str
    company_id: int
    members: frozenset[int]  # person ids; nobody else sees anything of it
    created_at: int
    updated_at: int
    description: str = ""
    status: str = "active"  # active, archived, deleted
    sub_status: str = "current"
    type: str = "normal"  # normal, tentative
    template: bool = False  # its tasks are in no list, whatever the flags
    owner_id: int | None = None


@dataclass(frozen=True, slots=True)
class Tasklist:
    id: int
    name: str
    project_id: int
    created_at: int
    updated_at: int
    status: str = "new"  # new, reopened, completed, deleted


@dataclass(frozen=True, slots=True)
class Task:
    id: int
    name: str
    tasklist_id: int
    created_at: int
    updated_at: int
    content_updated_at: int  # the legacy `dateUpdated`: not moved by board touches
    created_by: int
    updated_by: int
    description: str | None = None
    content_type: str = "TEXT"  # or HTML
    status: str = "new"  # new, reopened, completed: its last value, also when deleted
    priority: str | None = None
    progress: int = 0
    start_date: date | None = None
    due_date: date | None = None
    completed_at: int | None = None
    completed_by: int | None = None
    deleted_at: int | None = None
    deleted_by: int | None = None
    deleted_with: int | None = None  # the task, list or project whose deletion took this one along
    parent_id: int | None = None
    user_ids: tuple[int, ...] = ()
    company_ids: tuple[int, ...] = ()
    team_ids: tuple[int, ...] = ()
    tag_ids: tuple[int, ...] = ()
    privacy: int = 0  # 0 open, 1 private, 2 inherited
    private_to: frozenset[int] = frozenset()  # who sees it when privacy is 1
    estimate_minutes: int = 0
    stage_id: int = 1


@dataclass(frozen=True, slots=True)
class Activity:
    """One line of the latest activity."""

    id: int
    type: str  # task, tasklist, project
    verb: str  # new, edited, completed, reopened, deleted, undeleted
    at: int
    item_id: int
    name: str
    project_id: int
    tasklist_id: int
    user_id: int
