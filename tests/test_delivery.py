"""Delivery survives a crash between any two steps, a destination that is set back meanwhile, and a second writer."""

import shutil
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from syncjob.core.digest import digest
from syncjob.core.errors import Transient
from syncjob.core.model import EMAILS, TASKS, Batch, Change, FeedRow, Json, Position, Receipt, Record
from syncjob.core.ports import Destination
from syncjob.delivery import DestinationPart
from syncjob.destinations import SqlDestination, sqlite_url
from syncjob.drive import Cycle
from syncjob.store import Store, Tx
from tests.contracts.memory import Held, MemoryDestination
from tests.contracts.places import NOON, HandClock, attachment, deliver, email, task
from tests.walks.bench import Crash, Fuse, FusedStore, new_folder

CLOCK = HandClock(NOON)
BAD = ("7", "13")


@dataclass(slots=True)
class FusedDestination(MemoryDestination):
    """A destination in memory with a point before and after whatever it does, at which the power may go."""

    fuse: Fuse = field(default_factory=Fuse)

    def prepare(self) -> Position | None:
        self.fuse.point()
        return self.held.position

    def deliver(self, batch: Batch, *, by_content: bool = False) -> Receipt:
        self.fuse.point()
        receipt = MemoryDestination.deliver(self, batch, by_content=by_content)
        self.fuse.point()
        return receipt

    def live(self, stream: str) -> Iterator[str]:
        self.fuse.point()
        yield from MemoryDestination.live(self, stream)

    def rows(self, stream: str, *, after: str = "", keys: Collection[str] | None = None) -> Iterator[Mapping[str, Json]]:
        self.fuse.point()
        yield from MemoryDestination.rows(self, stream, after=after, keys=keys)


def know(store: Store, *rows: FeedRow) -> None:
    """Let the mirror meet these rows."""
    with store.begin() as tx:
        changes = [Change("created", Record(row.stream, row.key, row.data), digest(row.data, None), row.deleted_at) for row in rows]
        tx.mirror.apply(changes, observed=1)


def run(part: DestinationPart) -> int:
    """Deliver until nothing is left; how many rows were written."""
    part.new_cycle()
    while part.step() is None:
        pass
    return part.written


def filled_elsewhere() -> Held:
    """What another mirror left in a destination: rows that are equal, that are old, and that this mirror does not know."""
    destination = MemoryDestination("memory", CLOCK)
    deliver(destination, task("1"), task("2", title="Old"), task("98"), task("99"), email("m1", attachments=[attachment()]), seq=40)
    return destination.held


def mirror(path: Path) -> None:
    """A mirror with rows that will be refused, and a stranger that is proven to be gone."""
    store = Store(path)
    rows = [task(str(number), progress="x" if str(number) in BAD else 1) for number in range(1, 20)]
    know(store, *rows, email("m1", attachments=[attachment(), attachment("f2")]), task("20", gone=NOON))
    with store.begin() as tx:
        tx.strangers.note(TASKS, ["98"])
        tx.strangers.bury(TASKS, "98", why="404", at=NOON, observed=2)
    store.close()


def missed(store: Store, held: Held) -> list[str]:
    """Rows that the destination's position says it has read, but that are not there."""
    destination = MemoryDestination("memory", CLOCK, held)
    with store.read() as tx:
        if not held.position or not tx.feed.trusts(held.position):
            return []
        fed = [row for row in tx.feed.after(0).rows if row.seq <= held.position.seq and row.data]
        fed = [row for row in fed if row.key not in tx.feed.refused("memory", row.stream, [row.key])]
    return [row.key for row in fed if list(destination.rows(row.stream, keys=[row.key])) != [destination.rendered(row)]]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """An empty folder."""
    with new_folder() as folder:
        yield folder


def test_a_crash_at_any_point_leaves_nothing_out(tmp_path: Path) -> None:
    mirror(tmp_path / "mirror.db")
    whole, fuse = filled_elsewhere(), Fuse()
    expected = life(Path(shutil.copy(tmp_path / "mirror.db", tmp_path / "whole.db")), whole, fuse)
    assert expected == (sorted(BAD, key=int), ["99"])
    assert whole.position
    for point in range(1, fuse.points + 1):
        path, held = Path(shutil.copy(tmp_path / "mirror.db", tmp_path / f"{point}.db")), filled_elsewhere()
        with pytest.raises(Crash):
            life(path, held, Fuse(point))
        store = Store(path)
        assert missed(store, held) == [], f"crash at {point}"
        store.close()
        assert life(path, held, Fuse()) == expected, f"crash at {point}"
        assert held.rows == whole.rows, f"crash at {point}"


def life(path: Path, held: Held, fuse: Fuse) -> tuple[list[str], list[str]]:
    """One process: which rows were refused in the end, and which are strangers."""
    store = FusedStore(path, fuse)
    try:
        run(DestinationPart(FusedDestination("memory", CLOCK, held, fuse=fuse), store, CLOCK))
        with store.read() as tx:
            refused = tx.feed.refused("memory", TASKS, [str(number) for number in range(30)])
            return sorted(refused, key=int), tx.strangers.some(TASKS)
    finally:
        store.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "mirror.db")
    know(store, *(task(str(number)) for number in range(5)))
    yield store
    store.close()


