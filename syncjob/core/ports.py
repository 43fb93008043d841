"""What the core asks of its edges."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from syncjob.core.model import Answer, Batch, Call, Entry, FeedRow, Json, Page, Position, Receipt, Record, Row, Walk, Want


class Clock(Protocol):
    """Time and waiting, so that tests can own both."""

    def now(self) -> datetime:
        """The local time, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back, for measuring."""

    def wait(self, seconds: float) -> bool:
        """Sleep that long, or until somebody asks the program to stop: True then."""


class Known(Protocol):
    """What the mirror knows, read-only, for a source that decides what to ask next."""

    def rows(self, stream: str, keys: Collection[str]) -> Mapping[str, Row]:
        """The rows of these keys, as far as there are any."""

    def children(self, stream: str, parent: str) -> Mapping[str, Row]:
        """The live and deleted rows under one parent."""

    def sighted(self, walk: int, stream: str, keys: Collection[str]) -> frozenset[str]:
        """Which of these keys the walk has met already."""

    def waiting(self, kind: str, keys: Collection[str]) -> Mapping[str, Mapping[str, Json]]:
        """Which of these keys are wanted already: key -> the want's `about`."""

    def given_up(self, kind: str, keys: Collection[str]) -> Mapping[str, Mapping[str, Json]]:
        """Which of these keys such a want was given up on for: key -> its `about`. Sweeps and full walks ask it again."""

    def control(self, walk: int, stream: str, skip: int) -> str | None:
        """A live record that this walk met, or whose parent it met, and that nobody doubts; `skip`: not the first so many."""

    def stalest(self, walk: int, stream: str) -> Sequence[Row]:
        """Of a stream's live rows the hundredth part: those whose children were listed longest ago, of those that the walk met
        and whose children can be listed and are not about to be."""

    def strangers(self, stream: str, keys: Collection[str]) -> frozenset[str]:
        """Which of these keys a destination holds live, while the mirror has no content of them."""

    def names(self, section: str, keys: Collection[str] | None = None) -> Mapping[str, Json]:
        """The kept look-up table of a section (`users`, `tags`, ...): id -> what was seen of it last. No keys: all."""


@dataclass(frozen=True, slots=True)
class Without:
    """Where a walk goes on behind a list that it cannot read; `is_end`: nowhere. `is_needed`: what only that list shows is missed."""

    position: Mapping[str, Json]
    is_end: bool = False
    is_needed: bool = False


class Source(Protocol):
    """A vendor, as decisions: which call comes next, and what an answer says. Nothing here does I/O."""

    name: str
    stream: str
    kinds: Mapping[str, int]
    """The kinds of want it knows, and of how many of each at most it chooses what to ask next."""
    witnesses: Mapping[str, Callable[[Row], Mapping[str, Json]]]
    """The kinds of want that can be asked of any record, to see whether the source answers at all; and such a want's `about`."""
    enumerated: str
    """The stream that a sweep lists whole: a row of it that is not met is suspected to be gone."""

    def begin(self, walk: Walk) -> Mapping[str, Json]:
        """The position a new walk starts from."""

    def page_call(self, walk: Walk, known: Known) -> Call:
        """The next page of a walk."""

    def place(self, position: Mapping[str, Json]) -> str:
        """The name of the list that a walk is at."""

    def without(self, walk: Walk) -> Without:
        """Where a walk goes on that cannot have its next page."""

    def in_smaller_pages(self, walk: Walk) -> Mapping[str, Json] | None:
        """The same step of a walk's list in smaller pages; None: that cannot be done, or they are small enough."""

    def batches(self, wants: Sequence[Want]) -> Sequence[Sequence[Want]]:
        """What the next calls should ask, each a batch of a walk's wants (the oldest few of each kind). No call depends on what
        another one of them is answered."""

    def want_call(self, wants: Sequence[Want], known: Known) -> Call:
        """The call that asks one of the batches that `batches` chose."""

    def read(self, walk: Walk | None, call: Call, answer: Answer, known: Known) -> Page:
        """What an answer says. Raise Incomplete when it cannot be trusted."""

    def inherit(self, parent: Record, child: Row) -> Record | None:
        """A child's record after its parent changed; None: nothing of it depends on the parent."""

    def identity_call(self, answers: Sequence[Answer]) -> Call | None:
        """The next call that tells whose key this is, behind these answers; None: they do."""

    def identity(self, answers: Sequence[Answer]) -> tuple[str, Mapping[str, Mapping[str, Json]]]:
        """Who the key acts for, as text that names site and user; and the names that this answer brought."""


class Ledger(Protocol):
    """The books of a destination that cannot keep its own. Every verb is durable when it returns."""

    def position(self) -> Position | None:
        """How far the destination has read this mirror; None: never, or it has to be fed anew."""

    def stand(self, position: Position | None) -> None:
        """Keep how far it has read."""

    def entries(self, stream: str, keys: Collection[str]) -> Mapping[str, Entry]:
        """What is known of these keys, as far as anything is."""

    def enter(self, stream: str, entries: Mapping[str, Entry]) -> None:
        """Keep what is known of these keys now."""

    def strike(self, stream: str, keys: Collection[str] | None = None) -> None:
        """Forget these keys, or all."""

    def recall(self, name: str) -> Json:
        """A note, or None."""

    def note(self, name: str, value: Json) -> None:
        """Keep a note."""

    def count(self, month: str) -> int:
        """Count one call in this month; how many they are now."""


class Destination(Protocol):
    """Where rows are written: one verb, upsert."""

    name: str
    streams: tuple[str, ...]
    """What `rows` and `live` can be asked for."""

    def prepare(self) -> Position | None:
        """Connect, create or check what is needed, and say how far this destination has read; None: never.

        Raises ConfigError (a foreign table, no rights) or Transient (down, locked). May be called again.
        """

    def position(self) -> Position | None:
        """How far it has read, as `prepare` says it, but nothing is made or changed."""

    def deliver(self, batch: Batch, *, by_content: bool = False) -> Receipt:
        """Write all rows and the position, or raise with nothing written; repeating is harmless.

        Rows that are equal to what was written last are left alone. `by_content`: to what is there now, whoever wrote it.
        Raises Rejected when a row of the batch is refused for its own sake, Transient otherwise: also when it keeps its position itself
        and does not stand `after` the one that the batch names, because it was set back, or somebody else wrote.
        """

    def rewrite(self, row: FeedRow) -> None:
        """Write a row that it has, although nothing changed: does it take any row at all? Raises as `deliver` does."""

    def rows(self, stream: str, *, after: str = "", keys: Collection[str] | None = None) -> Iterator[Mapping[str, Json]]:
        """What it holds, in key order, as JSON values like `Record.data` plus `deleted` and `deleted_at`. `keys`: only these."""

    def live(self, stream: str) -> Iterator[str]:
        """The keys of the rows that are not deleted, in order."""

    def rendered(self, row: FeedRow) -> Mapping[str, Json]:
        """The row as `rows` shows it once it is delivered. Raises Rejected."""

    def close(self) -> None:
        """Let go of connections; `prepare` opens them again."""


@runtime_checkable
class Checked(Protocol):
    """A destination that can be looked at without changing it, for `check`."""

    def check(self) -> str:
        """What it has, in a few words, if `prepare` and `deliver` would find all they need. Raises as they do."""
