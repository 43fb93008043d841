"""Each position of each Missive switch can be seen from outside."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from syncjob.sandbox import Limits, Window
from syncjob.sandbox.missive import MissiveWorld
from syncjob.sandbox.missive.things import Attachment

from .conftest import TUESDAY, MakeCaller


def test_ties_may_be_cut_at_the_limit(call_with: MakeCaller) -> None:
    for position, length in (("included", 12), ("cut", 5)):
        call = call_with(missive_ties=position)
        call.sandbox.world.make_ties("missive.conversations", 12, at=TUESDAY)
        assert len(call.conversation_ids(limit=5)) == length


def test_all_may_include_trash_and_junk(call_with: MakeCaller) -> None:
    for position in (False, True):
        call = call_with(missive_all_includes_trash=position)
        missive = call.sandbox.world.missive
        trashed, junked = missive.add_conversation(), missive.add_conversation()
        missive.trash(trashed)
        missive.junk(junked)
        assert ({trashed, junked} <= set(call.conversation_ids())) is position


def test_two_mailboxes_in_one_request(call_with: MakeCaller) -> None:
    lengths = {}
    for position in ("all must match", "first counts"):
        call = call_with(missive_mailboxes_together=position)
        lengths[position] = len(call.conversation_ids("all", trashed="true"))
    assert lengths["all must match"] == 0 < lengths["first counts"]
    assert call_with(missive_mailboxes_together="400").missive("conversations", all="true", inbox="true").status == 400


def test_the_most_a_page_may_ask_for(call_with: MakeCaller) -> None:
    call = call_with(missive_conversation_limit=10)
    assert call.missive("conversations", all="true", limit=50).json()["error"]["message"] == "max 'limit' value is 10"
    assert call.missive("conversations", all="true").status == 200


def test_permissions_may_shorten_a_page(call_with: MakeCaller) -> None:
    for position, length in ((False, 5), (True, 4)):
        call = call_with(missive_permission_shortens=position)
        missive = call.sandbox.world.missive
        for number in range(3):
            call.clock.forward(1)
            conversation = missive.add_conversation()
            if number == 1:
                missive.revoke_access(conversation)
        assert len(call.conversation_ids(limit=5)) == length


def test_a_page_may_repeat_a_row(call_with: MakeCaller) -> None:
    for position in (False, True):
        call = call_with(missive_page_repeats_row=position)
        first = call.missive("conversations", all="true", limit=5).json()["conversations"]
        second = call.conversation_ids(limit=5, until=first[-1]["last_activity_at"])
        assert (first[-2]["id"] in second) is position


def test_a_page_of_hidden_rows_is_passed_over_where_a_row_is_repeated(call_with: MakeCaller) -> None:
    call = call_with(missive_page_repeats_row=True, missive_permission_shortens=True)
    missive, shown = call.sandbox.world.missive, call.conversation_ids(limit=50)
    for _ in range(7):
        call.clock.forward(1)
        missive.revoke_access(missive.add_conversation())
    call.clock.forward(1)
    missive.add_conversation()
    assert shown[0] in call.conversation_ids(limit=5, until=int(call.clock()) - 1)


def test_a_change_reaches_the_lists_late(call_with: MakeCaller) -> None:
    call = call_with(missive_lag_seconds=30)
    conversation = call.sandbox.world.missive.add_conversation()
    assert call.conversation(conversation)["messages_count"] == 1
    assert conversation not in call.conversation_ids()
    call.clock.forward(30)
    assert conversation in call.conversation_ids()


def test_a_late_import_has_new_or_old_activity(call_with: MakeCaller) -> None:
    for position, activity in (("now", TUESDAY), ("own date", 1_600_000_000)):
        call = call_with(missive_late_import=position)
        missive = call.sandbox.world.missive
        conversation = missive.add_conversation(messages=0)
        missive.add_message(conversation, delivered_at=1_600_000_000)
        assert call.conversation(conversation)["last_activity_at"] == activity


def test_what_messages_count_counts(call_with: MakeCaller) -> None:
    for drafts, lowers, count in ((False, True, 1), (True, True, 2), (False, False, 2)):
        call = call_with(missive_counts_drafts=drafts, missive_delete_lowers_count=lowers)
        missive = call.sandbox.world.missive
        conversation = missive.add_conversation(messages=2)
        missive.delete_message(missive.conversations[conversation].message_ids[0])
        missive.add_draft(conversation)
        assert call.conversation(conversation)["messages_count"] == count
        assert len(call.missive(f"conversations/{conversation}/messages").json()["messages"]) == 1


def test_a_dead_id_in_a_batch(call_with: MakeCaller) -> None:
    for position, status in (("omitted", 200), ("404", 404)):
        call = call_with(missive_batch_dead_id=position)
        missive = call.sandbox.world.missive
        message = missive.add_message(missive.add_conversation(0))
        answer = call.missive(f"messages/{message},{uuid.UUID(int=1)}")
        assert answer.status == status
        assert status == 404 or [row["id"] for row in answer.json()["messages"]] == [message]


def test_the_order_and_the_size_of_a_batch(call_with: MakeCaller) -> None:
    orders = {"asked": (0, 1, 2), "reversed": (2, 1, 0), "newest first": (1, 2, 0)}
    for position, order in orders.items():
        call = call_with(missive_batch_order=position, missive_batch_max=3)
        missive = call.sandbox.world.missive
        conversation = missive.add_conversation(0)
        ids = [missive.add_message(conversation, delivered_at=TUESDAY - age) for age in (9, 1, 5)]
        rows = call.missive(f"messages/{','.join(ids)}").json()["messages"]
        assert [row["id"] for row in rows] == [ids[index] for index in order]
        assert call.missive(f"messages/{','.join([*ids, str(uuid.UUID(int=1))])}").status == 400


def test_lost_access_and_what_is_unknown(call_with: MakeCaller) -> None:
    for position in (404, 403):
        call = call_with(missive_lost_access=position)
        conversation = call.sandbox.world.missive.add_conversation()
        call.sandbox.world.missive.revoke_access(conversation)
        assert call.missive(f"conversations/{conversation}").status == position
    assert call_with(missive_not_found_body="empty").missive(f"conversations/{uuid.UUID(int=1)}").body == b""
    assert call_with(missive_malformed_id=404).missive("conversations/nonsense").status == 404


def test_children_under_a_merged_id(call_with: MakeCaller) -> None:
    for position, status in (("survivor", 200), ("404", 404)):
        call = call_with(missive_merged_children=position)
        missive = call.sandbox.world.missive
        old = missive.add_conversation()
        missive.merge(old, into=missive.add_conversation())
        answer = call.missive(f"conversations/{old}/messages")
        assert answer.status == status
        assert status == 404 or len(answer.json()["messages"]) == 2


def test_a_draft_may_get_another_id_when_it_is_sent(call_with: MakeCaller) -> None:
    for position in (True, False):
        call = call_with(missive_draft_keeps_id=position)
        missive = call.sandbox.world.missive
        draft = missive.add_draft(missive.add_conversation())
        assert (missive.send_draft(draft) == draft) is position


@pytest.mark.parametrize(("position", "body"), [("missing", "absent"), ("null", None), ("empty", "")])
def test_the_forms_of_a_redacted_message(call_with: MakeCaller, position: str, body: str | None) -> None:
    for recipients in (False, True):
        call = call_with(missive_redacted=position, missive_redacts_recipients=recipients)
        missive = call.sandbox.world.missive
        conversation = missive.add_conversation(0)
        message = missive.add_message(conversation)
        missive.redact_message(message)
        row = call.missive(f"messages/{message}").json()["messages"]
        assert row.get("body", "absent") == row.get("preview", "absent") == body
        assert bool(row.get("to_fields")) is not recipients
        listed = call.missive(f"conversations/{conversation}/messages").json()["messages"][0]
        assert ("preview" in listed) is (position != "missing")
        assert "body" not in listed


def test_fields_that_may_be_absent(call_with: MakeCaller) -> None:
    for name, field in (
        ("missive_closed_at", "closed_at"),
        ("missive_external_authors", "external_authors"),
        ("missive_created_at", "created_at"),
    ):
        for position in (True, False):
            call = call_with(**{name: position})
            assert (field in call.conversation(call.sandbox.world.missive.add_conversation())) is position
    for position in (True, False):
        call = call_with(missive_label_extras=position)
        missive = call.sandbox.world.missive
        label = missive.add_label("Child", parent_id=missive.add_label("Parent"))
        (row,) = call.conversation(missive.add_conversation(label_ids=(label,)))["shared_labels"]
        assert row.get("name_with_parent_names") == ("Parent/Child" if position else None)


@pytest.mark.parametrize(
    ("position", "sent", "received"),
    [("null when received", True, True), ("absent when received", True, False), ("absent", False, False)],
)
def test_the_author_of_a_message(call_with: MakeCaller, position: str, sent: bool, received: bool) -> None:
    call = call_with(missive_author=position)
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation(0)
    ours, theirs = missive.add_message(conversation, author_id=missive.me), missive.add_message(conversation)
    assert ("author" in call.missive(f"messages/{ours}").json()["messages"]) is sent
    assert ("author" in call.missive(f"messages/{theirs}").json()["messages"]) is received


@pytest.mark.parametrize(
    ("switch", "change"),
    [
        ("missive_label_bumps", lambda missive, row: missive.label(row, next(iter(missive.labels)))),
        ("missive_assign_bumps", lambda missive, row: missive.assign(row, missive.me)),
        ("missive_close_bumps", lambda missive, row: missive.close(row)),
        ("missive_close_bumps", lambda missive, row: missive.reopen(row)),
        ("missive_trash_bumps", lambda missive, row: missive.trash(row)),
        ("missive_trash_bumps", lambda missive, row: missive.junk(row)),
        ("missive_merge_bumps", lambda missive, row: missive.merge(row, into=another(missive, row), swap=True)),
        ("missive_delete_bumps", lambda missive, row: missive.delete_message(missive.conversations[row].message_ids[0])),
        ("missive_draft_bumps", lambda missive, row: missive.add_draft(row)),
        ("missive_subject_bumps", lambda missive, row: missive.rename_conversation(row, "x")),
        ("missive_edit_bumps", lambda missive, row: missive.edit_message(missive.conversations[row].message_ids[0], body="x")),
    ],
)
def test_what_moves_the_activity(call_with: MakeCaller, switch: str, change: Any) -> None:
    for position in (True, False):
        call = call_with(**{switch: position})
        missive = call.sandbox.world.missive
        conversation = missive.add_conversation(messages=2)
        call.clock.forward(100)
        change(missive, conversation)
        moved = call.conversation(conversation)["last_activity_at"]
        assert moved == (TUESDAY + 100 if position else TUESDAY)


def another(missive: MissiveWorld, row: str) -> str:
    """Any other conversation."""
    return next(other for other in missive.conversations if other != row)


def test_whether_an_edit_moves_the_update_stamp(call_with: MakeCaller) -> None:
    for position in (True, False):
        call = call_with(missive_edit_moves_updated_at=position)
        missive = call.sandbox.world.missive
        message = missive.add_message(missive.add_conversation(0))
        call.clock.forward(100)
        missive.edit_message(message, subject="New")
        row = call.missive(f"messages/{message}").json()["messages"]
        assert (row["subject"], row["updated_at"]) == ("New", TUESDAY + 100 * position)


def test_how_long_a_link_works(call_with: MakeCaller) -> None:
    call = call_with(missive_link_seconds=60)
    missive = call.sandbox.world.missive
    file = Attachment(missive.new_id(), "a.pdf", "application", "pdf", 10)
    message = missive.add_message(missive.add_conversation(0), attachments=(file,))
    assert f"Expires={TUESDAY + 60}&" in call.missive(f"messages/{message}").json()["messages"]["attachments"][0]["url"]


def test_limits_tell_headers_and_body(call_with: MakeCaller) -> None:
    one = Limits(missive=(Window(1, 60),))
    call = call_with(limits=one)
    assert "X-RateLimit-Limit" not in call.missive("users").headers
    call.clock.forward(20)
    refused = call.missive("users")
    assert (refused.status, refused.headers["Retry-After"], refused.json()["error"]["params"]) == (429, "40", {"retry_after": 40})
    assert refused.headers["X-RateLimit-Reset"] == str(TUESDAY + 60)
    always = call_with(limits=one, missive_limit_headers_always=True, missive_limit_body="empty")
    assert always.missive("users").headers["X-RateLimit-Remaining"] == "0"
    assert always.missive("users").body == b""
