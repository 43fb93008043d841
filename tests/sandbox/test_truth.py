"""The truth equals what a naive reader finds through the faces, with every switch in every position."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from syncjob.sandbox import Sandbox, Switches

from .conftest import EVERYTHING, TUESDAY, Caller, Clock, MakeCaller


def read_tasks(call: Caller) -> dict[str, dict[str, Any]]:
    """Page after page by offset, which is safe while nothing changes."""
    found: dict[str, dict[str, Any]] = {}
    for page in range(1, 1000):
        rows = call.teamwork("tasks.json", **EVERYTHING, pageSize="50", page=str(page), orderBy="updatedat").json()["tasks"]
        found |= {str(row["id"]): row for row in rows}
        if len(rows) < 50:
            return found
    raise AssertionError("endless")


def read_emails(call: Caller) -> dict[str, dict[str, Any]]:
    """Every conversation of `all`, every page of its messages."""
    me = next(row["id"] for row in call.missive("users").json()["users"] if row["me"])
    found: dict[str, dict[str, Any]] = {}
    for conversation in read_conversations(call):
        mine = next((user for user in conversation.get("users", ()) if user["id"] == me), None)
        if mine is None or mine["trashed"] or mine["junked"]:
            continue
        for row in read_messages(call, conversation["id"]):
            found[row["id"]] = {**row, "thread_id": conversation["id"]}
    return found


def read_conversations(call: Caller) -> list[dict[str, Any]]:
    limit = call.sandbox.switches.missive_conversation_limit
    found: dict[str, dict[str, Any]] = {}
    until: int | None = None
    while True:
        params: dict[str, Any] = {} if until is None else {"until": until}
        rows = call.missive("conversations", all="true", limit=limit, **params).json()["conversations"]
        found |= {row["id"]: row for row in rows}
        if all(until is not None and row["last_activity_at"] > until for row in rows):
            return list(found.values())
        oldest = min(row["last_activity_at"] for row in rows)
        until = oldest if until is None or oldest < until else until - 1


def read_messages(call: Caller, conversation_id: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    until: int | None = None
    while True:
        params: dict[str, Any] = {} if until is None else {"until": until}
        rows = call.missive(f"conversations/{conversation_id}/messages", **params).json()["messages"]
        found |= {row["id"]: row for row in rows}
        if all(until is not None and row["delivered_at"] > until for row in rows):
            return list(found.values())
        oldest = min(row["delivered_at"] for row in rows)
        until = oldest if until is None or oldest < until else until - 1


def live_through(call: Caller) -> None:
    """A little of everything happens."""
    teamwork, missive = call.sandbox.world.teamwork, call.sandbox.world.missive
    call.clock.forward(10)
    tasks = [task.id for task in teamwork.tasks.values() if task.deleted_at is None and task.parent_id is None]
    teamwork.complete_task(tasks[0])
    teamwork.delete_task(tasks[1])
    teamwork.move_task(tasks[2], teamwork.add_tasklist("new", teamwork.add_project("new")))
    teamwork.delete_tasklist(teamwork.add_task("child", parent_id=tasks[3]) and teamwork.tasks[tasks[3]].tasklist_id)
    teamwork.tag_task(tasks[4], teamwork.add_tag("fresh"))
    teamwork.revoke_access(teamwork.project_of(teamwork.tasks[tasks[5]]).id)
    conversations = [row.id for row in missive.conversations.values() if missive.me in row.flags]
    missive.trash(conversations[0])
    missive.junk(conversations[1])
    missive.merge(conversations[2], into=conversations[3])
    missive.delete_conversation(conversations[4])
    missive.revoke_access(conversations[5], guest=True)
    missive.delete_message(missive.conversations[conversations[6]].message_ids[0])
    missive.add_message(conversations[7], delivered_at=TUESDAY - 86400)
    missive.send_draft(missive.add_draft(conversations[8]))
    missive.redact_message(missive.conversations[conversations[9]].message_ids[0])
    call.clock.forward(100)  # longer than any lag


VARIATIONS = [("none", None, Switches()), *Switches.variations()]


@pytest.mark.parametrize(("name", "position", "switches"), VARIATIONS, ids=[f"{name}={position}" for name, position, _ in VARIATIONS])
def test_the_truth_is_what_a_naive_reader_finds(name: str, position: object, switches: Switches) -> None:
    clock = Clock()
    call = Caller(Sandbox(5, 60, 24, switches=switches, clock=clock), clock)
    live_through(call)
    tasks, emails = call.sandbox.truth.tasks(), call.sandbox.truth.emails()
    read = read_tasks(call)
    assert read.keys() == tasks.keys()
    assert {key: row["name"] for key, row in read.items() if tasks[key]["title"] != row["name"] and row["name"].isprintable()} == {}
    assert {key: row["updatedAt"] for key, row in read.items()} == {
        key: f"{row['updated_at']:%Y-%m-%dT%H:%M:%SZ}" for key, row in tasks.items()
    }
    found = read_emails(call)
    assert found.keys() == emails.keys()
    assert {key: row["thread_id"] for key, row in found.items()} == {key: row["thread_id"] for key, row in emails.items()}
    assert {key: row["delivered_at"] for key, row in found.items()} == {key: int(row["sent_at"].timestamp()) for key, row in emails.items()}


def test_a_task_row_has_the_columns_of_the_contract(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    task = world.add_task(
        "nul\x00",
        description="<p>x</p>",
        due_date=date(2026, 2, 10),
        user_ids=(502, 503),
        team_ids=(61,),
        tag_ids=(73, 71, 77),
        priority="low",
    )
    child_id = world.add_task("child", parent_id=task)
    child = call.sandbox.truth.tasks()[str(child_id)]
    assert (child["parent_task_id"], child["priority"], child["tags"], child["due_at"]) == (str(task), None, [], None)
    row = call.sandbox.truth.tasks()[str(task)]
    people = [world.people[502].full_name, world.people[503].full_name, "Site crew"]
    assert row["title"] == "nul\ufffd"
    assert (row["tags"], row["assignees"]) == (["quote", "urgent"], sorted(set(people)))
    assert (row["due_at"], row["created_at"]) == (date(2026, 2, 10), datetime.fromtimestamp(TUESDAY, UTC))
    assert row["source_links"] == {"web": f"http://sandbox.test/app/tasks/{task}"}
    assert (row["deleted"], row["deleted_at"], row["completed_at"]) == (False, None, None)


def test_received_at_is_null_for_mail_sent_by_us(call_with: MakeCaller) -> None:
    for position, by_author in (("null when received", True), ("absent", False)):
        call = call_with(missive_author=position)
        missive = call.sandbox.world.missive
        conversation, us = missive.add_conversation(0), missive.users[missive.me]
        theirs = missive.add_message(conversation)
        alias = missive.add_message(
            conversation, author_id=us.id, from_field=replace(missive.messages[theirs].from_field, address="desk@acme.test")
        )
        synced = missive.add_message(conversation, from_field=replace(missive.messages[theirs].from_field, address=us.email))
        rows = call.sandbox.truth.emails()
        assert rows[theirs]["received_at"] == rows[theirs]["sent_at"]
        assert (rows[alias]["received_at"] is None) is by_author
        assert rows[synced]["received_at"] is None


def test_labels_are_names_without_their_parents(call: Caller) -> None:
    missive = call.sandbox.world.missive
    parent = missive.add_label("Parent")
    labels = (missive.add_label("b", parent), missive.add_label("B"), missive.add_label("b"))
    conversation = missive.add_conversation(label_ids=labels)
    (message,) = missive.conversations[conversation].message_ids
    assert call.sandbox.truth.emails()[message]["labels"] == ["B", "b"]


def test_gone_keys_were_once_there_and_come_back(call: Caller) -> None:
    world, missive = call.sandbox.world.teamwork, call.sandbox.world.missive
    assert call.sandbox.truth.gone_tasks() == call.sandbox.truth.gone_emails() == set()
    task, conversation = world.add_task("x"), missive.add_conversation()
    (message,) = missive.conversations[conversation].message_ids
    project = world.project_of(world.tasks[task]).id
    world.revoke_access(project)
    missive.trash(conversation)
    assert str(task) in call.sandbox.truth.gone_tasks()
    assert call.sandbox.truth.gone_emails() == {message}
    world.grant_access(project)
    missive.untrash(conversation)
    assert call.sandbox.truth.gone_tasks() == call.sandbox.truth.gone_emails() == set()
    world.purge_task(task)
    missive.delete_conversation(conversation)
    assert (call.sandbox.truth.gone_tasks(), call.sandbox.truth.gone_emails()) == ({str(task)}, {message})


def test_process_after_is_a_day_inclusive(call: Caller) -> None:
    world = call.sandbox.world.teamwork
    midnight = int(datetime(2026, 1, 6, tzinfo=UTC).timestamp())
    before, after = world.add_task("before", created_at=midnight - 1), world.add_task("after", created_at=midnight)
    rows = call.sandbox.truth.tasks(date(2026, 1, 6))
    assert str(after) in rows
    assert str(before) not in rows
    mail = call.sandbox.world.missive.add_message(call.sandbox.world.missive.add_conversation(0), delivered_at=midnight - 1)
    assert mail not in call.sandbox.truth.emails(date(2026, 1, 6))


def test_a_redacted_body_is_the_one_last_shown(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation(0)
    later, always = missive.add_message(conversation, body="<p>x</p>"), missive.add_message(conversation, redacted=True)
    missive.redact_message(later)
    rows = call.sandbox.truth.emails()
    assert (rows[later]["body_html"], rows[always]["body_html"]) == ("<p>x</p>", None)
    assert {later, always} <= call.sandbox.truth.redacted_emails()


def test_attachments_say_whether_they_are_inline(call: Caller) -> None:
    for row in call.sandbox.truth.attachments().values():
        assert row["inline"] is (row["media_type"] == "image/png")
        assert row["email_id"] in call.sandbox.truth.emails()
