"""Every verdict of a verification, also while a run is at work beside it."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from syncjob import verify
from syncjob.core.digest import digest
from syncjob.core.model import ATTACHMENTS, EMAILS, TASKS, Change, FeedRow, Json, Record, Walk
from syncjob.delivery import DestinationPart
from syncjob.store import Store
from syncjob.verify import Comparison, Finding
from tests.contracts.memory import Held, MemoryDestination
from tests.contracts.places import LATER, NOON, HandClock, attachment, deliver, email, task
from tests.walks.bench import new_folder

CLOCK = HandClock(NOON)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """An empty folder."""
    with new_folder() as folder:
        yield folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The store of a mirror that has met everything."""
    store = Store(tmp_path / "mirror.db")
    with store.begin() as tx:
        for stream in (TASKS, EMAILS):
            walk = tx.walks.begin(Walk(0, stream, "full", None, None, {}, NOON, 1), live=0)
            tx.walks.update(walk.id, finished_at=NOON, complete=True)
    yield store
    store.close()


@pytest.fixture
def destination() -> MemoryDestination:
    return MemoryDestination("memory", CLOCK)


def know(store: Store, *rows: FeedRow, fed: bool = True) -> None:
    """Let the mirror meet these rows."""
    with store.begin() as tx:
        changes = [
            Change("created", Record(row.stream, row.key, row.data), digest(row.data, None), row.deleted_at, fed=fed) for row in rows
        ]
        tx.mirror.apply(changes, observed=1)


def level(store: Store, destination: MemoryDestination) -> DestinationPart:
    part = DestinationPart(destination, store, CLOCK)
    while part.step() is None:
        pass
    return part


def found(store: Store, destination: MemoryDestination, stream: str = TASKS) -> list[Finding]:
    position = destination.position()
    assert position
    return list(Comparison(destination, store, position, LATER).findings(stream))


def verdicts(store: Store, destination: MemoryDestination, stream: str = TASKS) -> dict[str, str]:
    return {finding.key: finding.verdict for finding in found(store, destination, stream)}


def add_by_hand(destination: MemoryDestination, *rows: FeedRow) -> None:
    position = destination.held.position
    deliver(destination, *rows)
    destination.held.position = position


def test_each_row_gets_its_verdict_and_only_what_differs_a_remedy(store: Store, destination: MemoryDestination) -> None:
    know(store, *(task(key) for key in "abcd"), task("bad", tags="x"), task("dead", gone=NOON))
    know(store, task("later", title="not read to the end"), fed=False)
    level(store, destination)
    with store.begin() as tx:
        tx.strangers.note(TASKS, ["strange"])
    add_by_hand(destination, task("b", title="Mine", progress=7), task("e"), task("later"), task("strange"), task("old", gone=NOON))
    del destination.held.rows[TASKS]["c"]
    know(store, task("d", title="Newer"), task("new"))

    result = {finding.key: finding for finding in found(store, destination)}

    assert {key: finding.verdict for key, finding in result.items()} == {
        "a": "equal", "b": "differs", "c": "missing", "d": "behind", "new": "behind", "bad": "refused", "dead": "equal",
        "e": "extra", "later": "waiting", "strange": "unproven",
    }  # fmt: skip
    assert {key for key, finding in result.items() if finding.remedy} == {"b", "c", "e"}
    assert result["b"].columns == ("title", "progress")
    remedy = result["e"].remedy
    assert remedy
    assert (remedy.data["title"], remedy.deleted_at) == ("Task e", LATER)


def test_nothing_is_extra_as_long_as_the_mirror_has_not_met_everything(store: Store, destination: MemoryDestination) -> None:
    know(store, email("m0"))
    level(store, destination)
    add_by_hand(destination, task("1"), email("m1", attachments=[attachment()]))
    assert verdicts(store, destination) == {"1": "extra"}
    with store.begin() as tx:
        for walk in (1, 2):
            tx.walks.update(walk, complete=False)
    assert [verdicts(store, destination, stream) for stream in destination.streams] == [
        {"1": "unproven"}, {"m0": "equal", "m1": "unproven"}, {"f1": "unproven"},
    ]  # fmt: skip


