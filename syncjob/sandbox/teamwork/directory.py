"""Teamwork's other things as v3 JSON: what tasks refer to, and the latest activity (reference sections 3, 9)."""

from __future__ import annotations

from .render import Json, relation, stamp
from .things import Activity, Company, Person, Project, Tag, Tasklist, Team
from .world import TeamworkWorld


def project_json(row: Project) -> Json:
    """A project; a completed one keeps `status: active`."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "status": row.status,
        "subStatus": row.sub_status,
        "type": row.type,
        "companyId": row.company_id,
        "company": relation(row.company_id, "companies"),
        "categoryId": None,
        "ownerId": row.owner_id,
        "startDate": None,
        "endDate": None,
        "tagIds": None,
        "createdAt": stamp(row.created_at),
        "updatedAt": stamp(row.updated_at),
    }


def tasklist_json(row: Tasklist) -> Json:
    """A task list."""
    return {
        "id": row.id,
        "name": row.name,
        "description": "",
        "projectId": row.project_id,
        "project": relation(row.project_id, "projects"),
        "milestoneId": None,
        "milestone": None,
        "status": row.status,
        "displayOrder": 2000,
        "isPrivate": False,
        "isPinned": False,
        "isBillable": False,
        "icon": None,
        "lockdownId": None,
        "createdAt": stamp(row.created_at),
        "updatedAt": stamp(row.updated_at),
    }


def person_json(row: Person) -> Json:
    """A person."""
    return {
        "id": row.id,
        "firstName": row.first_name,
        "lastName": row.last_name,
        "email": row.email,
        "title": None,
        "avatarUrl": f"https://avatars.test/{row.id}.png",
        "companyId": row.company_id,
        "company": relation(row.company_id, "companies"),
        "isAdmin": row.id == 501,
        "isClientUser": False,
        "isServiceAccount": False,
        "type": "account",
        "deleted": row.deleted,
        "timezone": "Europe/Berlin",
        "lengthOfDay": 8,
        "createdAt": stamp(row.created_at),
        "updatedAt": stamp(row.updated_at),
    }


def company_json(row: Company) -> Json:
    """A company."""
    return {
        "id": row.id,
        "name": row.name,
        "isOwner": row.id == 11,
        "status": "active",
        "createdAt": stamp(row.created_at),
        "updatedAt": stamp(row.updated_at),
    }


def team_json(row: Team) -> Json:
    """A team."""
    handle = row.name.lower().replace(" ", "-")
    return {"id": row.id, "name": row.name, "handle": handle, "createdAt": stamp(row.created_at), "updatedAt": stamp(row.updated_at)}


def tag_json(row: Tag) -> Json:
    """A tag; `projectId` 0 is for every project."""
    return {
        "id": row.id,
        "name": row.name,
        "color": row.color,
        "projectId": row.project_id,
        "project": relation(row.project_id or None, "projects"),
        "createdAt": stamp(row.created_at),
        "updatedAt": stamp(row.updated_at),
    }


def activity_json(row: Activity, world: TeamworkWorld) -> Json:
    """Section 9: for a task `link` points to the task, `itemLink` to its list."""
    company_id = world.projects[row.project_id].company_id
    return {
        "id": row.id,
        "type": row.type,
        "activityType": row.verb,
        "latestActivityType": row.verb,
        "dateTime": stamp(row.at),
        "description": row.name,
        "extraDescription": world.tasklists[row.tasklist_id].name if row.tasklist_id else "",
        "publicInfo": "",
        "dueDate": None,
        "forUserName": "",
        "forUserId": 0,
        "forUser": None,
        "isPrivate": 0,
        "link": f"{row.type}s/{row.item_id}",
        "itemLink": f"tasklists/{row.tasklist_id}",
        "itemId": row.item_id,
        "item": relation(row.item_id, f"{row.type}s"),
        "projectId": row.project_id,
        "project": relation(row.project_id, "projects"),
        "companyId": company_id,
        "company": relation(company_id, "companies"),
        "userId": row.user_id,
        "user": relation(row.user_id, "users"),
    }
