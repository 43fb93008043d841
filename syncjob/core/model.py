"""The values that flow through syncjob, in the order of the flow.

Call -> Answer -> Page -> Plan -> Row -> FeedRow -> Receipt
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias

from syncjob.core import codec

Json: TypeAlias = Any
WalkKind: TypeAlias = Literal["changes", "sweep", "full"]
Verb: TypeAlias = Literal["created", "updated", "restored", "deleted", "unchanged", "rejected", "out_of_scope", "inaccessible"]

TASKS, EMAILS, CONVERSATIONS = "teamwork.tasks", "missive.emails", "missive.conversations"
ATTACHMENTS = "attachments"
"""No stream of a source: they travel in their email. Destinations that have a table of them call it so."""

LISTS = "lists"
"""Stands for a stream in dead letters of lists that cannot be read; their keys are the lists' names."""

NOTHING: Mapping[str, Json] = {}

SUSPECT, OPENED, CLAIM = PROOF = ("suspect", "opened", "claim")
"""The steps of a proof that something is gone (see `sources.proof`), as kinds of want."""
UNPROVEN = "not found, while nothing else was found either"
"""Why a row would be deleted that had no control to compare with: the guard always holds such a deletion."""


@dataclass(frozen=True, slots=True)
class Call:
    """One GET, as a value.

    `name` says which question it is and `about` what is needed to understand the answer; both are kept with
    the answer in the spool. A status in `accept` is an answer too, any other than 200 an error. An answer of more than
    `most_bytes` is not read: it counts as 413, which the call then accepts.
    """

    name: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    about: Mapping[str, Json] = field(default_factory=dict)
    accept: tuple[int, ...] = ()
    most_bytes: int | None = None