def test_a_buried_stranger_is_compared_by_its_mark_alone(store: Store, destination: MemoryDestination) -> None:
    deliver(destination, task("1"), task("2"))
    level(store, destination)
    with store.begin() as tx:
        for key in ("1", "2", "elsewhere"):
            tx.strangers.note(TASKS, [key])
            assert tx.strangers.bury(TASKS, key, why="404", at=NOON, observed=2)
    level(store, destination)
    assert verdicts(store, destination) == {"1": "equal", "2": "equal", "elsewhere": "equal"}
    add_by_hand(destination, task("2"))
    (other, differing, _) = found(store, destination)
    assert (other.verdict, differing.columns, differing.remedy and differing.remedy.data["title"]) == (
        "equal", ("deleted", "deleted_at"), "Task 2",
    )  # fmt: skip


def test_attachments_stand_and_fall_with_their_email(store: Store, destination: MemoryDestination) -> None:
    know(
        store,
        email("m1", attachments=[attachment("f1"), attachment("f2")]),
        email("m2", attachments=[attachment("f3")], gone=NOON),
        email("m3", attachments=[attachment("f4")]),
        email("m4", attachments=[attachment("shared")]),
        email("m5", attachments=[attachment("shared")]),
    )
    level(store, destination)
    assert set(verdicts(store, destination, ATTACHMENTS).values()) == {"equal"}
    know(store, email("m3", attachments=[]), email("m1", subject={"not": "text"}, attachments=[attachment("f9")]))
    assert verdicts(store, destination, ATTACHMENTS) == {
        "f1": "behind", "f2": "behind", "f3": "equal", "f4": "behind", "f9": "behind", "shared": "equal",
    }  # fmt: skip
    level(store, destination)
    assert verdicts(store, destination, ATTACHMENTS) == {
        "f1": "refused",
        "f2": "refused",
        "f3": "equal",
        "f9": "refused",
        "shared": "equal",
    }
    alone = FeedRow(ATTACHMENTS, "mine", 0, attachment("mine", email_id="m3"))
    nobody = FeedRow(ATTACHMENTS, "nobody", 0, attachment("nobody", email_id=None))
    add_by_hand(destination, alone, nobody)
    assert {key: verdict for key, verdict in verdicts(store, destination, ATTACHMENTS).items() if verdict == "extra"} == {
        "mine": "extra", "nobody": "extra",
    }  # fmt: skip


class Busy(MemoryDestination):
    """A run delivers new changes to it whenever a row was read."""

    def rows(self, stream: str, *, after: str = "", keys: Collection[str] | None = None) -> Iterator[Mapping[str, Json]]:
        for number, row in enumerate(list(super().rows(stream, after=after, keys=keys))):
            self.work(number)
            yield from super().rows(stream, keys=[row["task_id"]])
        self.work(99)

    def work(self, number: int) -> None:
        """Change a row that was read already, one that will be, and add one on either side."""
        know(self.store, *(task(key, title=f"at {number}") for key in ("05", "25", f"0{number}", f"3{number}")))
        level(self.store, self.quiet)

    store: Store
    quiet: MemoryDestination


@pytest.mark.parametrize("stretch", [1, 3, 5000])
def test_a_run_beside_it_makes_no_difference(store: Store, monkeypatch: pytest.MonkeyPatch, stretch: int) -> None:
    monkeypatch.setattr(verify, "STRETCH_ROWS", stretch)
    held = Held()
    busy = Busy("memory", CLOCK, held)
    busy.store, busy.quiet = store, MemoryDestination("memory", CLOCK, held)
    know(store, *(task(f"{number:02}") for number in range(10, 30)), task("05"))
    level(store, busy.quiet)
    result = verdicts(store, busy)
    assert set(result.values()) == {"equal", "behind"}
    assert sum(verdict == "equal" for verdict in result.values()) == 19
    del held.rows[TASKS]["15"]
    assert verdicts(store, busy)["15"] == "missing"
