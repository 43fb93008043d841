"""Missive's things as JSON, as one user sees them (reference sections 2, 3, 4, 6)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .things import Attachment, Comment, Contact, Conversation, Flags, Label, Message, Post, Team, User
from .world import MissiveWorld

Json = dict[str, Any]
LINE = "<p>" + "All work and no play makes a long mail. " * 6 + "</p>\n"
PREVIEW_LENGTH = 140
WEB = "mail.missiveapp.com/#inbox/conversations/"


def conversation_json(row: Conversation, world: MissiveWorld, user_id: str) -> Json:
    """A conversation; for a guest a stub of it."""
    if user_id not in row.flags:
        return {"id": row.id, "last_activity_at": row.last_activity_at}
    messages, switches = world.messages_of(row), world.switches
    authors = _unique([message.from_field for message in messages])
    assignees = [world.users[assignee] for assignee in row.assignee_ids]
    labels = [world.labels[label_id] for label_id in row.label_ids]
    result: Json = {
        "id": row.id,
        "created_at": row.created_at,
        "subject": row.subject,
        "latest_message_subject": messages[0].subject if messages else None,
        "organization": None if row.organization_id is None else _named(world.organizations[row.organization_id]),
        "color": row.color,
        "assignees": [_user_flags(user, row.flags.get(user.id, Flags())) for user in assignees],
        "users": [_user_flags(world.users[user], flags) for user, flags in row.flags.items()],
        "assignee_names": ", ".join(user.name for user in assignees),
        "assignee_emails": ", ".join(user.email for user in assignees),
        "attachments_count": sum(len(message.attachments) for message in messages),
        "messages_count": len(messages) + row.miscounted + (len(row.draft_ids) if switches.missive_counts_drafts else 0),
        "authors": [_author(author) for author in authors],
        "external_authors": [_author(author) for author in authors if not _is_ours(author, world)],
        "drafts_count": len(row.draft_ids),
        "send_later_messages_count": 0,
        "tasks_count": 0,
        "completed_tasks_count": 0,
        "shared_labels": [_label_of_conversation(label, world) for label in labels],
        "shared_label_names": ", ".join(label.name for label in labels),
        "team": None if row.team_id is None else _team(world.teams[row.team_id]),
        "web_url": f"https://{WEB}{row.id}",
        "app_url": f"missive://{WEB}{row.id}",
        "last_activity_at": row.last_activity_at,
        "closed_at": row.closed_at,
    }
    absent = {"closed_at": switches.missive_closed_at, "external_authors": switches.missive_external_authors}
    absent["created_at"] = switches.missive_created_at
    return {name: value for name, value in result.items() if absent.get(name, True)}


def _user_flags(user: User, flags: Flags) -> Json:
    names = ("unassigned", "closed", "archived", "trashed", "junked", "assigned", "flagged", "snoozed")
    return {"id": user.id, "name": user.name, "email": user.email, **{name: getattr(flags, name) for name in names}}


def _named(thing: Any) -> Json:
    return {"id": thing.id, "name": thing.name}


def _team(team: Team) -> Json:
    return {"id": team.id, "name": team.name, "organization": team.organization_id}


def _author(contact: Contact) -> Json:
    if contact.address is not None:
        return {"name": contact.name, "address": contact.address}
    return {"name": contact.name, "phone_number": contact.phone_number} if contact.phone_number else {"name": contact.name}


def _unique(contacts: list[Contact]) -> list[Contact]:
    return list(dict.fromkeys(contacts))


def _is_ours(contact: Contact, world: MissiveWorld) -> bool:
    return contact.address is not None and contact.address.endswith("@acme.test")


def _label_of_conversation(label: Label, world: MissiveWorld) -> Json:
    return label_json(label, world) if world.switches.missive_label_extras else _named(label)


def label_json(label: Label, world: MissiveWorld) -> Json:
    """A shared label; `name` is its own, `name_with_parent_names` the path to it."""
    path, parent = label.name, label.parent_id
    while parent is not None:
        path, parent = f"{world.labels[parent].name}/{path}", world.labels[parent].parent_id
    return {
        "id": label.id,
        "name": label.name,
        "name_with_parent_names": path,
        "color": label.color,
        "organization": label.organization_id,
        "parent": label.parent_id,
        "share_with_organization": True,
        "share_with_users": [],
        "share_with_team": None,
        "visibility": "organization",
    }


def message_json(row: Message, world: MissiveWorld, link: Callable[[Attachment], str]) -> Json:
    """A message as the lists show it: everything but `body` and `conversation`."""
    result: Json = {
        "id": row.id,
        "subject": row.subject,
        "preview": _preview(row.body),
        "type": row.type,
        "delivered_at": row.delivered_at,
        "updated_at": row.updated_at,
        "created_at": row.created_at,
        "email_message_id": row.email_message_id,
        "in_reply_to": list(row.in_reply_to),
        "references": list(row.in_reply_to),
        "from_field": _field(row.from_field),
        "to_fields": [_field(contact) for contact in row.to_fields],
        "cc_fields": [_field(contact) for contact in row.cc_fields],
        "bcc_fields": [_field(contact) for contact in row.bcc_fields],
        "reply_to_fields": [],
        "attachments": [_attachment(item, link) for item in row.attachments],
    }
    if row.type == "email":
        result |= _sender(row, world)
    else:
        result = _as_text_channel(result, row)
    return _redact(result, row, world)


def full_message_json(row: Message, world: MissiveWorld, user_id: str, link: Callable[[Attachment], str]) -> Json:
    """A message as it is answered by id: with its body, and its conversation without the activity stamp."""
    conversation = conversation_json(world.conversations[row.conversation_id], world, user_id)
    conversation.pop("last_activity_at")
    return _redact({**message_json(row, world, link), "body": row.body + _padding(world.padding), "conversation": conversation}, row, world)


def _sender(row: Message, world: MissiveWorld) -> Json:
    how = world.switches.missive_author
    if row.author_id is None:
        return {"author": None} if how == "null when received" else {}
    return {} if how == "absent" else {"author": user_json(world.users[row.author_id])}


def _as_text_channel(result: Json, row: Message) -> Json:
    """SMS and the like: no subject, no Message-ID, no copies; extras of their own (section 4)."""
    missing = {"subject", "email_message_id", "in_reply_to", "references", "cc_fields", "bcc_fields", "reply_to_fields"}
    extras: Json = {"external_id": f"SM{row.id[:8]}", "account_author": None, "account_recipients": []}
    return {name: value for name, value in result.items() if name not in missing} | extras


def _redact(result: Json, row: Message, world: MissiveWorld) -> Json:
    if not row.redacted:
        return result
    hidden = {"body", "preview"}
    if world.switches.missive_redacts_recipients:
        hidden |= {"to_fields", "cc_fields", "bcc_fields"}
    how, hidden = world.switches.missive_redacted, hidden & result.keys()
    if how == "missing":
        return {name: value for name, value in result.items() if name not in hidden}
    empty = {name: [] if name.endswith("_fields") else "" for name in hidden}
    return result | (empty if how == "empty" else dict.fromkeys(hidden))


def _field(contact: Contact) -> Json:
    if contact.address is not None:
        return {"name": contact.name, "address": contact.address}
    return {"id": contact.phone_number, "name": contact.name, "username": None}


def _padding(size: int) -> str:
    """So many bytes more, made when they are asked for: a world of large mails needs no memory."""
    return (LINE * (size // len(LINE) + 1))[:size]


def _preview(body: str) -> str:
    return re.sub(r"<[^>]*>", "", body)[:PREVIEW_LENGTH]


def _attachment(item: Attachment, link: Callable[[Attachment], str]) -> Json:
    return {
        "id": item.id,
        "filename": item.filename,
        "extension": item.sub_type,
        "url": link(item),
        "media_type": item.media_type,
        "sub_type": item.sub_type,
        "size": item.size,
        "width": item.width,
        "height": item.height,
    }


def user_json(user: User) -> Json:
    """A user as the author of something."""
    return {"id": user.id, "name": user.name, "email": user.email, "avatar_url": f"https://avatars.test/{user.id}.png"}


def team_json(team: Team) -> Json:
    """A team as `GET /teams` lists it."""
    return {**_team(team), "active_members": list(team.member_ids), "observers": []}


def comment_json(row: Comment, world: MissiveWorld, user_id: str) -> Json:
    """Section 3."""
    author = {**user_json(world.users[row.author_id]), "me": row.author_id == user_id}
    return {
        "id": row.id,
        "body": row.body,
        "created_at": row.created_at,
        "mentions": [],
        "meta": [],
        "author": author,
        "attachment": None,
        "task": None,
    }


def post_json(row: Post) -> Json:
    """Section 3."""
    notification = {"title": "CI", "body": row.text}
    attachments = [{"author_name": "CI", "text": row.text, "color": "#66aa55", "timestamp": row.created_at}]
    return {
        "id": row.id,
        "created_at": row.created_at,
        "username": "CI",
        "username_icon": None,
        "notification": notification,
        "attachments": attachments,
        "text": row.text,
    }
