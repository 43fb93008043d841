"""A destination's own view of its books, for the destination that keeps none itself."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from syncjob.core.model import Entry, Json, Position
from syncjob.store.store import Store


@dataclass(frozen=True, slots=True)
class LedgerOf:
    """`core.ports.Ledger` for one destination: a transaction for each verb."""

    store: Store
    name: str

    def position(self) -> Position | None:
        with self.store.read() as tx:
            found = tx.books.note_of(self.name, "position")
            return found and Position(tx.mirror.meta("mirror"), *found)

    def stand(self, position: Position | None) -> None:
        self.note("position", position and [position.epoch, position.seq])

    def entries(self, stream: str, keys: Collection[str]) -> Mapping[str, Entry]:
        with self.store.read() as tx:
            return tx.books.entries(self.name, stream, keys)

    def enter(self, stream: str, entries: Mapping[str, Entry]) -> None:
        with self.store.begin() as tx:
            tx.books.enter(self.name, stream, entries)

    def strike(self, stream: str, keys: Collection[str] | None = None) -> None:
        with self.store.begin() as tx:
            tx.books.strike(self.name, stream, keys)

    def recall(self, name: str) -> Json:
        with self.store.read() as tx:
            return tx.books.note_of(self.name, name)

    def note(self, name: str, value: Json) -> None:
        with self.store.begin() as tx:
            tx.books.note(self.name, name, value)

    def count(self, month: str) -> int:
        with self.store.begin() as tx:
            counted, calls = tx.books.note_of(self.name, "calls") or (month, 0)
            calls = calls + 1 if counted == month else 1
            tx.books.note(self.name, "calls", [month, calls])
            return calls
