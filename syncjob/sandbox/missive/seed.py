"""A Missive account to begin with: the same seed and clock give the same account."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from .. import words
from .things import Attachment, Comment, Contact, Conversation, Flags, Label, Message, Organization, Team, User
from .world import MissiveWorld, image

DAY = 86400
SPAN = 300 * DAY  # conversations are spread over this much past …
MARGIN = 60  # … up to this many seconds ago
TIES = 0.02  # share of conversations with the very activity stamp of another one
LONG = 0.005  # share of long conversations, which need several pages of messages


def fill(world: MissiveWorld, conversations: int, rng: Random, *, messages_per_conversation: int = 3) -> None:
    """Users, teams, labels and conversations; the first token `missive_pat-sandbox` belongs to the first user."""
    _add_people(world, rng)
    _add_labels(world)
    stamp = world.now() - MARGIN
    for number in range(conversations):
        if number == 0 or rng.random() > TIES:
            stamp = world.now() - MARGIN - rng.randrange(SPAN)
        count = 30 if rng.random() < LONG else rng.randint(1, max(1, 2 * messages_per_conversation - 1))
        _add_conversation(world, stamp, count, rng)
    world.listing.settle(world.clock())


def _add_people(world: MissiveWorld, rng: Random) -> None:
    for name in ("Acme Works", "Acme Labs"):
        organization = Organization(world.new_id(), name)
        world.organizations[organization.id] = organization
    for number in range(6):
        first = words.FIRST[number]
        user = User(world.new_id(), f"{first} {rng.choice(words.LAST)}", f"user{number}@acme.test")
        world.users[user.id] = user
    world.me = next(iter(world.users))
    world.tokens["missive_pat-sandbox"] = world.me
    for name in ("Front desk", "Accounts"):
        team = Team(world.new_id(), name, next(iter(world.organizations)), tuple(list(world.users)[:4]))
        world.teams[team.id] = team


def _add_labels(world: MissiveWorld) -> None:
    """Every third label hangs below the one before it."""
    previous: str | None = None
    for number, name in enumerate(words.LABELS):
        parent_id = previous if number % 3 == 1 else None
        label = Label(world.new_id(), name, words.COLOURS[number % 5], next(iter(world.organizations)), parent_id)
        world.labels[label.id] = label
        previous = label.id


def _add_conversation(world: MissiveWorld, stamp: int, count: int, rng: Random) -> None:
    number = len(world.conversations)
    conversation_id, subject = world.new_id(), words.HOSTILE[number] if number < len(words.HOSTILE) else words.title(rng)
    stamps = sorted((stamp - rng.randrange(20 * DAY) for _ in range(count - 1)), reverse=True)
    messages = [_message(world, conversation_id, subject, when, rng) for when in (stamp, *stamps)]
    fields = _circumstances(world, stamp, rng)
    row = Conversation(conversation_id, messages[-1].when, stamp, message_ids=tuple(message.id for message in messages), **fields)
    if rng.random() < 0.05:
        draft = _draft(world, conversation_id, subject, stamp)
        messages.append(draft)
        row = replace(row, draft_ids=(draft.id,))
    world.plant(row, messages)


def _draft(world: MissiveWorld, conversation_id: str, subject: str, stamp: int) -> Message:
    author = world.users[world.me]
    sender = Contact(author.name, author.email)
    return Message(
        world.new_id(), conversation_id, "email", subject, "<div>Dear</div>", None, stamp, stamp, sender, author_id=author.id, draft=True
    )


def _circumstances(world: MissiveWorld, stamp: int, rng: Random) -> dict[str, Any]:
    """Who sees the conversation and how it is filed: mostly plain, a few in the trash, in junk, closed, as a guest, out of reach."""
    users, lot = list(world.users), rng.random()
    flags = {user_id: Flags(archived=rng.random() < 0.5) for user_id in users}
    fields: dict[str, Any] = {
        "organization_id": rng.choice([*world.organizations, None]),
        "team_id": rng.choice([*world.teams, None]),
        "label_ids": tuple(rng.sample(sorted(world.labels), rng.choice((0, 0, 1, 2)))),
        "flags": flags,
    }
    if lot < 0.04:
        flags[world.me] = Flags(trashed=True)
    elif lot < 0.07:
        flags[world.me] = Flags(junked=True)
    elif lot < 0.09:
        flags[users[1]] = Flags(trashed=True)
    elif lot < 0.11:
        del flags[world.me]
        fields["guest_ids"] = frozenset({world.me})
    elif lot < 0.13:
        del flags[world.me]
    elif lot < 0.2:
        fields["closed_at"] = stamp
    elif lot < 0.25:
        fields["assignee_ids"], flags[world.me] = (world.me,), Flags(assigned=True)
    elif lot < 0.3:
        fields["subject"] = words.pick_text(rng, "Renamed by hand")
    elif lot < 0.35:
        fields["comments"] = (Comment(world.new_id(), "Looks good", stamp, users[2]),)
    return fields


def _message(world: MissiveWorld, conversation_id: str, subject: str, when: int, rng: Random) -> Message:
    message_id, lot = world.new_id(), rng.random()
    sms = lot < 0.03
    body = words.sentences(rng, rng.randint(1, 12))
    attachments = () if sms else _attachments(world, rng)
    marks = "".join(f'<img data-missive-attachment-id="{item.id}">' for item in attachments if item.media_type == "image")
    created_at = when + rng.choice((0, 0, 1, 960, 18_000)) if when < world.now() - DAY else when
    return Message(
        message_id,
        conversation_id,
        "sms" if sms else "email",
        None if sms else subject,
        body if sms else f"<div>{body}</div>{marks}",
        when,
        created_at,
        created_at + rng.choice((0, 1, 60)) if when < world.now() - DAY else created_at,
        attachments=attachments,
        email_message_id=None if sms else f"<{message_id}@mail.customer.test>",
        redacted=rng.random() < 0.005,
        **_addresses(world, rng, sms=sms),
    )


def _addresses(world: MissiveWorld, rng: Random, *, sms: bool) -> dict[str, Any]:
    """Received, sent by a user from Missive (with author), from an alias (with author), or from another client (without)."""
    customer = Contact(rng.choice((None, f"{rng.choice(words.FIRST)} {rng.choice(words.LAST)}")), f"customer{rng.randrange(500)}@mail.test")
    user, lot = rng.choice(list(world.users.values())), rng.random()
    us, desk = Contact(user.name, user.email), Contact("Front desk", "desk@acme.test")
    if sms:
        phone = Contact(customer.name or "Unknown", phone_number=f"+4930{rng.randrange(10**6):06}")
        return {"from_field": phone, "to_fields": (Contact("Acme", phone_number="+49305550100"),)}
    copies = {"cc_fields": (us, Contact(None, "cc@else.test")) if rng.random() < 0.2 else ()}
    if lot < 0.6:
        return {"from_field": customer, "to_fields": (desk, us) if rng.random() < 0.3 else (desk,), **copies}
    sender = us if lot < 0.75 or lot >= 0.9 else desk
    hidden = (Contact(None, "archive@acme.test"),) if rng.random() < 0.1 else ()
    return {"from_field": sender, "to_fields": (customer,), "bcc_fields": hidden, "author_id": user.id if lot < 0.9 else None, **copies}


def _attachments(world: MissiveWorld, rng: Random) -> tuple[Attachment, ...]:
    lot = rng.random()
    if lot < 0.1:
        return (image(world.new_id(), size=rng.randrange(100, 20_000)),)
    if lot < 0.2:
        name = words.pick_text(rng, "offer 7.pdf", hostile=0.05)
        return (Attachment(world.new_id(), name, "application", "pdf", rng.randrange(1000, 50_000)),)
    return ()
