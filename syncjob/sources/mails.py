"""A Missive message and a conversation as the contract's rows.

Shapes from https://missiveapp.com/docs/developers/rest-api/endpoints. Every key but the id is optional: guests'
conversations have little else, and other channels than email leave out what they do not know.
"""

import hashlib
import json
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from syncjob.core.model import CONVERSATIONS, EMAILS, Gone, Json, Record
from syncjob.sources.payload import from_epoch, stamp

MERGED = "merged into another"
"""Why a conversation is gone whose messages are not: they belong to another one now."""
LINK = "https://mail.missiveapp.com/#inbox/conversations/"


def _listed(value: Any) -> Any:
    return [] if value is None else value


class Loose(BaseModel):
    """A vendor's object: what we do not know is ignored."""

    model_config = ConfigDict(extra="ignore")


class Person(Loose):
    name: str | None = None
    address: str | None = None
    username: str | None = None


class Flags(Loose):
    """A user's own view of a conversation."""

    id: str | None = None
    trashed: bool | None = None
    junked: bool | None = None


class Label(Loose):
    name: str | None = None


class Conversation(Loose):
    id: str = Field(min_length=1)
    subject: str | None = None
    last_activity_at: int | None = None
    messages_count: int | None = None
    drafts_count: int | None = None
    users: Annotated[list[Flags], BeforeValidator(_listed)] = []
    shared_labels: Annotated[list[Label] | None, Field()] = None
    web_url: str | None = None

    @property
    def is_stub(self) -> bool:
        """A guest's conversation: only its id and time are shown."""
        return self.shared_labels is None and self.web_url is None and self.messages_count is None

    def version(self) -> str:
        """What moves when its messages may have changed."""
        return f"{self.last_activity_at}/{self.messages_count}"


class Attachment(Loose):
    id: str = Field(min_length=1)
    filename: str | None = None
    media_type: str | None = None
    sub_type: str | None = None
    size: int | None = None


People = Annotated[list[Person], BeforeValidator(_listed)]


class Message(Loose):
    id: str = Field(min_length=1)
    subject: str | None = None
    type: str | None = None
    draft: bool | None = None
    delivered_at: int | None = None
    created_at: int | None = None
    updated_at: int | None = None
    email_message_id: str | None = None
    from_field: Person | None = None
    to_fields: People = []
    cc_fields: People = []
    bcc_fields: People = []
    preview: str | None = None
    body: str | None = None
    author: dict[str, Any] | None = None
    attachments: Annotated[list[Attachment], BeforeValidator(_listed)] = []
    conversation: Conversation | None = None

    @property
    def sent(self) -> int | None:
        """When it was delivered, or else made: Missive has no other time for it."""
        return self.created_at if self.delivered_at is None else self.delivered_at

    def version(self) -> str:
        """A token of all that a message list shows of it. A moved `updated_at` alone is enough to read it again."""
        shown = self.model_dump(mode="json", exclude={"body", "conversation", "draft", "author"})
        text = json.dumps([shown, bool(self.author)], sort_keys=True)
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=10).hexdigest()


def conversation_record(found: Conversation, me: str | None, *, box: str, version: str | None = None) -> Record:
    """The conversation as a record; trashed or junked counts for the token's own user only, by their flags where it has them:
    the list it was found in may be another than was asked for.

    `version` is given once its messages are listed completely; until then the mirror keeps the one before.
    """
    mine = next((flags for flags in found.users if flags.id == me), None) if me else None
    trashed = bool(mine.trashed) if mine and mine.trashed is not None else box == "trashed"
    junked = bool(mine.junked) if mine and mine.junked is not None else box == "junked"
    data = {
        "labels": sorted({label.name for label in found.shared_labels or [] if label.name}),
        "subject": found.subject,
        "source_links": {"web": found.web_url or LINK + found.id},
    }
    gone = Gone("trashed") if trashed else Gone("junked") if junked else None
    return Record(CONVERSATIONS, found.id, data, version, from_epoch(found.last_activity_at), gone=gone, proven=gone is None)


def email_record(message: Message, conversation: Record, ours: Collection[str], *, version: str) -> Record:
    """The message as an email of its conversation. `ours`: the addresses of Missive users, in lower case."""
    sender = message.from_field or Person()
    sent = from_epoch(message.sent)
    from_us = bool(message.author) or (sender.address or "").lower() in ours
    html = message.body
    data: dict[str, Json] = {
        "email_id": message.id,
        "thread_id": conversation.key,
        "subject": message.subject,
        "from_address": sender.address,
        "from_name": sender.name,
        "to_addresses": _addresses(message.to_fields),
        "cc_addresses": _addresses(message.cc_fields),
        "bcc_addresses": _addresses(message.bcc_fields),
        "sent_at": _stamped(sent),
        "received_at": None if from_us else _stamped(sent),
        "labels": [],
        "message_type": message.type,
        "internet_message_id": message.email_message_id,
        "source_links": {},
        "attachments": [_attachment(each, html or "") for each in message.attachments],
    }
    body = None if html is None else {"body_html": html, "body_text": _readable(html)}
    found = Record(EMAILS, message.id, data, version, from_epoch(message.updated_at), conversation.key, body, proven=True)
    return in_conversation(found, conversation)


def _readable(html: str) -> str:
    from syncjob.sources.text import html_to_text  # slow to import, and a quiet cycle never comes here

    return html_to_text(html)


def in_conversation(email: Record, conversation: Record) -> Record:
    """The email with what it takes from its conversation: labels, link, thread, and trash."""
    shared = conversation.data or {}
    data = {
        **(email.data or {}),
        "thread_id": conversation.key,
        "labels": shared.get("labels", []),
        "source_links": shared.get("source_links", {}),
    }
    gone = email.gone if conversation.gone is None or conversation.gone.why == MERGED else conversation.gone
    return Record(
        EMAILS,
        email.key,
        data if email.data is not None else None,
        email.version,
        email.updated_at,
        conversation.key,
        email.body,
        gone,
        proven=gone is None,
    )


def _addresses(people: Collection[Person]) -> list[str]:
    return [person.address for person in people if person.address]


def _attachment(found: Attachment, html: str) -> Json:
    """An attachment's metadata, without its link: that one is signed anew at each read."""
    return {
        "attachment_id": found.id,
        "filename": found.filename,
        "media_type": "/".join(filter(None, (found.media_type, found.sub_type))) or None,
        "size_bytes": found.size,
        "inline": f'data-missive-attachment-id="{found.id}"' in html,
    }


def _stamped(time: datetime | None) -> str | None:
    return stamp(time) if time else None
