"""What a perfect mirror holds, read straight from the world and never through the faces."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from .missive.things import Contact, Conversation, Message
from .teamwork.things import Task
from .world import World

Row = dict[str, Any]
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # NUL and half surrogates: some databases refuse them
REPLACEMENT = "\ufffd"


class Truth:
    """The live rows by key, with the columns of the contract; no `synced_at`, no `body_text`. Texts are storable."""

    def __init__(self, world: World, teamwork_url: str) -> None:
        self._world = world
        self._teamwork_url = teamwork_url
        self._our_addresses = {user.email for user in world.missive.users.values()}

    # --- tasks ---

    def tasks(self, process_after: date | None = None) -> dict[str, Row]:
        """What the key's user can see with every visibility flag on, created on that day or later."""
        first = _midnight(process_after)
        with self._world.lock:
            live = [task for task in self._world.teamwork.tasks.values() if self._is_live(task)]
            return {str(task.id): self._task(task) for task in live if task.created_at >= first}

    def gone_tasks(self) -> set[str]:
        """Tasks that this user could see at some time since the world began and that are now deleted, purged or out of sight."""
        with self._world.lock:
            return {str(task_id) for task_id in self._world.teamwork.ever_visible} - self.tasks().keys()

    def _is_live(self, task: Task) -> bool:
        teamwork = self._world.teamwork
        tasklist = teamwork.tasklists[task.tasklist_id]
        project = teamwork.projects[tasklist.project_id]
        hidden = (
            task.deleted_at is not None,
            tasklist.status == "deleted",
            project.status == "deleted",
            project.template,
            teamwork.me not in project.members,
            task.privacy == 1 and teamwork.me not in task.private_to,
        )
        return not any(hidden)

    def _task(self, task: Task) -> Row:
        teamwork = self._world.teamwork
        tasklist = teamwork.tasklists[task.tasklist_id]
        assignees = [teamwork.people[row].full_name for row in task.user_ids]
        assignees += [teamwork.teams[row].name for row in task.team_ids] + [teamwork.companies[row].name for row in task.company_ids]
        return {
            "task_id": str(task.id),
            "project_id": str(tasklist.project_id),
            "project_name": _text(teamwork.projects[tasklist.project_id].name),
            "tasklist_id": str(tasklist.id),
            "tasklist_name": _text(tasklist.name),
            "title": _text(task.name),
            "description": _text(task.description),
            "status": task.status,
            "priority": task.priority,
            "progress": task.progress,
            "tags": _names([teamwork.tags[tag_id].name for tag_id in task.tag_ids]),
            "assignees": _names(assignees),
            "parent_task_id": None if task.parent_id is None else str(task.parent_id),
            "start_at": task.start_date,
            "due_at": task.due_date,
            "created_at": _time(task.created_at),
            "updated_at": _time(task.updated_at),
            "completed_at": _time(task.completed_at),
            "deleted": False,
            "deleted_at": None,
            "source_links": {"web": f"{self._teamwork_url}/app/tasks/{task.id}"},
        }

    # --- emails ---

    def emails(self, process_after: date | None = None) -> dict[str, Row]:
        """The messages the token's user has, neither trashed nor junked for that user, delivered on that day or later."""
        first = _midnight(process_after)
        with self._world.lock:
            return {message.id: self._email(message, row) for message, row in self._live_messages() if message.when >= first}

    def gone_emails(self) -> set[str]:
        """Emails that this user had at some time since the world began and that are now deleted, trashed, junked or out of reach."""
        with self._world.lock:
            return self._world.missive.ever_live - self.emails().keys()

    def redacted_emails(self) -> set[str]:
        """Live emails whose body is withheld: `body_html` is then the body as last shown, which only who had read it before can hold."""
        with self._world.lock:
            return {message.id for message, _ in self._live_messages() if message.redacted}

    def attachments(self, process_after: date | None = None) -> dict[str, Row]:
        """The attachments of the live emails."""
        first, rows = _midnight(process_after), {}
        with self._world.lock:
            for message, _ in self._live_messages():
                for item in message.attachments if message.when >= first else ():
                    rows[item.id] = {
                        "attachment_id": item.id,
                        "email_id": message.id,
                        "filename": _text(item.filename),
                        "media_type": f"{item.media_type}/{item.sub_type}",
                        "size_bytes": item.size,
                        "inline": f'data-missive-attachment-id="{item.id}"' in (self._body(message) or ""),
                    }
        return rows

    def _live_messages(self) -> list[tuple[Message, Conversation]]:
        missive, live = self._world.missive, []
        for row in missive.conversations.values():
            mine = row.flags.get(missive.me)
            if mine is not None and not mine.trashed and not mine.junked:
                live += [(missive.messages[message_id], row) for message_id in row.message_ids]
        return live

    def _email(self, message: Message, row: Conversation) -> Row:
        missive = self._world.missive
        web_url = f"https://mail.missiveapp.com/#inbox/conversations/{row.id}"
        return {
            "email_id": message.id,
            "thread_id": row.id,
            "subject": _text(message.subject),
            "from_address": message.from_field.address,
            "from_name": _text(message.from_field.name),
            "to_addresses": _addresses(message.to_fields),
            "cc_addresses": _addresses(message.cc_fields),
            "bcc_addresses": _addresses(message.bcc_fields),
            "body_html": self._body(message),
            "sent_at": _time(message.when),
            "received_at": None if self._is_ours(message) else _time(message.when),
            "labels": _names([missive.labels[label_id].name for label_id in row.label_ids]),
            "message_type": message.type,
            "internet_message_id": message.email_message_id,
            "deleted": False,
            "deleted_at": None,
            "source_links": {"web": web_url},
        }

    def _body(self, message: Message) -> str | None:
        if message.redacted:
            return _text(self._world.missive.seen_bodies.get(message.id))
        return _text(message.body)

    def _is_ours(self, message: Message) -> bool:
        """Sent by us: with an author (where the API shows one), or from the address of a Missive user."""
        shows_author = message.type == "email" and self._world.switches.missive_author != "absent"
        return (shows_author and message.author_id is not None) or message.from_field.address in self._our_addresses


def _addresses(contacts: tuple[Contact, ...]) -> list[str]:
    return [contact.address for contact in contacts if contact.address is not None]


def _names(names: list[str]) -> list[str]:
    return sorted({UNSTORABLE.sub(REPLACEMENT, name) for name in names})


def _text(text: str | None) -> str | None:
    return None if text is None else UNSTORABLE.sub(REPLACEMENT, text)


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _midnight(day: date | None) -> float:
    return float("-inf") if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
