"""Conversations and messages by id: shapes, trash, merge, drafts, attachments (Missive reference sections 2, 4, 5, 9)."""

from __future__ import annotations

import uuid
from typing import Any

from syncjob.sandbox import Request
from syncjob.sandbox.missive.things import Attachment, Contact

from .conftest import TUESDAY, Caller


def test_a_conversation_is_a_one_element_array(call: Caller) -> None:
    conversation = call.sandbox.world.missive.add_conversation(messages=2)
    rows = call.missive(f"conversations/{conversation}").json()["conversations"]
    assert isinstance(rows, list)
    assert (len(rows), rows[0]["messages_count"], rows[0]["latest_message_subject"]) == (1, 2, "Hello")
    assert rows[0]["web_url"] == f"https://mail.missiveapp.com/#inbox/conversations/{conversation}"


def test_one_message_is_an_object_and_several_are_an_array(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation(messages=2)
    first, second = missive.conversations[conversation].message_ids
    one = call.missive(f"messages/{first}").json()["messages"]
    assert (one["id"], one["conversation"]["id"]) == (first, conversation)
    assert one["body"].startswith("<div>")
    assert "last_activity_at" not in one["conversation"]
    both = call.missive(f"messages/{first},{second}").json()["messages"]
    assert [row["id"] for row in both] == [first, second]


def test_bodies_can_be_as_long_as_a_test_needs_them(call: Caller) -> None:
    missive = call.sandbox.world.missive
    (message,) = missive.conversations[missive.add_conversation(messages=1)].message_ids
    short = call.missive(f"messages/{message}").json()["messages"]["body"]
    missive.padding = 100_000
    long = call.missive(f"messages/{message}").json()["messages"]["body"]
    assert long.startswith(short)
    assert len(long) == len(short) + 100_000


def test_messages_by_their_header(call: Caller) -> None:
    missive = call.sandbox.world.missive
    message = missive.add_message(missive.add_conversation(messages=0))
    rows = call.missive("messages", email_message_id=missive.messages[message].email_message_id).json()["messages"]
    assert [row["id"] for row in rows] == [message]


def test_unknown_and_malformed_ids(call: Caller) -> None:
    assert call.missive(f"conversations/{uuid.UUID(int=1)}").status == 404
    assert call.missive(f"messages/{uuid.UUID(int=1)}").status == 404
    assert call.missive("messages/nonsense").status == 400


def test_text_messages_have_no_addresses_and_no_subject(call: Caller) -> None:
    missive = call.sandbox.world.missive
    phone = Contact("Leo", phone_number="+4930123")
    fields: dict[str, Any] = {"type": "sms", "subject": None, "from_field": phone, "to_fields": (phone,), "email_message_id": None}
    row = call.missive(f"messages/{missive.add_message(missive.add_conversation(0), **fields)}").json()["messages"]
    assert row["from_field"] == {"id": "+4930123", "name": "Leo", "username": None}
    assert {"subject", "cc_fields", "email_message_id"}.isdisjoint(row)


def test_trash_is_one_user_s_unless_it_comes_from_a_team_inbox(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation, other = missive.add_conversation(), list(missive.users)[1]
    missive.trash(conversation, by=other)
    assert conversation in call.conversation_ids("all")
    assert conversation not in call.conversation_ids("trashed")
    missive.trash(conversation, by=other, from_team_inbox=True)
    assert conversation in call.conversation_ids("trashed")
    mine = next(user for user in call.conversation(conversation)["users"] if user["id"] == missive.me)
    assert mine["trashed"] is True
    missive.untrash(conversation)
    assert conversation in call.conversation_ids("all")
    missive.junk(conversation)
    assert conversation in call.conversation_ids("junked")
    missive.unjunk(conversation)
    assert conversation in call.conversation_ids("all")


def test_a_merge_forwards_the_old_id_and_keeps_the_messages(call: Caller) -> None:
    missive = call.sandbox.world.missive
    for swap in (False, True):
        one, other = missive.add_conversation(), missive.add_conversation()
        messages = [missive.conversations[row].message_ids[0] for row in (one, other)]
        survivor = missive.merge(one, into=other, swap=swap)
        assert survivor == (one if swap else other)
        for conversation in (one, other):
            assert call.conversation(conversation)["id"] == survivor
        rows = call.missive(f"messages/{','.join(messages)}").json()["messages"]
        assert {row["conversation"]["id"] for row in rows} == {survivor}
        assert [row for row in (one, other) if row in call.conversation_ids()] == [survivor]


def test_a_conversation_holds_at_most_400_messages(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation(messages=400)
    message = missive.add_message(conversation)
    assert missive.messages[message].conversation_id != conversation
    assert call.conversation(conversation)["messages_count"] == 400


def test_a_deleted_conversation_is_gone_with_everything_in_it(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation()
    (message,) = missive.conversations[conversation].message_ids
    missive.delete_conversation(conversation)
    assert conversation not in call.conversation_ids()
    assert call.missive(f"conversations/{conversation}").status == call.missive(f"messages/{message}").status == 404


def test_access_lost_and_given_back(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation()
    (message,) = missive.conversations[conversation].message_ids
    missive.revoke_access(conversation)
    assert conversation not in call.conversation_ids()
    assert call.missive(f"messages/{message}").status == 404
    missive.grant_access(conversation)
    assert conversation in call.conversation_ids()


def test_a_draft_is_sent_or_discarded(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation()
    sent, dropped = missive.add_draft(conversation), missive.add_draft(conversation)
    assert call.conversation(conversation)["drafts_count"] == 2
    assert call.missive(f"messages/{sent}").json()["messages"]["delivered_at"] is None
    call.clock.forward(60)
    missive.send_draft(sent)
    missive.discard_draft(dropped)
    row = call.conversation(conversation)
    assert (row["drafts_count"], row["messages_count"], row["last_activity_at"]) == (0, 2, TUESDAY + 60)
    message = call.missive(f"messages/{sent}").json()["messages"]
    assert (message["delivered_at"], message["author"]["id"]) == (TUESDAY + 60, missive.me)
    assert call.missive(f"messages/{dropped}").status == 404


def test_attachment_links_change_expire_and_take_no_token(call: Caller) -> None:
    missive = call.sandbox.world.missive
    file = Attachment(missive.new_id(), "a/b c.png", "image", "png", 2048)
    message = missive.add_message(missive.add_conversation(0), attachments=(file,))

    def link() -> str:
        row = call.missive(f"messages/{message}").json()["messages"]["attachments"][0]
        assert (row["media_type"], row["sub_type"], row["size"]) == ("image", "png", 2048)
        return str(row["url"])

    def fetch(url: str, **headers: str) -> int:
        answer = call.sandbox.respond(Request.read("GET", url, headers))
        assert answer.status != 200 or len(answer.body) == 2048
        return answer.status

    first, second = link(), link()
    assert first != second
    assert fetch(first) == fetch(second) == 200
    assert fetch(first, Authorization="Bearer missive_pat-sandbox") == 400
    assert fetch(first.replace("Signature=", "Signature=0")) == 403
    call.clock.forward(3601)
    assert fetch(first) == 403
    assert fetch(link()) == 200


def test_renaming_changes_the_conversation_and_not_its_messages(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation, label = missive.add_conversation(), missive.add_label("Before")
    missive.label(conversation, label)
    missive.rename_conversation(conversation, "By hand")
    missive.rename_label(label, "After")
    row = call.conversation(conversation)
    assert (row["subject"], row["latest_message_subject"], row["shared_label_names"]) == ("By hand", "Hello", "After")
    missive.unlabel(conversation, label)
    assert call.conversation(conversation)["shared_labels"] == []
