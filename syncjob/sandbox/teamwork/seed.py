"""A Teamwork site to begin with: the same seed and clock give the same site."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from .. import words
from .things import Company, Person, Project, Tag, Task, Tasklist, Team
from .world import TeamworkWorld

DAY = 86400
SPAN = 300 * DAY  # the tasks' updates are spread over this much past …
MARGIN = 60  # … up to this many seconds ago
TIES = 0.02  # share of tasks with the very stamp of another one
ENGLISH_RANKS = ("low", "medium", "high")


def fill(world: TeamworkWorld, tasks: int, rng: Random) -> None:
    """People, projects, lists and `tasks` tasks; the first key `tkn_sandbox` belongs to the first person."""
    _add_people(world, rng)
    _add_projects(world, max(12, tasks // 150), rng)
    _add_tasklists(world, max(24, tasks // 25), rng)
    _add_tags(world, rng)
    _add_tasks(world, tasks, rng)


def _add_people(world: TeamworkWorld, rng: Random) -> None:
    then = world.now() - 2 * SPAN
    for number, name in enumerate(words.COMPANIES):
        world.companies[11 + number] = Company(11 + number, name, then, then)
    for number in range(14):
        person_id, first, last = 501 + number, rng.choice(words.FIRST), rng.choice(words.LAST)
        email, company_id = f"person{number}@acme.test", rng.choice(list(world.companies))
        world.people[person_id] = Person(person_id, first, last, email, company_id, then, then, deleted=number == 13)
    for number, name in enumerate(("Site crew", "Office", "Night shift")):
        world.teams[61 + number] = Team(61 + number, name, then, then)
    world.me = 501
    world.keys["tkn_sandbox"] = 501


def _add_projects(world: TeamworkWorld, count: int, rng: Random) -> None:
    """Project 1 archived, 2 tentative, 3 deleted, 4 out of reach, 5 a template; after that by chance, mostly plain."""
    special: dict[int, dict[str, Any]] = {
        1: {"status": "archived"},
        2: {"type": "tentative"},
        3: {"status": "deleted"},
        4: {"members": frozenset({502, 503})},
        5: {"template": True},
    }
    for number in range(count):
        fields = special.get(number, {"status": "archived"} if number > 5 and rng.random() < 0.1 else {})
        stamp = world.now() - SPAN - rng.randrange(SPAN)
        name = words.pick_text(rng, f"{words.PLACES[number % len(words.PLACES)]} {number}")
        members = frozenset(world.people) - {514}
        basics: dict[str, Any] = {"members": members, "owner_id": 501 + number % 5, "created_at": stamp, "updated_at": stamp, **fields}
        world.projects[7701 + number] = Project(7701 + number, name, rng.choice(list(world.companies)), **basics)


def _add_tasklists(world: TeamworkWorld, count: int, rng: Random) -> None:
    for number in range(count):
        project = world.projects[7701 + number % len(world.projects)]
        status = "new" if number < len(world.projects) else rng.choices(("new", "completed", "deleted"), (85, 10, 5))[0]
        stamp = project.created_at + rng.randrange(DAY)
        world.tasklists[8801 + number] = Tasklist(8801 + number, rng.choice(words.LISTS), project.id, stamp, stamp, status)


def _add_tags(world: TeamworkWorld, rng: Random) -> None:
    then, names = world.now() - SPAN, ("urgent", "waiting", "quote", "Größe", "日本", "a,b", "urgent")  # two tags may have one name
    for number, name in enumerate(names):
        project_id = 0 if number < 4 else 7701 + number % len(world.projects)
        world.tags[71 + number] = Tag(71 + number, name, rng.choice(words.COLOURS), project_id, then, then)


def _add_tasks(world: TeamworkWorld, count: int, rng: Random) -> None:
    lists, stamp = list(world.tasklists), world.now() - MARGIN
    for number in range(count):
        if number == 0 or rng.random() > TIES:
            stamp = world.now() - MARGIN - rng.randrange(SPAN)
        parent = world.tasks.get(_last_task(world)) if rng.random() < 0.2 else None
        tasklist_id = parent.tasklist_id if parent else rng.choice(lists)
        task = _task(world, tasklist_id, parent, stamp, rng)
        world.plant(task if number >= len(words.HOSTILE) else replace(task, description=words.HOSTILE[number]))
    world.listing.settle(world.clock())


def _last_task(world: TeamworkWorld) -> int:
    return next(reversed(world.tasks), 0)


def _task(world: TeamworkWorld, tasklist_id: int, parent: Task | None, stamp: int, rng: Random) -> Task:
    created_at = stamp - rng.randrange(1, 40 * DAY)
    return Task(
        world.new_id(),
        words.title(rng),
        tasklist_id,
        created_at,
        stamp,
        stamp - rng.choice((0, 0, 0, rng.randrange(stamp - created_at))),
        created_by=rng.randint(501, 513),
        updated_by=rng.randint(501, 513),
        parent_id=parent.id if parent and parent.deleted_at is None else None,
        priority=rng.choice((None, None, *ENGLISH_RANKS)),
        estimate_minutes=rng.choice((0, 0, 30, 90)),
        **_description(rng),
        **_progress(stamp, rng),
        **_dates(stamp, rng),
        **_people(world, rng),
    )


def _description(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.2:
        return {"description": rng.choice((None, ""))}
    text = words.sentences(rng, rng.randint(1, 6))
    return {"description": f"<p>{text}</p>", "content_type": "HTML"} if rng.random() < 0.4 else {"description": text}


def _progress(stamp: int, rng: Random) -> dict[str, Any]:
    lot = rng.random()
    if lot < 0.25:
        return {"status": "completed", "completed_at": stamp, "completed_by": rng.randint(501, 513), "progress": 100}
    if lot < 0.28:
        return {"deleted_at": stamp, "deleted_by": 502}
    return {"status": rng.choice(("new", "new", "new", "reopened")), "progress": rng.choice((0, 0, 30, 75))}


def _dates(stamp: int, rng: Random) -> dict[str, Any]:
    if rng.random() < 0.4:
        return {}
    start = datetime.fromtimestamp(stamp, UTC).date() + timedelta(days=rng.randint(-20, 20))
    return {"start_date": rng.choice((None, start)), "due_date": start + timedelta(days=rng.randint(0, 30))}


def _people(world: TeamworkWorld, rng: Random) -> dict[str, Any]:
    privacy = rng.choices((0, 1, 2), (94, 4, 2))[0]
    return {
        "user_ids": tuple(sorted(rng.sample(range(501, 515), rng.choice((0, 1, 1, 2))))),
        "team_ids": rng.choice(((), (), (), (61,), (62, 63))),
        "company_ids": rng.choice(((), (), (), (), (11,))),
        "tag_ids": tuple(sorted(rng.sample(sorted(world.tags), rng.choice((0, 0, 1, 2))))),
        "privacy": privacy,
        "private_to": frozenset({501, 502} if rng.random() < 0.5 else {502, 503}) if privacy == 1 else frozenset(),
    }
