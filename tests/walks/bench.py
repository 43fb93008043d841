"""The job on a bench: the sandbox answers in process, time stands still unless told, and every durable point can be the last one."""

import base64
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from syncjob.core.errors import Forbidden, Transient
from syncjob.core.model import EMAILS, TASKS, Answer, Call, FeedRow
from syncjob.core.steps import Rhythm
from syncjob.cycle import SourcePart
from syncjob.sandbox import Request, Sandbox, Switches
from syncjob.sources.missive import Missive
from syncjob.sources.teamwork import Teamwork
from syncjob.spool import Leaf, Spool
from syncjob.store import Store, Tx

POLL = timedelta(seconds=60)
OVERLAP = timedelta(seconds=120)
TUESDAY = datetime(2026, 9, 1, 12, tzinfo=UTC).timestamp()
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
MEMORY = Path("/dev/shm")
MOST_STEPS = 20_000


@contextmanager
def new_folder() -> Iterator[Path]:
    """An empty folder, in memory where the machine has such a place: these tests are about order, not about a disk's speed."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


class Crash(BaseException):
    """The power is gone."""


class Clock:
    """Time that only moves when it is told to."""

    def __init__(self, at: float = TUESDAY) -> None:
        self.at = at

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    def wait(self, seconds: float) -> bool:
        self.at += seconds
        return False


class Fuse:
    """Counts durable points, and blows at one of them."""

    def __init__(self, blows_at: int | None = None) -> None:
        self.blows_at, self.points = blows_at, 0

    def point(self) -> None:
        self.points += 1
        if self.points == self.blows_at:
            raise Crash


class FusedSpool(Spool):
    """A spool with a durable point on both sides of each write and drop."""

    def __init__(self, folder: Path, fuse: Fuse) -> None:
        super().__init__(folder)
        self._fuse, self._place = fuse, folder

    def write(self, *, observed: int, walk: int | None, call: Call, answer: Answer) -> Leaf:
        part = self._place / f"{observed:015d}.part"
        part.write_bytes(answer.body[:40])
        self._fuse.point()  # a crash here leaves half a file
        leaf = super().write(observed=observed, walk=walk, call=call, answer=answer)
        self._fuse.point()
        return leaf

    def drop(self, leaf: Leaf) -> None:
        self._fuse.point()
        super().drop(leaf)
        self._fuse.point()


class FusedStore(Store):
    """A store with a durable point on both sides of each commit."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        self._fuse = fuse
        super().__init__(path)

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        with super().begin() as tx:
            yield tx
            self._fuse.point()
        self._fuse.point()


