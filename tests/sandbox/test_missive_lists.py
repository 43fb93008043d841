"""Lists of conversations and messages: mailboxes, `until`, ties, limits (Missive reference sections 2, 3, 6)."""

from __future__ import annotations

import pytest

from syncjob.sandbox import Request

from .conftest import TUESDAY, Caller, MakeCaller


def walk(call: Caller, mailbox: str, limit: int) -> list[str]:
    """Every id of a mailbox, the way the reference says to page."""
    seen: dict[str, None] = {}
    until: int | None = None
    while True:
        params = {} if until is None else {"until": until}
        rows = call.missive("conversations", **{mailbox: "true", "limit": limit, **params}).json()["conversations"]
        seen.update(dict.fromkeys(row["id"] for row in rows))
        oldest = min((row["last_activity_at"] for row in rows), default=until)
        if len(rows) < limit:
            return list(seen)
        until = oldest - 1 if oldest == until else oldest  # type: ignore[operator]


def test_a_mailbox_is_required(call: Caller) -> None:
    answer = call.missive("conversations")
    assert (answer.status, answer.json()["error"]["message"]) == (400, "You need to paginate at least one mailbox")


@pytest.mark.parametrize(
    ("path", "limit", "text"),
    [
        ("conversations", 1, "min 'limit' value is 2"),
        ("conversations", 51, "max 'limit' value is 50"),
        ("users", 201, "max 'limit' value is 200"),
        ("conversations/{id}/messages", 11, "max 'limit' value is 10"),
    ],
)
def test_limits_have_a_range(call: Caller, path: str, limit: int, text: str) -> None:
    conversation = call.sandbox.world.missive.add_conversation()
    answer = call.missive(path.format(id=conversation), all="true", limit=limit)
    assert (answer.status, answer.json()["error"]["message"]) == (400, text)


def test_walking_a_mailbox_meets_each_conversation_once(call: Caller) -> None:
    missive = call.sandbox.world.missive
    call.sandbox.world.make_ties("missive.conversations", 9, at=TUESDAY - 1000)
    trashed = {row.id for row in missive.conversations.values() if missive.me in row.flags and row.flags[missive.me].trashed}
    junked = {row.id for row in missive.conversations.values() if missive.me in row.flags and row.flags[missive.me].junked}
    visible = {row.id for row in missive.conversations.values() if missive.me in row.flags or missive.me in row.guest_ids}
    for limit in (2, 5, 50):
        assert set(walk(call, "all", limit)) == visible - trashed - junked
        assert set(walk(call, "trashed", limit)) == trashed
        assert set(walk(call, "junked", limit)) == junked


def test_until_is_inclusive_and_newest_comes_first(call: Caller) -> None:
    rows = call.missive("conversations", all="true", limit=5).json()["conversations"]
    stamps = [row["last_activity_at"] for row in rows]
    assert stamps == sorted(stamps, reverse=True)
    again = call.missive("conversations", all="true", limit=5, until=stamps[-1]).json()["conversations"]
    assert again[0]["id"] == rows[-1]["id"]


def test_a_page_holds_all_ties_of_its_last_second(call: Caller) -> None:
    call.sandbox.world.make_ties("missive.conversations", 12, at=TUESDAY)
    assert len(call.conversation_ids(limit=5)) == 12


def test_a_guest_sees_only_a_stub(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation()
    missive.revoke_access(conversation, guest=True)
    stub = {"id": conversation, "last_activity_at": TUESDAY}
    assert call.missive("conversations", all="true", limit=2).json()["conversations"][0] == stub
    assert call.conversation(conversation) == stub
    assert call.missive(f"conversations/{conversation}/messages").status == 404


def test_mailboxes_by_flag_and_by_id(call: Caller) -> None:
    missive = call.sandbox.world.missive
    label, team = missive.add_label("Own"), next(iter(missive.teams))
    conversation = missive.add_conversation(team_id=team)
    missive.label(conversation, label)
    assert call.conversation_ids("shared_label", shared_label=label) == [conversation]
    assert conversation in call.conversation_ids("team_inbox", team_inbox=team)
    assert conversation in call.conversation_ids("inbox")
    missive.assign(conversation, missive.me)
    assert conversation in call.conversation_ids("assigned")
    missive.close(conversation)
    assert conversation in call.conversation_ids("closed")
    assert conversation not in call.conversation_ids("inbox")
    missive.add_draft(conversation)
    assert conversation in call.conversation_ids("drafts")
    assert conversation in call.conversation_ids("all")


def test_messages_are_listed_without_bodies_and_drafts_apart(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation()
    draft = missive.add_draft(conversation)
    rows = call.missive(f"conversations/{conversation}/messages").json()["messages"]
    assert len(rows) == 1
    assert rows[0]["draft"] is False
    assert rows[0]["preview"].startswith("Message")
    assert {"body", "conversation"}.isdisjoint(rows[0])
    drafts = call.missive(f"conversations/{conversation}/drafts").json()["drafts"]
    assert [(row["id"], row["delivered_at"]) for row in drafts] == [(draft, None)]


def test_a_back_dated_message_appears_in_the_middle_of_its_list(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation(messages=2)
    call.clock.forward(100)
    newest = missive.add_message(conversation)
    late = missive.add_message(conversation, delivered_at=TUESDAY + 50)
    rows = call.missive(f"conversations/{conversation}/messages").json()["messages"]
    assert [row["id"] for row in rows][:2] == [newest, late]
    assert rows[1]["created_at"] == TUESDAY + 100


def test_comments_and_posts(call: Caller) -> None:
    missive = call.sandbox.world.missive
    conversation = missive.add_conversation()
    missive.close(conversation)
    call.clock.forward(10)
    comment, post = missive.add_comment(conversation), missive.add_post(conversation)
    assert [row["id"] for row in call.missive(f"conversations/{conversation}/comments").json()["comments"]] == [comment]
    assert [row["id"] for row in call.missive(f"conversations/{conversation}/posts").json()["posts"]] == [post]
    row = call.conversation(conversation)
    assert (row["last_activity_at"], row["closed_at"]) == (TUESDAY + 10, None)


def test_directories_page_by_offset(call: Caller) -> None:
    users = call.missive("users").json()["users"]
    assert [row["me"] for row in users].count(True) == 1
    assert call.missive("users", limit=2, offset=2).json()["users"] == users[2:4]
    labels = call.missive("shared_labels").json()["shared_labels"]
    assert any(row["name_with_parent_names"] == f"Sales/{row['name']}" for row in labels)
    assert call.missive("organizations").json()["organizations"]
    assert call.missive("teams").json()["teams"][0]["active_members"]


@pytest.mark.parametrize("header", ["", "Bearer sandbox", "Bearer missive_pat-other", "Basic missive_pat-sandbox"])
def test_a_wrong_token_is_401(call: Caller, header: str) -> None:
    answer = call.sandbox.respond(Request("GET", "/v1/users", {}, {"Authorization": header}))
    assert (answer.status, answer.json()["error"]["message"]) == (401, "Authentication token is invalid or has been revoked")


def test_another_token_sees_with_other_eyes(call_with: MakeCaller) -> None:
    call = call_with()
    missive = call.sandbox.world.missive
    other = list(missive.users)[1]
    missive.tokens["missive_pat-other"] = other
    conversation = missive.add_conversation()
    missive.trash(conversation)
    request = Request("GET", "/v1/conversations", {"all": "true"}, {"Authorization": "Bearer missive_pat-other"})
    assert conversation in {row["id"] for row in call.sandbox.respond(request).json()["conversations"]}
    assert conversation not in call.conversation_ids()
