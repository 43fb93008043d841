"""A computer that runs the job in virtual time: its state folder, its destinations, and a fuse at every durable point."""

import os
import shutil
import sqlite3
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

import syncjob.spool
from syncjob.core.errors import SyncjobError
from syncjob.core.model import EMAILS, TASKS, Answer, Call
from syncjob.core.ports import Destination
from syncjob.core.steps import Rhythm
from syncjob.core.tables import Table
from syncjob.cycle import SourcePart
from syncjob.delivery import DestinationPart
from syncjob.destinations import AirtableApi, AirtableDestination, SqlDestination, postgres_url, sqlite_url
from syncjob.destinations.airtable_fields import FIELDS
from syncjob.destinations.sql import _Queries
from syncjob.destinations.sql_dialect import Dialect
from syncjob.destinations.sql_schema import sql_table
from syncjob.http.limits import SHARES, WHOLE, Limiter, Window
from syncjob.sandbox import Sandbox
from syncjob.sources import missive, missive_threads, teamwork
from syncjob.sources.api import Api
from syncjob.sources.missive import Missive
from syncjob.sources.teamwork import Teamwork
from syncjob.spool import Leaf, Spool
from syncjob.store import LedgerOf, Store
from tests.airtable_wire import wire_session
from tests.contracts.airtable import KNOWN
from tests.histories.net import Net, net_session
from tests.histories.plan import Plan
from tests.postgres import EMPTY, execute
from tests.walks.bench import Clock, Crash, Fuse, FusedStore
from tests.wire import WireSession, wired_api

PAGED = {"teamwork": teamwork, "missive": missive, "threads": missive_threads}
PAGES = {
    "teamwork": {name: getattr(teamwork, name) for name in ("PAGE_SIZE", "GLIMPSE_SIZE", "FETCH_SIZE") if hasattr(teamwork, name)},
    "missive": {name: getattr(missive, name) for name in ("LIST_LIMIT", "BODIES")},
    "threads": {"THREAD_LIMIT": missive_threads.THREAD_LIMIT},
}
POLL, SWEEP, OVERLAP = timedelta(seconds=60), timedelta(hours=6), timedelta(seconds=120)
AIRTABLE = {TASKS: "Tasks", EMAILS: "Emails"}
MOST_STEPS = 10_000
KEPT_LEAVES = 3
SMALL_CAP = 2_000_000
"""An answer without end is cut here: what the cap is does not matter, and less to read is faster."""


_COMPILED: dict[str, Any] = {}
_TABLES: dict[tuple[str, str], sa.Table] = {}
_ASKED: dict[sa.Table, _Queries] = {}


def _same_table(table: Table, dialect: Dialect, metadata: sa.MetaData, **options: Any) -> sa.Table:
    """Let all destinations of a kind share their tables, and so what was compiled for them."""
    where = dialect.title, table.name
    if where not in _TABLES:
        _TABLES[where] = sql_table(table, dialect, metadata, **options)
    return _TABLES[where]


def _same_queries(table: sa.Table, dialect: Dialect) -> _Queries:
    """Likewise what they ask of them."""
    if table not in _ASKED:
        _ASKED[table] = _Queries(table, dialect)
    return _ASKED[table]


def _warm(owner: Any) -> Any:
    """Let all engines of a kind share their compiled statements: to compile them anew at each start would be half of a history."""
    engine = owner._engine
    kept = _COMPILED.setdefault(f"{type(owner).__name__} {engine.dialect.name}", engine)
    engine.dialect, engine._compiled_cache = kept.dialect, kept._compiled_cache
    return owner


class LocalClock(Clock):
    """The machine's own clock: off by some seconds from the world's, and sometimes set anew."""

    def __init__(self, world: Clock) -> None:
        self.world, self.offset = world, 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.world.at + self.offset, UTC)

    def monotonic(self) -> float:
        return self.world.at

    def wait(self, seconds: float) -> bool:
        return self.world.wait(seconds)


