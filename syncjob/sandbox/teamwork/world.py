"""The fake Teamwork site: what exists, who may see it, and the verbs that change it."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

from ..clockwork import Clockwork, verb
from ..listing import Listing
from ..switches import Switches
from .things import Activity, Company, Person, Project, Tag, Task, Tasklist, Team

TRASH_SECONDS = 30 * 86400  # section 4: the trash keeps a task 30 days

ORDERS: dict[str, Callable[[Task], Any]] = {
    "id": lambda task: task.id,
    "updatedat": lambda task: task.updated_at,
    "createdat": lambda task: task.created_at,
    "completedat": lambda task: task.completed_at or 0,
    "duedate": lambda task: (task.due_date is None, task.due_date or date.min),
}


class TeamworkWorld(Clockwork):
    """Everything on the site. Plain dicts to read; only the verbs change them, each stamping with the world's clock."""

    def __init__(self, switches: Switches, clock: Callable[[], float], lock: threading.RLock, rng: random.Random) -> None:
        super().__init__(switches, clock, lock, rng)
        self.companies: dict[int, Company] = {}
        self.people: dict[int, Person] = {}
        self.teams: dict[int, Team] = {}
        self.tags: dict[int, Tag] = {}
        self.projects: dict[int, Project] = {}
        self.tasklists: dict[int, Tasklist] = {}
        self.tasks: dict[int, Task] = {}  # deleted ones too, until they are purged
        self.activities: list[Activity] = []
        self.keys: dict[str, int] = {}  # API key -> person
        self.me = 0  # the person of the first key: whose view `ever_visible` records
        self.ever_visible: set[int] = set()  # tasks that this person could see at some time since the world began
        self.listing: Listing[int, Task] = Listing(ORDERS)
        self._subtasks: dict[int, set[int]] = defaultdict(set)
        self._members: dict[int, set[int]] = defaultdict(set)  # tasklist -> tasks
        self._last_id = 900_000

    # --- reading ---

    def project_of(self, task: Task) -> Project:
        """The project a task is in: through its list."""
        return self.projects[self.tasklists[task.tasklist_id].project_id]

    def may_see(self, task: Task, person_id: int) -> bool:
        """Whether the person has the right to see the task, deleted or not."""
        if task.privacy == 1 and person_id not in task.private_to:
            return False
        return person_id in self.project_of(task).members

    def family(self, task_id: int) -> Iterator[Task]:
        """The task and all tasks below it."""
        yield self.tasks[task_id]
        for child in sorted(self._subtasks[task_id]):
            yield from self.family(child)

    def tasks_in(self, tasklist_id: int) -> list[Task]:
        """A list's tasks, deleted ones too."""
        return [self.tasks[task_id] for task_id in sorted(self._members[tasklist_id])]

    # --- tasks ---

    @verb
    def add_task(self, name: str, tasklist_id: int | None = None, *, parent_id: int | None = None, **fields: Any) -> int:
        """A new task, in the first list unless told; returns its id. Fields are those of `Task`; stamps default to now."""
        if parent_id is not None:
            tasklist_id = self.tasks[parent_id].tasklist_id
        if tasklist_id is None:
            tasklist_id = next(row.id for row in self.tasklists.values() if self._is_open(row))
        now, task_id = self.now(), self.new_id()
        stamps = {"created_at": now, "updated_at": now, "content_updated_at": now, "created_by": self.me, "updated_by": self.me}
        self._store(Task(task_id, name, tasklist_id, parent_id=parent_id, **{**stamps, **fields}))
        self._record("task", "new", task_id)
        return task_id

    @verb
    def edit_task(self, task_id: int, **fields: Any) -> None:
        """Change any field of `Task`."""
        self._touch(self.tasks[task_id], **fields)
        self._record("task", "edited", task_id)

    @verb
    def complete_task(self, task_id: int) -> None:
        """Done: a status, never a deletion."""
        self._touch(self.tasks[task_id], status="completed", completed_at=self.now(), completed_by=self.me, progress=100)
        self._record("task", "completed", task_id)

    @verb
    def reopen_task(self, task_id: int) -> None:
        """Not done after all."""
        self._touch(self.tasks[task_id], status="reopened", completed_at=None, completed_by=None, progress=0)
        self._record("task", "reopened", task_id)

    @verb
    def move_task(self, task_id: int, tasklist_id: int) -> None:
        """Into another list, also across projects; the id is kept and subtasks move along. A subtask moved alone leaves its parent."""
        top = self.tasks[task_id]
        keeps_parent = top.parent_id is None or self.tasks[top.parent_id].tasklist_id == tasklist_id
        for task in list(self.family(task_id)):
            parent_id = task.parent_id if task.id != task_id or keeps_parent else None
            self._touch(task, bump=self.switches.teamwork_move_bumps, tasklist_id=tasklist_id, parent_id=parent_id)

    @verb
    def move_card(self, task_id: int, stage_id: int) -> None:
        """To another board stage: `updatedAt` moves, the legacy `dateUpdated` does not."""
        task = self.tasks[task_id]
        self._store(replace(task, stage_id=stage_id, updated_at=self.now()))

    @verb
    def tag_task(self, task_id: int, tag_id: int) -> None:
        """Add a tag."""
        task = self.tasks[task_id]
        tag_ids = (*(tag for tag in task.tag_ids if tag != tag_id), tag_id)
        self._touch(task, bump=self.switches.teamwork_tag_bumps, tag_ids=tag_ids)

    @verb
    def untag_task(self, task_id: int, tag_id: int) -> None:
        """Take a tag away."""
        task = self.tasks[task_id]
        self._touch(task, bump=self.switches.teamwork_tag_bumps, tag_ids=tuple(tag for tag in task.tag_ids if tag != tag_id))

    @verb
    def assign_task(
        self, task_id: int, *, user_ids: tuple[int, ...] = (), company_ids: tuple[int, ...] = (), team_ids: tuple[int, ...] = ()
    ) -> None:
        """Give the task to exactly these."""
        self._touch(self.tasks[task_id], user_ids=user_ids, company_ids=company_ids, team_ids=team_ids)

    @verb
    def delete_task(self, task_id: int) -> None:
        """Into the trash, with its subtasks; a subtask deleted earlier keeps its own deletion."""
        for task in list(self.family(task_id)):
            if task.deleted_at is None:
                self._delete(task, root=task_id, bump=self.switches.teamwork_delete_bumps)
        self._record("task", "deleted", task_id)

    @verb
    def restore_task(self, task_id: int) -> None:
        """Out of the trash, with the subtasks that went with it."""
        for task in list(self.family(task_id)):
            if task.id == task_id or task.deleted_with == task_id:
                self._undelete(task)
        self._record("task", "undeleted", task_id)

    @verb
    def purge_task(self, task_id: int) -> None:
        """Gone for good, with its subtasks: no list and no parameter shows it any more."""
        for task in list(self.family(task_id)):
            del self.tasks[task.id]
            self._members[task.tasklist_id].discard(task.id)
            if task.parent_id is not None:
                self._subtasks[task.parent_id].discard(task.id)
            self._change(task.id, None)

    @verb
    def empty_trash(self) -> None:
        """Purge what was deleted more than 30 days ago, as Teamwork does by itself."""
        limit = self.now() - TRASH_SECONDS
        for task in [task for task in self.tasks.values() if task.deleted_at is not None and task.deleted_at < limit]:
            if task.id in self.tasks:  # not purged with its parent
                self.purge_task(task.id)

    # --- task lists and projects ---

    @verb
    def add_tasklist(self, name: str, project_id: int) -> int:
        """A new list; returns its id."""
        now, tasklist_id = self.now(), self.new_id()
        self.tasklists[tasklist_id] = Tasklist(tasklist_id, name, project_id, now, now)
        return tasklist_id

    @verb
    def complete_tasklist(self, tasklist_id: int) -> None:
        """Done: its tasks, even open ones, are hidden unless asked for."""
        self._change_tasklist(tasklist_id, status="completed")

    @verb
    def reopen_tasklist(self, tasklist_id: int) -> None:
        """Not done after all."""
        self._change_tasklist(tasklist_id, status="reopened")

    @verb
    def delete_tasklist(self, tasklist_id: int) -> None:
        """Hides the list's tasks, without a mark on them (or with: `teamwork_cascade`)."""
        self._change_tasklist(tasklist_id, status="deleted")
        self._cascade_delete(tasklist_id, self.tasks_in(tasklist_id))
        self._record("tasklist", "deleted", tasklist_id)

    @verb
    def restore_tasklist(self, tasklist_id: int) -> None:
        """Out of the trash, with its tasks."""
        self._change_tasklist(tasklist_id, status="reopened")
        self._cascade_restore(tasklist_id, self.tasks_in(tasklist_id))
        self._record("tasklist", "undeleted", tasklist_id)

    @verb
    def rename_tasklist(self, tasklist_id: int, name: str) -> None:
        """Its tasks are not touched."""
        self._change_tasklist(tasklist_id, name=name)

    @verb
    def archive_project(self, project_id: int) -> None:
        """Hides the project's tasks unless asked for."""
        self._change_project(project_id, status="archived")
        self._bump_all(self._tasks_of_project(project_id), bump=self.switches.teamwork_archive_bumps)

    @verb
    def unarchive_project(self, project_id: int) -> None:
        """Active again."""
        self._change_project(project_id, status="active")
        self._bump_all(self._tasks_of_project(project_id), bump=self.switches.teamwork_archive_bumps)

    @verb
    def delete_project(self, project_id: int) -> None:
        """Its tasks vanish, whatever the flags."""
        self._change_project(project_id, status="deleted")
        self._cascade_delete(project_id, self._tasks_of_project(project_id))
        self._record("project", "deleted", project_id)

    @verb
    def restore_project(self, project_id: int) -> None:
        """Out of the trash, active, with its tasks."""
        self._change_project(project_id, status="active")
        self._cascade_restore(project_id, self._tasks_of_project(project_id))
        self._record("project", "undeleted", project_id)

    @verb
    def rename_project(self, project_id: int, name: str) -> None:
        """Its tasks are not touched."""
        self._change_project(project_id, name=name)

    @verb
    def revoke_access(self, project_id: int, person_id: int | None = None) -> None:
        """The person (the first key's, unless told) no longer sees anything of the project."""
        project = self.projects[project_id]
        self.projects[project_id] = replace(project, members=project.members - {person_id or self.me})

    @verb
    def grant_access(self, project_id: int, person_id: int | None = None) -> None:
        """The person (the first key's, unless told) sees the project."""
        project = self.projects[project_id]
        self.projects[project_id] = replace(project, members=project.members | {person_id or self.me})
        self.note_visible(self._tasks_of_project(project_id))

    # --- names ---

    @verb
    def add_project(self, name: str, **fields: Any) -> int:
        """A new project that everybody sees; returns its id. Fields are those of `Project`."""
        now, project_id = self.now(), self.new_id()
        basics = {"company_id": next(iter(self.companies), 0), "members": frozenset(self.people), "created_at": now, "updated_at": now}
        self.projects[project_id] = Project(project_id, name, **{**basics, **fields})
        return project_id

    @verb
    def add_tag(self, name: str, project_id: int = 0) -> int:
        """A new tag, for every project unless told; returns its id."""
        now, tag_id = self.now(), self.new_id()
        self.tags[tag_id] = Tag(tag_id, name, "#3f7fbf", project_id, now, now)
        return tag_id

    @verb
    def rename_tag(self, tag_id: int, name: str) -> None:
        """Tasks with the tag are not touched."""
        self.tags[tag_id] = replace(self.tags[tag_id], name=name, updated_at=self.now())

    @verb
    def rename_person(self, person_id: int, first_name: str, last_name: str) -> None:
        """Tasks assigned to the person are not touched."""
        self.people[person_id] = replace(self.people[person_id], first_name=first_name, last_name=last_name, updated_at=self.now())

    # --- for the seed ---

    def new_id(self) -> int:
        """An id that nothing else has."""
        self._last_id += self.rng.randint(1, 3)
        return self._last_id

    def plant(self, task: Task) -> None:
        """Put a task into the world as it is, listed at once, without an activity."""
        self._store(task, lag=0)

    def note_visible(self, tasks: list[Task]) -> None:
        """Remember which of these tasks the first key's user sees now."""
        for task in tasks:
            if task.deleted_at is None and self.may_see(task, self.me) and self._is_open(self.tasklists[task.tasklist_id]):
                self.ever_visible.add(task.id)

    # --- inside ---

    def _is_open(self, tasklist: Tasklist) -> bool:
        project = self.projects[tasklist.project_id]
        return tasklist.status != "deleted" and project.status != "deleted" and not project.template

    def _store(self, task: Task, *, lag: int | None = None) -> None:
        old = self.tasks.get(task.id)
        if old is not None:
            self._members[old.tasklist_id].discard(task.id)
            if old.parent_id is not None:
                self._subtasks[old.parent_id].discard(task.id)
        self.tasks[task.id] = task
        self._members[task.tasklist_id].add(task.id)
        if task.parent_id is not None:
            self._subtasks[task.parent_id].add(task.id)
        self.note_visible([task])
        self._change(task.id, task, lag=lag)

    def _change(self, task_id: int, task: Task | None, *, lag: int | None = None) -> None:
        self.listing.change(task_id, task, at=self.clock(), lag=self.switches.teamwork_lag_seconds if lag is None else lag)

    def _touch(self, task: Task, *, bump: bool = True, **fields: Any) -> None:
        now = self.now()
        stamps = {"updated_at": now, "content_updated_at": now, "updated_by": self.me} if bump else {}
        self._store(replace(task, **{**stamps, **fields}))

    def _bump_all(self, tasks: list[Task], *, bump: bool) -> None:
        for task in tasks if bump else ():
            self._touch(task)

    def _delete(self, task: Task, *, root: int, bump: bool) -> None:
        self._touch(task, bump=bump, deleted_at=self.now(), deleted_by=self.me, deleted_with=root)

    def _undelete(self, task: Task) -> None:
        self._touch(task, bump=self.switches.teamwork_restore_bumps, deleted_at=None, deleted_by=None, deleted_with=None)

    def _cascade_delete(self, root: int, tasks: list[Task]) -> None:
        live = [task for task in tasks if task.deleted_at is None]
        if self.switches.teamwork_cascade == "marks":
            for task in live:
                self._delete(task, root=root, bump=self.switches.teamwork_list_delete_bumps)
        else:
            self._bump_all(live, bump=self.switches.teamwork_list_delete_bumps)

    def _cascade_restore(self, root: int, tasks: list[Task]) -> None:
        for task in tasks:
            if task.deleted_with == root:
                self._undelete(task)
        live = [task for task in tasks if task.deleted_at is None]
        self._bump_all(live, bump=self.switches.teamwork_list_delete_bumps)
        self.note_visible(live)

    def _tasks_of_project(self, project_id: int) -> list[Task]:
        lists = [row.id for row in self.tasklists.values() if row.project_id == project_id]
        return [task for tasklist_id in lists for task in self.tasks_in(tasklist_id)]

    def _change_tasklist(self, tasklist_id: int, **fields: Any) -> None:
        self.tasklists[tasklist_id] = replace(self.tasklists[tasklist_id], updated_at=self.now(), **fields)

    def _change_project(self, project_id: int, **fields: Any) -> None:
        self.projects[project_id] = replace(self.projects[project_id], updated_at=self.now(), **fields)

    def _record(self, kind: str, what: str, item_id: int) -> None:
        if kind == "task":
            task = self.tasks[item_id]
            name, tasklist_id, project_id = task.name, task.tasklist_id, self.project_of(task).id
        elif kind == "tasklist":
            row = self.tasklists[item_id]
            name, tasklist_id, project_id = row.name, item_id, row.project_id
        else:
            name, tasklist_id, project_id = self.projects[item_id].name, 0, item_id
        number = 40_001 + len(self.activities)
        self.activities.append(Activity(number, kind, what, self.now(), item_id, name, project_id, tasklist_id, self.me))