def keys(destination: Destination) -> list[str]:
    return list(destination.live(TASKS))


def test_one_that_is_set_back_while_nothing_happens_is_whole_after_the_next_cycle(store: Store, tmp_path: Path) -> None:
    file, backup = tmp_path / "data.db", tmp_path / "backup.db"
    part = DestinationPart(SqlDestination("sqlite", sqlite_url(file), clock=CLOCK), store, CLOCK)
    run(part)
    part.destination.close()
    shutil.copy(file, backup)
    know(store, task("5"), task("6"))
    assert run(part) == 2
    for name in ("data.db-wal", "data.db-shm"):
        (tmp_path / name).unlink()
    backup.replace(file)  # under the feet of the process
    assert run(part) == 2
    assert keys(part.destination) == ["0", "1", "2", "3", "4", "5", "6"]
    part.destination.close()


def test_one_that_is_set_back_in_the_midst_of_a_cycle_is_not_written_on(store: Store) -> None:
    destination = MemoryDestination("memory", CLOCK)
    part = DestinationPart(destination, store, CLOCK)
    run(part)
    backup = destination.held.position
    know(store, task("5"))
    assert part.step() is None
    del destination.held.rows[TASKS]["5"]
    destination.held.position = backup
    know(store, task("6"))
    with pytest.raises(Transient, match="was set back") as raised:
        part.step()
    part.failed(raised.value)
    assert part.step() is None
    assert keys(destination) == ["0", "1", "2", "3", "4", "5", "6"]


def test_two_mirrors_that_write_to_one_destination_never_leave_a_hole(store: Store, tmp_path: Path) -> None:
    """Nobody should do that; but what is live in both has to be there in the end."""
    destination, other = MemoryDestination("memory", CLOCK), Store(tmp_path / "other.db")
    know(other, task("0"), task("other"))
    mine, theirs = (DestinationPart(destination, each, CLOCK) for each in (store, other))
    run(mine)
    assert run(theirs) == 1
    know(store, task("5"))
    with pytest.raises(Transient, match="somebody else"):
        mine.step()
    assert run(mine) == 1
    assert keys(destination) == ["0", "1", "2", "3", "4", "5", "other"]
    with store.read() as tx:
        assert tx.strangers.some(TASKS) == ["other"]
    other.close()


class FullDisk(Store):
    """A store that can be read, but has no room to write."""

    @contextmanager
    def begin(self) -> Iterator[Tx]:
        raise Transient("no room left")
        yield


def test_a_disk_that_is_full_for_the_store_too_is_told_and_stops_nobody(store: Store, tmp_path: Path) -> None:
    destination = MemoryDestination("memory", CLOCK, fault=Transient("no room left for the rows"))
    full = FullDisk(tmp_path / "mirror.db")
    cycle = Cycle([], [DestinationPart(destination, full, CLOCK)], threading.Event(), lambda name, take: take())
    assert [error and error.message for error in cycle.run().errors.values()] == ["no room left for the rows"]
    full.close()


def test_a_rest_that_a_wrong_clock_noted_is_not_kept(store: Store) -> None:
    clock, held = HandClock(NOON + timedelta(days=365)), Held()
    know(store, task("21"))
    run(DestinationPart(MemoryDestination("memory", clock, held), store, clock, every=timedelta(hours=1)))
    know(store, task("22"))
    clock.time = NOON
    assert run(DestinationPart(MemoryDestination("memory", clock, held), store, clock, every=timedelta(hours=1))) == 1


def test_an_email_that_is_refused_takes_its_attachments_with_it(store: Store) -> None:
    destination = MemoryDestination("memory", CLOCK)
    know(store, email("m1", subject={"not": "text"}, attachments=[attachment()]), email("m2", attachments=[attachment("f2")]))
    part = DestinationPart(destination, store, CLOCK)
    assert run(part) == 6
    assert [list(destination.live(stream)) for stream in destination.streams] == [["0", "1", "2", "3", "4"], ["m2"], ["f2"]]
    with store.read() as tx:
        assert tx.feed.refused("memory", EMAILS, ["m1", "m2"]) == {"m1"}


@pytest.mark.parametrize("letter", ["a", "é", "語", "😀", "\ud800"], ids=ascii)
def test_a_batch_is_bounded_in_bytes_whatever_is_written_in_it(tmp_path: Path, letter: str) -> None:
    store = Store(tmp_path / "mirror.db")
    with store.begin() as tx:
        mails = (Record(EMAILS, str(key), {"email_id": str(key)}, body={"body_text": 10_000 * letter}) for key in range(40))
        tx.mirror.apply([Change("created", mail, digest(mail.data, mail.body)) for mail in mails], observed=1)
        (*_, last) = batch = tx.feed.after(0, size=200_000).rows
    weighed = sum(len(str(row.data["body_text"]).encode(errors="surrogatepass")) for row in batch if row != last)
    store.close()
    assert weighed < 200_000
    assert len(batch) > 1