def parsed_object(body: bytes) -> dict[str, Json] | None:
    """The JSON object; None for a login page, nothing, a list or half an object."""
    try:
        found = codec.read(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Answer:
    """What came back for a `Call`: raw, with the server's own time (`Date`), if it gave one."""

    status: int
    body: bytes
    date: datetime | None = None

    @cached_property
    def payload(self) -> Mapping[str, Json] | None:
        """Its JSON object, or None. Parsed once: that is a large part of reading."""
        return parsed_object(self.body)


@dataclass(frozen=True, slots=True)
class Gone:
    """The source's own word that a record is deleted: why, and since when if it says so."""

    why: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One observed object in the contract's terms (DESIGN, section 8).

    `data` maps the table's columns to JSON values: text, numbers, lists; times as `YYYY-MM-DDTHH:MM:SSZ`,
    dates as `YYYY-MM-DD`. `body` holds the large columns, kept in a side table; None leaves what is stored.
    `version` is what a cheap enumeration shows of the record: equal version, nothing to fetch. None for
    `data` is a record out of scope: known, so that nobody asks for it again, but without content.
    `proven` says that the source shows it as live in a way that a deleted record could not be shown.
    """

    stream: str
    key: str
    data: Mapping[str, Json] | None
    version: str | None = None
    updated_at: datetime | None = None
    parent: str | None = None
    body: Mapping[str, str | None] | None = None
    gone: Gone | None = None
    proven: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that could not be read. `key` is its id, or `digest:...` of the raw record where it has none.

    `want` is the question that brought no record at all, time after time.
    """

    stream: str
    key: str
    error: str
    raw: str
    want: "Want | None" = None


@dataclass(frozen=True, slots=True)
class Want:
    """Something a source still has to ask: a thread's list, a body, a look-up. `about` as in `Call`.

    After a failure it has had some `tries`, waits until `not_before`, and goes into batches of at `most` so many.
    """

    kind: str
    stream: str
    key: str
    about: Mapping[str, Json] = field(default_factory=dict)
    walk: int | None = None
    tries: int = 0
    most: int | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer says.

    `records` were shown whole, `sighted` and `inaccessible` are (stream, key) that were met and found equal, or
    refused; `met` were only met, and their verdict has yet to come. `listed` are parents whose children were now all
    shown, `versions` (stream, key, version) those whose children are known as of that version.
    `wants` are new questions, `settled` those that this answer ends, as (kind, key). `position` is where
    the walk continues; `complete` means that the source itself said that this was the end of its list. `unread`
    says what the API cannot show at all, `wrong` why the walk's list is not worth believing, so that it suspects nobody;
    `expected` is how many records more the walk will meet, for its progress only.
    `problem` is told once the page is absorbed: the source answers, but not in a way that can be relied on.
    """

    records: tuple[Record, ...] = ()
    sighted: tuple[tuple[str, str], ...] = ()
    met: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str, str], ...] = ()
    listed: tuple[tuple[str, str], ...] = ()
    inaccessible: tuple[tuple[str, str], ...] = ()
    rejected: tuple[Rejection, ...] = ()
    wants: tuple[Want, ...] = ()
    settled: tuple[tuple[str, str], ...] = ()
    names: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    position: Mapping[str, Json] | None = None
    complete: bool = False
    unread: str | None = None
    wrong: str | None = None
    expected: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """One enumeration of a stream, resumable at its `position`.

    `turn` counts the walks of its kind, and `before` is the `since` of the one before it: for what only every other
    walk looks at. `listed`: its list was read to the end; `concluded`: what it did not meet is suspected.
    `process_after`: the latest date that anything of it was read with. `tries`: how often in a row its next page failed.
    """

    id: int
    stream: str
    kind: WalkKind
    since: datetime | None
    until: datetime | None
    position: Mapping[str, Json]
    started_at: datetime
    first_observation: int
    listed: bool = False
    reread: bool = False
    requests: int = 0
    fetched: int = 0
    expected: int = 0
    turn: int = 0
    before: datetime | None = None
    concluded: bool = False
    process_after: datetime | None = None
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the mirror, without its body. `data` None: out of scope. `missed`: so many lists in a row did not show it."""

    stream: str
    key: str
    digest: str
    data: Mapping[str, Json] | None
    version: str | None = None
    updated_at: datetime | None = None
    parent: str | None = None
    observed: int = 0
    deleted_at: datetime | None = None
    deleted_why: str | None = None
    seq: int | None = None
    listed: int | None = None
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What one record does to the mirror. `fed`: destinations hear of it."""

    verb: Verb
    record: Record
    digest: str
    deleted_at: datetime | None = None
    deleted_why: str | None = None
    fed: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What a page does to the mirror, and the verdict on every key it met, as (stream, key) -> verb."""

    changes: tuple[Change, ...]
    verdicts: Mapping[tuple[str, str], Verb]


@dataclass(frozen=True, slots=True)
class FeedRow:
    """A row on its way to a destination, its body included. `deleted_at` None: live.

    Empty `data`: the mirror knows no more than that it is deleted. It marks what a destination holds, and makes no row.
    """

    stream: str
    key: str
    seq: int
    data: Mapping[str, Json]
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """How far a destination has read the feed, in which mirror, and in which of that mirror's epochs.

    Every process that gives out seqs opens an epoch. A mirror restored from a backup does not know the epoch
    that a destination names, or knows that it ended earlier: so the destination is adopted instead of trusted.
    """

    mirror: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of the feed in order of seq, each key at most once, and the position that holds once they are written.

    `after`: where the destination says that it stands, until then; None: it says nothing.
    """

    rows: tuple[FeedRow, ...]
    position: Position
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """How many rows a destination really wrote; equal ones are not written.

    `refused` are rows that it found out to be bad while it wrote the others; then its position waits for an empty batch, so that they
    can be noted first. `again`: its tables changed, so that it has to be asked once more how far it has read.
    """

    written: int
    refused: tuple[Rejection, ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one record in a destination that keeps no books of its own: its id there, the hash of what was written last."""

    record: str
    hash: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attachment whose file is wanted: in the store of files (`sha256`), or in Airtable (`record`, how far it got: `stage`)."""

    attachment: str
    email: str
    filename: str | None
    media_type: str | None
    size: int | None
    sha256: str | None = None
    stage: str = "wanted"
    record: str | None = None
    tries: int = 0
