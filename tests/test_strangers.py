"""An adopted destination's live rows that the mirror does not know: noted, settled or buried, never lost and never emptied."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncjob.core.digest import digest
from syncjob.core.errors import Transient
from syncjob.core.model import ATTACHMENTS, EMAILS, TASKS, Change, FeedRow, Record
from syncjob.delivery import DestinationPart
from syncjob.store import Store
from tests.contracts.memory import MemoryDestination
from tests.contracts.places import LATER, NOON, HandClock, attachment, deliver, email, task

CLOCK = HandClock(LATER)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "mirror.db")
    yield store
    store.close()


@pytest.fixture
def full() -> MemoryDestination:
    """A destination that another mirror filled."""
    destination = MemoryDestination("memory", CLOCK)
    deliver(destination, *(task(str(number)) for number in range(5)), task("9", gone=NOON), email(attachments=[attachment()]))
    return destination


def know(store: Store, *rows: FeedRow) -> None:
    """Let the mirror meet these rows."""
    with store.begin() as tx:
        records = [Record(row.stream, row.key, row.data) for row in rows]
        tx.mirror.apply([Change("created", record, digest(record.data, None)) for record in records], observed=1)


def run(store: Store, destination: MemoryDestination) -> DestinationPart:
    part = DestinationPart(destination, store, CLOCK)
    while part.step() is None:
        pass
    return part


def strangers(store: Store, stream: str = TASKS) -> list[str]:
    with store.begin() as tx:
        tx.strangers.settle(stream)
        return tx.strangers.some(stream)


def bury(store: Store, stream: str, *keys: str) -> list[bool]:
    with store.begin() as tx:
        return [tx.strangers.bury(stream, key, why="404", at=NOON, observed=7) for key in keys]


def test_what_an_adopted_destination_holds_alone_is_noted(store: Store, full: MemoryDestination) -> None:
    know(store, task("0"), task("1"))
    run(store, full)
    assert (strangers(store), strangers(store, EMAILS)) == (["2", "3", "4"], ["m1"])  # a deleted row waits for nothing


def test_they_are_settled_as_soon_as_the_mirror_knows_them(store: Store, full: MemoryDestination) -> None:
    run(store, full)
    assert strangers(store) == ["0", "1", "2", "3", "4"]
    know(store, task("0"), task("4"))
    assert strangers(store) == ["1", "2", "3"]


def test_they_come_in_order_and_a_few_at_a_time(store: Store, full: MemoryDestination) -> None:
    run(store, full)
    with store.read() as tx:
        assert tx.strangers.some(TASKS, most=2) == ["0", "1"]
        assert tx.strangers.some(TASKS, after="1", most=2) == ["2", "3"]
        assert tx.strangers.among(TASKS, ["3", "9", "m1"]) == {"3"}


def test_a_buried_one_is_marked_and_keeps_its_content_and_nothing_else_is_touched(store: Store, full: MemoryDestination) -> None:
    know(store, *(task(str(number)) for number in range(3)))
    part = run(store, full)
    assert part.written == 0
    before = {stream: list(full.rows(stream)) for stream in full.streams}

    assert bury(store, TASKS, "3") == [True]
    assert bury(store, EMAILS, "m1") == [True]

    mark = {"deleted": True, "deleted_at": "2026-03-01T12:00:00Z"}
    assert run(store, full).written == 2
    assert list(full.rows(TASKS)) == [row | mark if row["task_id"] == "3" else row for row in before[TASKS]]
    assert list(full.rows(EMAILS)) == [row | mark for row in before[EMAILS]]
    assert list(full.rows(ATTACHMENTS)) == [row | mark for row in before[ATTACHMENTS]]
    assert strangers(store) == ["4"]
    assert run(store, full).written == 0


def test_they_are_noted_again_when_the_mirror_is_set_back_to_before(store: Store, full: MemoryDestination, tmp_path: Path) -> None:
    """Its position would be of the past of that mirror, had adoption not begun another one."""
    know(store, task("0"), task("1"))
    store.close()
    shutil.copy(tmp_path / "mirror.db", tmp_path / "backup.db")
    for _ in range(3):
        shutil.copy(tmp_path / "backup.db", tmp_path / "mirror.db")
        again = Store(tmp_path / "mirror.db")
        run(again, full)
        assert strangers(again) == ["2", "3", "4"]
        with again.read() as tx:
            assert tx.feed.trusts(full.held.position)
        again.close()


def test_a_replay_notes_them_too_where_both_were_set_back_alike(store: Store, full: MemoryDestination) -> None:
    part = run(store, full)
    with store.begin() as tx:
        for key in tx.strangers.some(TASKS):
            tx.strangers.bury(TASKS, key, why="404", at=NOON, observed=7)
    full.held.rows[TASKS]["12"] = full.held.rows[TASKS]["0"]
    assert (run(store, full).written, strangers(store)) == (5, [])
    part.rewind()
    assert strangers(store) == ["12"]


def test_adoptions_with_nothing_between_them_do_not_doubt_each_other(store: Store, full: MemoryDestination, tmp_path: Path) -> None:
    know(store, task("0"))
    run(store, full)
    store.close()
    again, other = Store(tmp_path / "mirror.db"), MemoryDestination("other", CLOCK)
    run(again, other)
    with again.read() as tx:
        assert tx.feed.trusts(full.held.position)
        assert tx.feed.trusts(other.held.position)
        before = tx.feed.newest().seq
    know(again, task("1"))
    run(again, full)
    with again.read() as tx:
        assert tx.feed.newest().seq > before
        assert tx.feed.trusts(other.held.position)
        assert tx.feed.trusts(full.held.position)
    again.close()


def test_only_strangers_can_be_buried(store: Store, full: MemoryDestination) -> None:
    know(store, task("0"))
    run(store, full)
    know(store, task("1"))
    assert bury(store, TASKS, "0", "1", "2", "2", "77") == [False, False, True, False, False]


def test_a_destination_that_never_held_it_gets_no_row(store: Store, full: MemoryDestination) -> None:
    run(store, full)
    bury(store, TASKS, "3")
    other = MemoryDestination("other", CLOCK)
    assert run(store, other).written == 0
    assert list(other.rows(TASKS)) == []


def test_one_that_is_shown_again_after_all_is_live_again(store: Store, full: MemoryDestination) -> None:
    run(store, full)
    bury(store, TASKS, "3")
    run(store, full)
    with store.begin() as tx:
        row = tx.mirror.rows(TASKS, ["3"])["3"]
        assert (row.deleted_why, tx.mirror.live(TASKS)) == ("404", 0)
        again = Record(TASKS, "3", task("3", title="Back").data, proven=True)
        tx.mirror.apply([Change("restored", again, digest(again.data, None))], observed=8)
        assert tx.mirror.live(TASKS) == 1
    run(store, full)
    assert next(full.rows(TASKS, keys=["3"]))["title"] == "Back"
    assert "3" in full.live(TASKS)


class Breaking(MemoryDestination):
    """Breaks off when its live keys are read."""

    def live(self, stream: str) -> Iterator[str]:
        yield from list(super().live(stream))[:2]
        raise Transient("gone away")


def test_an_adoption_that_breaks_off_begins_again_before_anything_is_written(store: Store, full: MemoryDestination) -> None:
    know(store, task("0", title="New"))
    before = full.held.position
    with pytest.raises(Transient):
        run(store, Breaking("memory", CLOCK, full.held))
    assert full.held.position == before
    run(store, full)
    assert strangers(store) == ["1", "2", "3", "4"]
    assert full.held.position != before


def test_a_destination_whose_position_is_trusted_is_not_read(store: Store, full: MemoryDestination) -> None:
    know(store, task("0"))
    run(store, full)
    know(store, task("1"))
    assert run(store, Breaking("memory", CLOCK, full.held)).written == 0
