"""The fake Missive account: what exists, who may see it, and the verbs that change it."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ..clockwork import Clockwork, verb
from ..listing import Listing
from ..switches import Switches
from .things import MOST_MESSAGES, Attachment, Comment, Contact, Conversation, Flags, Label, Message, Organization, Post, Team, User


class MissiveWorld(Clockwork):
    """Everything in the account. Plain dicts to read; only the verbs change them, each stamping with the world's clock."""

    def __init__(self, switches: Switches, clock: Callable[[], float], lock: threading.RLock, rng: random.Random) -> None:
        super().__init__(switches, clock, lock, rng)
        self.organizations: dict[str, Organization] = {}
        self.users: dict[str, User] = {}
        self.teams: dict[str, Team] = {}
        self.labels: dict[str, Label] = {}
        self.conversations: dict[str, Conversation] = {}
        self.messages: dict[str, Message] = {}  # drafts too
        self.merged: dict[str, str] = {}  # the id of a conversation that was merged away -> the one it went into
        self.tokens: dict[str, str] = {}  # API token -> user
        self.me = ""  # the user of the first token: whose view `ever_live` records
        self.ever_live: set[str] = set()  # messages that this user had, neither trashed nor junked, at some time since the world began
        self.padding = 0  # bytes by which every body is longer than it is kept here, when it is answered
        self.seen_bodies: dict[str, str] = {}  # of redacted messages: the body as it was last shown
        self.listing: Listing[str, Conversation] = Listing({"activity": lambda row: row.last_activity_at})

    # --- reading ---

    def survivor(self, conversation_id: str) -> str:
        """The id under which a conversation lives on after merges."""
        while conversation_id in self.merged:
            conversation_id = self.merged[conversation_id]
        return conversation_id

    def messages_of(self, conversation: Conversation) -> list[Message]:
        """Without drafts, newest first."""
        found = [self.messages[message_id] for message_id in conversation.message_ids if message_id in self.messages]
        return sorted(found, key=lambda message: (message.when, message.id), reverse=True)

    # --- conversations and messages ---

    @verb
    def add_conversation(self, messages: int = 1, *, subject: str | None = "Hello", **fields: Any) -> str:
        """A new conversation, in everybody's reach unless `flags` says otherwise; returns its id. Fields are those of `Conversation`."""
        now, conversation_id = self.now(), self.new_id()
        everyone = {user_id: Flags() for user_id in self.users}
        basics: dict[str, Any] = {"created_at": now, "last_activity_at": now, "flags": everyone}
        basics["organization_id"] = next(iter(self.organizations), None)
        self._store(Conversation(conversation_id, **{**basics, **fields}))
        for _ in range(messages):
            conversation_id = self.conversations[self.messages[self.add_message(conversation_id, subject=subject)].conversation_id].id
        return conversation_id

    @verb
    def add_tie(self, stamp: int) -> str:
        """A new conversation of one message whose activity is exactly `stamp`; returns its id."""
        conversation_id = self.add_conversation(messages=0, created_at=stamp)
        self.add_message(conversation_id, delivered_at=stamp)
        self._store(replace(self.conversations[conversation_id], last_activity_at=stamp))
        return conversation_id

    @verb
    def add_message(self, conversation_id: str, *, delivered_at: int | None = None, **fields: Any) -> str:
        """A message arrives; returns its id. Fields are those of `Message`.

        With a `delivered_at` in the past it is a late import. A full conversation stays as it is and the message starts a new one.
        """
        now, conversation = self.now(), self._room_in(conversation_id)
        message = self._message(conversation.id, **{"delivered_at": now if delivered_at is None else delivered_at, **fields})
        self.messages[message.id] = message
        activity = now
        if delivered_at is not None and self.switches.missive_late_import == "own date":
            activity = delivered_at if not conversation.message_ids else max(conversation.last_activity_at, delivered_at)
        self._store(replace(conversation, message_ids=(*conversation.message_ids, message.id), last_activity_at=activity))
        return message.id

    @verb
    def edit_message(self, message_id: str, **fields: Any) -> None:
        """Change any field of `Message`."""
        moved = {"updated_at": self.now()} if self.switches.missive_edit_moves_updated_at else {}
        message = replace(self.messages[message_id], **{**moved, **fields})
        self.messages[message_id] = message
        self._touch(message.conversation_id, bump=self.switches.missive_edit_bumps)

    @verb
    def delete_message(self, message_id: str) -> None:
        """One message, for good."""
        message = self.messages.pop(message_id)
        conversation = self.conversations[message.conversation_id]
        self._touch(
            conversation.id,
            bump=self.switches.missive_delete_bumps,
            message_ids=tuple(other for other in conversation.message_ids if other != message_id),
            draft_ids=tuple(other for other in conversation.draft_ids if other != message_id),
            miscounted=conversation.miscounted + (not message.draft and not self.switches.missive_delete_lowers_count),
        )

    @verb
    def redact_message(self, message_id: str) -> None:
        """From now on its content is withheld from the token's user."""
        self.seen_bodies[message_id] = self.messages[message_id].body
        self.messages[message_id] = replace(self.messages[message_id], redacted=True)

    @verb
    def add_draft(self, conversation_id: str, **fields: Any) -> str:
        """Somebody begins to write; returns the draft's id."""
        author = self.users[str(fields.pop("author_id", self.me))]
        basics = {"author_id": author.id, "from_field": Contact(author.name, author.email), "delivered_at": None, "draft": True}
        draft = self._message(self.survivor(conversation_id), **{**basics, **fields})
        self.messages[draft.id] = draft
        conversation = self.conversations[draft.conversation_id]
        self._touch(conversation.id, bump=self.switches.missive_draft_bumps, draft_ids=(*conversation.draft_ids, draft.id))
        return draft.id

    @verb
    def send_draft(self, draft_id: str) -> str:
        """It becomes a message; returns the message's id, by switch the same or another."""
        draft, now = self.messages.pop(draft_id), self.now()
        message_id = draft_id if self.switches.missive_draft_keeps_id else self.new_id()
        self.messages[message_id] = replace(draft, id=message_id, draft=False, delivered_at=now, updated_at=now)
        conversation = self.conversations[draft.conversation_id]
        rest = tuple(other for other in conversation.draft_ids if other != draft_id)
        self._touch(conversation.id, bump=True, draft_ids=rest, message_ids=(*conversation.message_ids, message_id))
        return message_id

    @verb
    def discard_draft(self, draft_id: str) -> None:
        """Never sent."""
        conversation = self.conversations[self.messages.pop(draft_id).conversation_id]
        rest = tuple(other for other in conversation.draft_ids if other != draft_id)
        self._touch(conversation.id, bump=self.switches.missive_draft_bumps, draft_ids=rest)

    @verb
    def add_comment(self, conversation_id: str, text: str = "Looks good", by: str | None = None) -> str:
        """Internal chat: counts as activity; returns the comment's id."""
        conversation = self._get(conversation_id)
        comment = Comment(self.new_id(), text, self.now(), by or self.me)
        self._touch(conversation.id, bump=True, comments=(*conversation.comments, comment))
        return comment.id

    @verb
    def add_post(self, conversation_id: str, text: str = "Deployed") -> str:
        """From an integration: counts as activity and reopens a closed conversation; returns the post's id."""
        conversation = self._get(conversation_id)
        post = Post(self.new_id(), text, self.now())
        self._touch(conversation.id, bump=True, posts=(*conversation.posts, post), closed_at=None)
        return post.id

    # --- what belongs to the conversation ---

    @verb
    def label(self, conversation_id: str, label_id: str) -> None:
        """Add a shared label."""
        labels = tuple(other for other in self._get(conversation_id).label_ids if other != label_id)
        self._touch(conversation_id, bump=self.switches.missive_label_bumps, label_ids=(*labels, label_id))

    @verb
    def unlabel(self, conversation_id: str, label_id: str) -> None:
        """Take a shared label away."""
        labels = tuple(other for other in self._get(conversation_id).label_ids if other != label_id)
        self._touch(conversation_id, bump=self.switches.missive_label_bumps, label_ids=labels)

    @verb
    def add_label(self, name: str, parent_id: str | None = None) -> str:
        """A new shared label, below another one if told; returns its id."""
        label_id = self.new_id()
        self.labels[label_id] = Label(label_id, name, None, next(iter(self.organizations)), parent_id)
        return label_id

    @verb
    def rename_label(self, label_id: str, name: str) -> None:
        """Conversations with the label are not touched."""
        self.labels[label_id] = replace(self.labels[label_id], name=name)

    @verb
    def rename_conversation(self, conversation_id: str, subject: str | None) -> None:
        """Give the conversation a subject of its own; its messages keep theirs."""
        self._touch(conversation_id, bump=self.switches.missive_subject_bumps, subject=subject)

    @verb
    def assign(self, conversation_id: str, *user_ids: str) -> None:
        """To exactly these users."""
        conversation = self._get(conversation_id)
        flags = {user_id: replace(flag, assigned=user_id in user_ids) for user_id, flag in conversation.flags.items()}
        self._touch(conversation_id, bump=self.switches.missive_assign_bumps, assignee_ids=user_ids, flags=flags)

    @verb
    def close(self, conversation_id: str) -> None:
        """Done, for everybody."""
        flags = {user_id: replace(flag, closed=True) for user_id, flag in self._get(conversation_id).flags.items()}
        self._touch(conversation_id, bump=self.switches.missive_close_bumps, flags=flags, closed_at=self.now())

    @verb
    def reopen(self, conversation_id: str) -> None:
        """Not done after all."""
        flags = {user_id: replace(flag, closed=False) for user_id, flag in self._get(conversation_id).flags.items()}
        self._touch(conversation_id, bump=self.switches.missive_close_bumps, flags=flags, closed_at=None)

    @verb
    def trash(self, conversation_id: str, by: str | None = None, *, from_team_inbox: bool = False) -> None:
        """For one user (the token's, unless told), or for everybody when done from a team inbox (section 5)."""
        self._flag(conversation_id, self._reached(conversation_id, by, everyone=from_team_inbox), trashed=True)

    @verb
    def untrash(self, conversation_id: str, by: str | None = None, *, from_team_inbox: bool = False) -> None:
        """Back out of the trash."""
        self._flag(conversation_id, self._reached(conversation_id, by, everyone=from_team_inbox), trashed=False)

    @verb
    def junk(self, conversation_id: str, by: str | None = None) -> None:
        """Spam, for one user (the token's, unless told)."""
        self._flag(conversation_id, [by or self.me], junked=True)

    @verb
    def unjunk(self, conversation_id: str, by: str | None = None) -> None:
        """Not spam after all."""
        self._flag(conversation_id, [by or self.me], junked=False)

    @verb
    def archive(self, conversation_id: str, by: str | None = None) -> None:
        """Out of one user's inbox; still in `all`."""
        self._flag(conversation_id, [by or self.me], bump=False, archived=True)

    @verb
    def merge(self, conversation_id: str, *, into: str, swap: bool = False) -> str:
        """Two conversations become one; returns the survivor's id: `into`, or with `swap` the other one (section 5)."""
        lost, kept = self._get(conversation_id), self._get(into)
        if swap:
            lost, kept = kept, lost
        self.merged[lost.id] = kept.id
        for message_id in (*lost.message_ids, *lost.draft_ids):
            self.messages[message_id] = replace(self.messages[message_id], conversation_id=kept.id)
        self._drop(lost.id)
        self._touch(
            kept.id,
            bump=self.switches.missive_merge_bumps,
            message_ids=kept.message_ids + lost.message_ids,
            draft_ids=kept.draft_ids + lost.draft_ids,
            comments=kept.comments + lost.comments,
            posts=kept.posts + lost.posts,
            miscounted=kept.miscounted + lost.miscounted,
        )
        return kept.id

    @verb
    def delete_conversation(self, conversation_id: str) -> None:
        """For good, with everything in it."""
        conversation = self._get(conversation_id)
        for message_id in (*conversation.message_ids, *conversation.draft_ids):
            del self.messages[message_id]
        self._drop(conversation.id)

    @verb
    def revoke_access(self, conversation_id: str, user_id: str | None = None, *, guest: bool = False) -> None:
        """The user (the token's, unless told) no longer sees the conversation, or as a guest only a stub of it."""
        conversation, user_id = self._get(conversation_id), user_id or self.me
        flags = {other: flag for other, flag in conversation.flags.items() if other != user_id}
        guests = conversation.guest_ids | {user_id} if guest else conversation.guest_ids - {user_id}
        self._touch(conversation_id, bump=False, flags=flags, guest_ids=guests)

    @verb
    def grant_access(self, conversation_id: str, user_id: str | None = None) -> None:
        """The user (the token's, unless told) sees the whole conversation."""
        conversation, user_id = self._get(conversation_id), user_id or self.me
        flags = {**conversation.flags, user_id: Flags()}
        self._touch(conversation_id, bump=False, flags=flags, guest_ids=conversation.guest_ids - {user_id})

    # --- for the seed ---

    def new_id(self) -> str:
        """An id that nothing else has."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def plant(self, conversation: Conversation, messages: Iterable[Message]) -> None:
        """Put a conversation into the world as it is, listed at once."""
        self.messages.update((message.id, message) for message in messages)
        self._store(conversation, lag=0)

    def note_live(self, conversation: Conversation) -> None:
        """Remember the messages that the first token's user has now."""
        mine = conversation.flags.get(self.me)
        if mine is not None and not mine.trashed and not mine.junked:
            self.ever_live.update(conversation.message_ids)

    # --- inside ---

    def _get(self, conversation_id: str) -> Conversation:
        return self.conversations[self.survivor(conversation_id)]

    def _store(self, conversation: Conversation, *, lag: int | None = None) -> None:
        self.conversations[conversation.id] = conversation
        self.note_live(conversation)
        self._list(conversation.id, conversation, lag=lag)

    def _drop(self, conversation_id: str) -> None:
        del self.conversations[conversation_id]
        self._list(conversation_id, None)

    def _list(self, conversation_id: str, conversation: Conversation | None, *, lag: int | None = None) -> None:
        seconds = self.switches.missive_lag_seconds if lag is None else lag
        self.listing.change(conversation_id, conversation, at=self.clock(), lag=seconds)

    def _touch(self, conversation_id: str, *, bump: bool, **fields: Any) -> None:
        moved = {"last_activity_at": self.now()} if bump else {}
        self._store(replace(self._get(conversation_id), **{**moved, **fields}))

    def _flag(self, conversation_id: str, user_ids: Iterable[str], *, bump: bool | None = None, **fields: bool) -> None:
        flags = dict(self._get(conversation_id).flags)
        for user_id in user_ids:
            flags[user_id] = replace(flags[user_id], **fields)
        self._touch(conversation_id, bump=self.switches.missive_trash_bumps if bump is None else bump, flags=flags)

    def _reached(self, conversation_id: str, by: str | None, *, everyone: bool) -> list[str]:
        return list(self._get(conversation_id).flags) if everyone else [by or self.me]

    def _room_in(self, conversation_id: str) -> Conversation:
        conversation = self._get(conversation_id)
        if len(conversation.message_ids) < MOST_MESSAGES:
            return conversation
        started = replace(
            conversation, id=self.new_id(), created_at=self.now(), message_ids=(), draft_ids=(), comments=(), posts=(), miscounted=0
        )
        self._store(started)
        return started

    def _message(self, conversation_id: str, **fields: Any) -> Message:
        now, message_id = self.now(), self.new_id()
        basics: dict[str, Any] = {
            "type": "email",
            "subject": "Hello",
            "body": f"<div>Message {message_id}</div>",
            "delivered_at": now,
            "created_at": now,
            "updated_at": now,
            "from_field": Contact("Leo Park", "leo@customer.test"),
            "to_fields": (Contact(None, "desk@acme.test"),),
            "email_message_id": f"<{message_id}@mail.customer.test>",
        }
        return Message(message_id, conversation_id, **{**basics, **fields})


def image(attachment_id: str, filename: str = "pump.png", size: int = 2048) -> Attachment:
    """An attachment that a body can show inline: `<img data-missive-attachment-id="…">`."""
    return Attachment(attachment_id, filename, "image", "png", size, 640, 480)