class Bench:
    """A sandbox and the two sources on one state folder. `tick`: seconds that each request takes."""

    def __init__(
        self, folder: Path, *, seed: int = 1, tasks: int = 0, conversations: int = 0, switches: Switches | None = None, tick: float = 0.0,
        sandbox: Sandbox | None = None, clock: Clock | None = None, process_after: date | None = None, fuse: Fuse | None = None,
        messages_each: int = 3,
    ) -> None:  # fmt: skip
        self.clock = clock or Clock()
        self.sandbox = sandbox or Sandbox(
            seed, tasks, conversations, messages_per_conversation=messages_each, switches=switches, clock=lambda: self.clock.at
        )
        self.folder, self.tick, self.process_after, self.fuse = folder, tick, process_after, fuse or Fuse()
        self.rhythm = Rhythm(POLL)
        self.open()

    def open(self) -> None:
        """Begin anew on the same folder, as after a start of the program."""
        after = datetime.combine(self.process_after, time(), UTC) if self.process_after else None
        self.store = FusedStore(self.folder / "mirror.db", self.fuse)
        self.parts = {
            source.name: SourcePart(
                source, self._asker(source.name), self.store, FusedSpool(self.folder / "spool" / source.name, self.fuse),
                self.clock, self.rhythm, access="key", overlap=OVERLAP, process_after=after,
            )
            for source in (Teamwork(self.sandbox.teamwork_url, after), Missive(after))
        }  # fmt: skip

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def close(self) -> None:
        self.store.close()

    def _asker(self, face: str) -> Callable[[Call, str], Answer]:
        basic = "Basic " + base64.b64encode(f"{self.sandbox.teamwork_key}:x".encode()).decode()
        headers = {"Authorization": basic if face == "teamwork" else f"Bearer {self.sandbox.missive_token}"}
        prefix = "" if face == "teamwork" else "/v1"

        def ask(call: Call, urgency: str) -> Answer:
            self.fuse.point()
            self.clock.at += self.tick
            response = self.sandbox.respond(Request("GET", prefix + call.path, dict(call.params), headers))
            if response.status != 200 and response.status not in call.accept:
                raise (Forbidden if response.status == 403 else Transient)(f"{response.status} {call.path} {response.body[:200]!r}")
            return Answer(response.status, response.body, parsedate_to_datetime(response.headers["Date"]))

        return ask

    # -- running

    def run(self, *names: str) -> None:
        """Take every step that is due, the parts in turn."""
        busy = [self.parts[name] for name in names or self.parts]
        for _ in range(MOST_STEPS):
            busy = [part for part in busy if part.step() is None]
            if not busy:
                return
        raise AssertionError("the parts never rest")

    def cycle(self, *names: str, wait: float = 61) -> None:
        """Wait until changes are due, then take every step."""
        self.clock.at += wait
        self.run(*names)

    def settle(self, *names: str, cycles: int = 2) -> None:
        """As many cycles as every list's head needs to have had its turn."""
        for _ in range(cycles):
            self.cycle(*names)

    def requests(self, face: str) -> int:
        return len(self.sandbox.requests(face))

    # -- looking

    def bodies_asked(self) -> list[str]:
        """The messages whose bodies were asked for, as often as they were."""
        batches = [each.path.rpartition("/")[2] for each in self.sandbox.requests("missive") if each.path.startswith("/v1/messages/")]
        return [key for batch in batches for key in batch.split(",")]

    def feed(self) -> tuple[FeedRow, ...]:
        with self.store.read() as tx:
            return tx.feed.after(0, limit=10**6, size=10**12).rows

    def seq(self) -> int:
        with self.store.read() as tx:
            return tx.mirror.newest_seq()

    def held(self, stream: str) -> dict[str, Mapping[str, Any]]:
        """The live rows of a stream as destinations would hear of them."""
        return {row.key: _clean(row.data) for row in self.feed() if row.stream == stream and row.deleted_at is None}

    def walks(self, stream: str) -> list[Mapping[str, Any]]:
        """Every walk of a stream, oldest first."""
        with sqlite3.connect(self.folder / "mirror.db") as connection:
            last = connection.execute("SELECT coalesce(max(id), 0) FROM walks").fetchone()[0]
        connection.close()
        with self.store.read() as tx:
            found = [tx.walks.details(id_) for id_ in range(1, last + 1)]
        return [walk for walk in found if walk["stream"] == stream]

    def differences(self) -> list[str]:
        """Where the mirror is not the truth, one line each; empty: they are equal."""
        return list(self._differences())

    def differences_of(self, *what: str) -> list[str]:
        """Those of tasks, emails or attachments, where only one source was run."""
        return [line for line in self._differences() if line.startswith(what)]

    def _differences(self) -> Iterator[str]:
        truth = self.sandbox.truth
        held = self.held(EMAILS)
        yield from _compare("task", self.held(TASKS), truth.tasks(self.process_after))
        yield from _compare("email", held, truth.emails(self.process_after))
        attachments = {item["attachment_id"]: {**item, "email_id": key} for key, row in held.items() for item in row.get("attachments", ())}
        known = truth.attachments(self.process_after)
        for item in known.values():
            if item["email_id"] in truth.redacted_emails():
                del item["inline"]  # only the body tells, and that is withheld
        yield from _compare("attachment", attachments, known)
        with self.store.read() as tx:
            for stream, expected in ((TASKS, truth.tasks(self.process_after)), (EMAILS, truth.emails(self.process_after))):
                if tx.mirror.live(stream) != len(expected):
                    yield f"{stream}: counted {tx.mirror.live(stream)} live rows of {len(expected)}"


def _compare(what: str, held: Mapping[str, Mapping[str, Any]], truth: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield from (f"{what} {key} is missing" for key in sorted(truth.keys() - held.keys()))
    yield from (f"{what} {key} is too many" for key in sorted(held.keys() - truth.keys()))
    for key in sorted(truth.keys() & held.keys()):
        for name, value in truth[key].items():
            if name not in ("deleted", "deleted_at") and held[key].get(name) != _json(value):
                yield f"{what} {key}.{name}: {held[key].get(name)!r} instead of {_json(value)!r}"


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else value


def _clean(value: Any) -> Any:
    """Texts as a database can hold them."""
    if isinstance(value, str):
        return UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return {name: _clean(item) for name, item in value.items()} if isinstance(value, Mapping) else value
