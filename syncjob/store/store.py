"""The store's door: one writer at a time, any number of readers, and every transaction all or nothing."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from syncjob.core.model import Json, Row
from syncjob.store.engine import FAILURES, migrate, open_engine, unusable
from syncjob.store.feed import Feed
from syncjob.store.files import Files
from syncjob.store.ledger import Books
from syncjob.store.letters import Letters
from syncjob.store.mirror import Mirror, new_epoch
from syncjob.store.ready import Connection
from syncjob.store.strangers import Strangers
from syncjob.store.suspects import Suspects
from syncjob.store.walks import Walks

TIDIED, TIDY_EVERY = "tidied", timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction: the mirror, the walks, the dead letters, the feed, the strangers and the suspects as they stand in it."""

    mirror: Mirror
    walks: Walks
    letters: Letters
    feed: Feed
    strangers: Strangers
    suspects: Suspects
    books: Books
    files: Files


class Store:
    """The store in `path`. Raises ConfigError when it was written by a newer version, is damaged or not writable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._epoch = new_epoch()
        self._writing = threading.RLock()
        self._engine = open_engine(path)
        migrate(self._engine, path)
        self._renew_digests()

    def _renew_digests(self) -> None:
        with self.read() as tx:
            old = tx.mirror.has_old_digests()
        if old:
            with self.begin() as tx:
                tx.mirror.renew_digests()

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        """A transaction that writes. Never held across I/O."""
        with self._writing:
            yield from self._transaction("IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that only reads: a snapshot, never in a writer's way."""
        yield from self._transaction("DEFERRED")

    def _transaction(self, mode: str) -> Iterator[Tx]:
        try:
            with self._engine.connect().execution_options(begin=mode) as opened, opened.begin():
                connection = Connection(opened)
                mirror = Mirror(connection, self._epoch)
                yield Tx(
                    mirror, Walks(connection), Letters(connection), Feed(connection), Strangers(connection, mirror),
                    Suspects(connection), Books(connection), Files(connection),
                )  # fmt: skip
        except FAILURES as error:
            raise unusable(error, self._path) from None

    def tidy(self, now: datetime, keep: timedelta) -> None:
        """Once a day: forget walks that ended longer ago than `keep`, and give the log's room on the disk back."""
        with self.read() as tx:
            last = tx.mirror.meta(TIDIED)
        if last and timedelta() <= now - datetime.fromisoformat(last) < TIDY_EVERY:
            return
        with self.begin() as tx:
            tx.walks.forget_finished(now - keep)
            tx.mirror.set_meta(TIDIED, now.isoformat())
        try:
            with self._engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except FAILURES as error:
            raise unusable(error, self._path) from None

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


@dataclass(frozen=True, slots=True)
class KnownTo:
    """`core.ports.Known` for one source, within a transaction."""

    tx: Tx
    source: str

    def rows(self, stream: str, keys: Collection[str]) -> Mapping[str, Row]:
        return self.tx.mirror.rows(stream, keys)

    def children(self, stream: str, parent: str) -> Mapping[str, Row]:
        return self.tx.mirror.children(stream, parent)

    def sighted(self, walk: int, stream: str, keys: Collection[str]) -> frozenset[str]:
        return self.tx.walks.sighted(walk, stream, keys)

    def waiting(self, kind: str, keys: Collection[str]) -> Mapping[str, Mapping[str, Json]]:
        return self.tx.walks.wanted_already(self.source, kind, keys)

    def given_up(self, kind: str, keys: Collection[str]) -> Mapping[str, Mapping[str, Json]]:
        return self.tx.letters.given_up(self.source, kind, keys)

    def control(self, walk: int, stream: str, skip: int) -> str | None:
        return self.tx.suspects.control(walk, self.source, stream, skip)

    def stalest(self, walk: int, stream: str) -> Sequence[Row]:
        return self.tx.suspects.stalest(walk, self.source, stream, self.tx.mirror.live(stream))

    def strangers(self, stream: str, keys: Collection[str]) -> frozenset[str]:
        return self.tx.strangers.among(stream, keys)

    def names(self, section: str, keys: Collection[str] | None = None) -> Mapping[str, Json]:
        return self.tx.mirror.names(self.source, section, keys)