class FusedFiles:
    """`os` for the spool: a durable point on both sides of each sync. A crash before one leaves half the file."""

    def __init__(self, fuse: Fuse) -> None:
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, handle: int) -> None:
        try:
            self._fuse.point()
        except Crash:
            if stat.S_ISREG((status := os.fstat(handle)).st_mode):
                os.ftruncate(handle, status.st_size // 2)
            raise
        self._fuse.point()


class NotedSpool(Spool):
    """A spool that notes when each answer was true, and knows what it dropped: a power cut may bring that back."""

    def __init__(self, folder: Path, machine: "Machine", name: str) -> None:
        super().__init__(folder)
        self._machine, self._name = machine, name
        self.dropped: dict[Path, bytes] = {}

    def write(self, *, observed: int, walk: int | None, call: Call, answer: Answer) -> Leaf:
        self._machine.times[self._name, observed] = seen = self._machine.sessions[self._name].true_at
        if answer.status in (404, 410) and not call.about.get("control"):
            for key, _ in call.about.get("wants", ()):
                self._machine.missed[key].append(seen)
        return super().write(observed=observed, walk=walk, call=call, answer=answer)

    def drop(self, leaf: Leaf) -> None:
        self._machine.fuse.point()
        if leaf.path.exists():
            self.dropped = dict([*self.dropped.items(), (leaf.path, leaf.path.read_bytes())][-KEPT_LEAVES:])
        super().drop(leaf)
        self._machine.fuse.point()


class FusedDestination(SqlDestination):
    """A destination with a durable point on both sides of each commit."""

    def __init__(self, fuse: Fuse, *arguments: Any, **options: Any) -> None:
        with patch("syncjob.destinations.sql.sql_table", _same_table), patch("syncjob.destinations.sql._Queries", _same_queries):
            super().__init__(*arguments, **options)
        self._fuse = fuse

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[sa.Connection]:
        if self._engine is None:
            self._engine = self._dialect.engine()
            _warm(self)
        with super()._transaction(write=write) as conn:
            yield conn
            self._fuse.point()
        self._fuse.point()


class TimedSession:
    """A session that knows at which moment its last answer was true: a page of before is as old as it is."""

    def __init__(self, machine: "Machine") -> None:
        open_session = net_session if isinstance(machine.sandbox, Net) else WireSession
        self._session: Any = open_session(machine.sandbox, machine.local, on_request=machine.fuse.point)
        self._machine, self._seen = machine, dict[str, float]()
        self.true_at = 0.0

    def get(self, url: str, **options: Any) -> Any:
        path, before = url, self._seen.get(url, 0.0)
        self._machine.struck = None
        try:
            return self._session.get(url, **options)
        finally:
            self._seen[path] = self._machine.sandbox.world.clock()
            self.true_at = before if self._machine.struck == "previous page" else self._seen[path]

    def close(self) -> None:
        self._session.close()


class Machine:
    """The parts of a job on one state folder, built anew at each start."""

    def __init__(self, folder: Path, sandbox: Sandbox, world: Clock, plan: Plan, rng: Random) -> None:
        self.folder, self.sandbox, self.plan, self.rng = folder, sandbox, plan, rng
        self.state = folder / "state"
        self.world, self.local, self.fuse = world, LocalClock(world), Fuse()
        self.struck: str | None = None
        self.times: dict[tuple[str, int], float] = {}
        self.missed: dict[str, list[float]] = defaultdict(list)  # when a record was looked up in vain
        self.sessions: dict[str, TimedSession] = {}
        self.spools: dict[str, NotedSpool] = {}
        self.places: dict[str, Callable[[], Destination]] = {}
        self.dsns: dict[str, str] = {}
        self.sources: list[SourcePart] = []
        self.destinations: list[DestinationPart] = []
        self.store: Store | None = None
        self.errors: list[str] = []
        self.allowed = False
        self.watch: Callable[[SourcePart], None] = lambda part: None

    # -- starting and stopping

    def add_sqlite(self, name: str) -> None:
        """A destination in a file."""
        self.places[name] = lambda: FusedDestination(self.fuse, name, sqlite_url(self.file_of(name)), clock=self.local)

    def add_postgres(self, name: str, dsn: str) -> None:
        """A destination in a database."""
        self.dsns[name] = dsn
        self.places[name] = lambda: FusedDestination(self.fuse, name, postgres_url(dsn), schema="public", clock=self.local)

    def add_airtable(self) -> None:
        """A destination in the sandbox's own base, whose books are in the store."""

        def make() -> AirtableDestination:
            assert self.store is not None
            ledger, base = LedgerOf(self.store, "airtable"), self.sandbox.world.airtable.base.id
            limiter = Limiter([Window(100_000, 60)], WHOLE, self.local, self.state / "airtable.limits")
            api = AirtableApi(
                self.sandbox.airtable_token, base, limiter, self.local, ledger, url=self.sandbox.url, content_url=self.sandbox.url,
                tries=self.plan.tries, session=lambda: wire_session(self.sandbox, self.local, self.fuse.point), jitter=self.rng.random,
            )  # fmt: skip
            return AirtableDestination(api, ledger, self.local, base=base, tables=AIRTABLE)

        self.places["airtable"] = make
        for stream, name in AIRTABLE.items():
            fields = {field.name: field.type for field in FIELDS[stream] if field.documented}
            self.sandbox.world.airtable.add_table(name, {**fields, "Attachments": "multipleAttachments", **KNOWN[name]})

    def retry_refused(self) -> None:
        """What a person does about dead letters of Airtable, which refused rows because the lot said so."""
        for part in self.destinations if self.store and "airtable" in self.places else ():
            with self.store.read() as tx:
                letters = [letter for letter in tx.letters.find() if letter.part == part.name]
            if part.name == "airtable" and letters:
                part.retry(letters)

    def replay_airtable(self) -> None:
        """What a person does after the state folder was set back, and with it the books of what Airtable was told."""
        for part in self.destinations if self.store else ():
            if part.name == "airtable":
                assert self.store
                again = DestinationPart(part.destination, self.store, self.local, by_content=True)
                again.rewind()
                while again.step() is None:
                    pass

    def file_of(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    def start(self, rhythm: Rhythm, *, allow: bool = False) -> None:
        """Build every part, as a start of the program does."""
        self.allowed = allow
        syncjob.spool.os = FusedFiles(self.fuse)  # type: ignore[assignment]
        for module, sizes in self.plan.pages.items():
            vars(PAGED[module]).update(sizes)
        self.state.mkdir(exist_ok=True)
        self.store = _warm(FusedStore(self.state / "mirror.db", self.fuse))
        after = datetime.combine(self.plan.process_after, time(), UTC) if self.plan.process_after else None
        self.sessions = {name: TimedSession(self) for name in self.plan.faces}
        sources = {"teamwork": lambda: Teamwork(self.sandbox.teamwork_url, after), "missive": lambda: Missive(after)}
        self.sources = []
        for name in self.plan.faces:
            self.spools[name] = NotedSpool(self.state / "spool" / name, self, name)
            self.sources.append(SourcePart(
                sources[name](), self._api(name).get, self.store, self.spools[name], self.local, rhythm,
                access="key", overlap=OVERLAP, process_after=after, share=self.plan.share, allow_deletes=allow,
            ))  # fmt: skip
        self.destinations = [DestinationPart(make(), self.store, self.local) for make in self.places.values()]

    def _api(self, name: str) -> Api:
        limiter = Limiter([Window(100_000, 60)], SHARES, self.local, self.state / f"{name}.limits")
        return wired_api(
            name, self.sandbox, self.local, self.sessions[name], limiter,
            tries=self.plan.tries, max_bytes=SMALL_CAP, jitter=self.rng.random,
        )  # fmt: skip

    def stop(self) -> None:
        """Let go of everything, as the end of a process does."""
        syncjob.spool.os = os
        for module, sizes in PAGES.items():
            vars(PAGED[module]).update(sizes)
        for part in self.destinations:
            part.destination.close()
        for session in self.sessions.values():
            session.close()
        if self.store:
            self.store.close()
        self.store, self.sources, self.destinations = None, [], []

    # -- running

    def run(self) -> None:
        """Take every step that is due, in a drawn order, and deliver what there is. Raises Crash."""
        self.errors = []
        sources, readers, failed = list(self.sources), list(self.destinations), set[str]()
        for _ in range(MOST_STEPS):
            busy: Sequence[Any] = [*sources, *readers]
            if not busy:
                return
            part = self.rng.choice(busy)
            rests = self._step(part, failed)
            if part in sources:
                self.watch(part)
            if rests:
                (sources if part in sources else readers).remove(part)
            if part.name in self.plan.faces and (not sources or self.rng.random() < 0.25):
                readers = [each for each in self.destinations if each.name not in failed]
        raise AssertionError("the parts never rest")

    def _step(self, part: Any, failed: set[str]) -> bool:
        """Take a part's step; whether it has no other for now."""
        try:
            return part.step() is not None
        except SyncjobError as error:
            self.errors.append(f"{part.name}: {type(error).__name__} {error.message}")
            failed.add(part.name)
            if isinstance(part, DestinationPart):
                part.failed(error)
            return True

    def held(self) -> int:
        """How many deletions wait for a person's word."""
        return int(self._ask("SELECT count(*) FROM deletions WHERE held"))

    def waits(self) -> bool:
        """Whether a walk is open, or a question still has to be asked."""
        return bool(self._ask("SELECT (SELECT count(*) FROM walks WHERE finished_at IS NULL) + (SELECT count(*) FROM wants)"))

    def _ask(self, query: str) -> Any:
        connection = sqlite3.connect(self.state / "mirror.db")
        try:
            return connection.execute(query).fetchone()[0]
        finally:
            connection.close()

    # -- what a disk goes through

    def resurrect(self) -> None:
        """Bring back leaves that were dropped of late, as a power cut may: a drop is not synced."""
        for spool in self.spools.values():
            for path, content in spool.dropped.items():
                path.write_bytes(content)

    def back_up(self, name: str) -> None:
        """Copy a destination, or the state folder, to a backup."""
        if name == "state":
            shutil.rmtree(self.folder / "state.backup", ignore_errors=True)
            shutil.copytree(self.state, self.folder / "state.backup")
            self._times_then = dict(self.times)
        else:
            _copy(self.file_of(name), self.folder / f"{name}.backup")

    def has_backup(self, name: str) -> bool:
        return (self.folder / f"{name}.backup").exists()

    def restore(self, name: str) -> None:
        """Set a destination, or the state folder, back to its backup."""
        if name == "state":
            self.lose("state")
            shutil.copytree(self.folder / "state.backup", self.state)
            self.times = dict(self._times_then)
        else:
            self.lose(name)
            _copy(self.folder / f"{name}.backup", self.file_of(name))

    def holds(self, name: str) -> bool:
        """Whether the state folder, or a destination's database, is there."""
        return name in self.dsns or (self.state if name == "state" else self.file_of(name)).exists()

    def lose(self, name: str) -> None:
        """The state folder, or all that a destination's database held, is gone."""
        if name == "state":
            shutil.rmtree(self.state)
            self.times = {}
        elif name in self.dsns:
            execute(self.dsns[name], EMPTY)
        else:
            for path in self.folder.glob(f"{name}.db*"):
                path.unlink()


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with sqlite3.connect(source) as here, sqlite3.connect(target) as there:
        here.backup(there)
    here.close()
    there.close()


STREAM_OF = {"teamwork": TASKS, "missive": EMAILS}
