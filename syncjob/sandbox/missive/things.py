"""What exists in Missive: immutable values; stamps are whole Unix seconds, ids are UUIDs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_MESSAGES = 400  # a conversation holds no more; the next message starts a new one (reference section 2)


@dataclass(frozen=True, slots=True)
class Organization:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Team:
    id: str
    name: str
    organization_id: str
    member_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    id: str
    name: str
    color: str | None
    organization_id: str
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Flags:
    """One user's view of one conversation."""

    unassigned: bool = False
    closed: bool = False
    archived: bool = False
    trashed: bool = False
    junked: bool = False
    assigned: bool = False
    flagged: bool = False
    snoozed: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    """An address, or a phone number when there is no address."""

    name: str | None
    address: str | None = None
    phone_number: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    id: str
    filename: str
    media_type: str  # the two halves of a MIME type
    sub_type: str
    size: int
    width: int | None = None
    height: int | None = None
    real_size: int | None = None  # where the storage host serves another size than Missive says
    content_of: str | None = None  # the attachment whose content it shares


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    conversation_id: str
    type: str  # email, sms, …
    subject: str | None
    body: str
    delivered_at: int | None  # None: a draft
    created_at: int
    updated_at: int
    from_field: Contact
    to_fields: tuple[Contact, ...] = ()
    cc_fields: tuple[Contact, ...] = ()
    bcc_fields: tuple[Contact, ...] = ()
    email_message_id: str | None = None
    in_reply_to: tuple[str, ...] = ()
    author_id: str | None = None  # the Missive user who sent it from Missive
    attachments: tuple[Attachment, ...] = ()
    draft: bool = False
    redacted: bool = False  # its content is withheld from the token's user

    @property
    def when(self) -> int:
        """The time that orders a conversation's messages."""
        return self.created_at if self.delivered_at is None else self.delivered_at


@dataclass(frozen=True, slots=True)
class Comment:
    id: str
    body: str | None
    created_at: int
    author_id: str


@dataclass(frozen=True, slots=True)
class Post:
    id: str
    text: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    created_at: int
    last_activity_at: int
    organization_id: str | None
    flags: Mapping[str, Flags]  # by user id: who has access
    guest_ids: frozenset[str] = frozenset()  # users who see only a stub
    subject: str | None = None  # only when renamed
    color: str | None = None
    team_id: str | None = None
    label_ids: tuple[str, ...] = ()
    assignee_ids: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    draft_ids: tuple[str, ...] = ()
    comments: tuple[Comment, ...] = field(default=())
    posts: tuple[Post, ...] = field(default=())
    closed_at: int | None = None
    miscounted: int = 0  # deleted messages that `messages_count` still counts
