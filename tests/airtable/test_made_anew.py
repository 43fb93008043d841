"""What somebody removes, makes anew or may not do in Airtable: rows come back, and what is refused stops nothing else."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from syncjob.core.digest import digest
from syncjob.core.errors import ConfigError
from syncjob.core.model import EMAILS, TASKS, Change, Entry, FeedRow, Record
from syncjob.delivery import DestinationPart
from syncjob.destinations import AirtableApi, AirtableDestination
from syncjob.destinations.airtable_fields import FIELDS, FILES, made
from syncjob.http.limits import SHARES, Limiter
from syncjob.sandbox import Fault, Kind
from syncjob.store import LedgerOf
from tests.contracts.airtable import FAST, TABLES, AirtablePlace
from tests.contracts.places import email, task

NO_CHOICES = {"creates_choices": False}


@pytest.fixture
def make_place() -> Iterator[Any]:
    opened: list[AirtablePlace] = []
    with tempfile.TemporaryDirectory() as folder:

        def make(**switches: Any) -> AirtablePlace:
            opened.append(AirtablePlace(Path(folder), **switches))
            return opened[-1]

        yield make
        for place in opened:
            place.close()


def know(place: AirtablePlace, *rows: FeedRow) -> None:
    with place.store.begin() as tx:
        found = [Change("created", Record(row.stream, row.key, row.data), digest(row.data, None)) for row in rows]
        tx.mirror.apply(found, observed=1)


def run(place: AirtablePlace, destination: AirtableDestination | None = None) -> None:
    """Deliver all that is known, a day and more after the last time."""
    place.clock.time += timedelta(days=3)
    part = DestinationPart(destination or place.open(), place.store, place.clock)
    while part.step() is None:
        pass


def titles(place: AirtablePlace) -> dict[str, Any]:
    return {key: row.get("Title") for key, row in place.table("Tasks").rows("Task ID").items()}


def letters(place: AirtablePlace) -> list[str]:
    with place.store.read() as tx:
        return [letter.key for letter in tx.letters.find()]


def showing_files(place: AirtablePlace, *, files: bool) -> AirtableDestination:
    ledger, base, url = LedgerOf(place.store, "airtable"), place.world.base.id, place.sandbox.url
    limiter = Limiter(FAST, SHARES, place.clock)
    token = place.sandbox.airtable_token
    api = AirtableApi(token, base, limiter, place.clock, ledger, url=url, content_url=url, tries=3, backoff=0)
    return AirtableDestination(api, ledger, place.clock, base=base, tables=TABLES, files=files)


def test_a_field_that_init_makes_anew_is_filled_again(make_place: Any) -> None:
    place = make_place()
    know(place, task("1"), task("2"), *(email(f"m{number}") for number in range(30)))
    run(place)
    place.world.remove_field(place.table("Tasks"), "Title")
    know(place, task("3"))
    with pytest.raises(ConfigError, match="no field Title"):
        run(place)
    tables = place.open().tables
    tables.create(tables.missing())
    place.forget_calls()
    run(place)
    assert titles(place) == {"1": "Task 1", "2": "Task 2", "3": "Task 3"}
    assert place.asked <= 5, "the tables, two lists of keys, what the tasks show, the tasks: emails are not sent again"


def test_a_field_that_somebody_makes_anew_is_filled_again(make_place: Any) -> None:
    place = make_place()
    know(place, task("1"), task("2"))
    run(place)
    place.world.remove_field(place.table("Tasks"), "Title")
    place.world.add_field(place.table("Tasks"), "Title", "singleLineText")
    know(place, task("3"))
    run(place)
    assert titles(place) == {"1": "Task 1", "2": "Task 2", "3": "Task 3"}


def test_a_table_made_anew_is_filled_though_attachments_are_switched_on_meanwhile(make_place: Any) -> None:
    place = make_place()
    know(place, email("m1"), task("1"))
    run(place, showing_files(place, files=False))
    place.table("Emails").name = "Old emails"
    destination = showing_files(place, files=True)
    destination._api.create_table("Emails", [made(field) for field in (*FIELDS[EMAILS], FILES) if field.documented])
    know(place, email("m2"))
    run(place, destination)
    assert sorted(place.table("Emails").rows("Email ID")) == ["m1", "m2"]


@pytest.mark.parametrize("count", [2, 10, 23])
def test_rows_whose_choices_may_not_be_made_hold_nothing_up(make_place: Any, count: int) -> None:
    place = make_place(**NO_CHOICES)
    know(place, task("0", tags=None, status=None, priority=None))
    run(place)
    know(place, *(task(f"b{number}", tags=["unheard"], status=None, priority=None) for number in range(count)))
    know(place, task("good", tags=None, status=None, priority=None))
    run(place)
    assert titles(place).keys() == {"0", "good", *(f"b{number}" for number in range(count))}
    assert len(letters(place)) == count


def test_a_witness_whose_record_is_gone_is_made_anew(make_place: Any) -> None:
    place = make_place()
    know(place, task("0"))
    run(place)
    place.remove(TASKS, "0")
    know(place, task("bad", tags="no list"))
    run(place)
    assert letters(place) == ["bad"]
    assert titles(place) == {"0": "Task 0"}


def test_a_row_that_is_too_large_without_its_choices_is_put_aside(make_place: Any) -> None:
    place = make_place(**NO_CHOICES)
    know(place, task("0", tags=None, status=None, priority=None))
    run(place)
    know(place, task("bad", tags=["unheard"], status=None, priority=None))
    place.sandbox.faults.at(4, Fault(Kind.TOO_LARGE), face="airtable")
    run(place)
    assert letters(place) == ["bad"]


def forget(place: AirtablePlace) -> None:
    """Lose what is known of the base, as with the state folder."""
    with place.store.begin() as tx:
        for stream in (TASKS, EMAILS):
            tx.books.strike("airtable", stream, None)
    LedgerOf(place.store, "airtable").stand(None)


def test_a_mirror_made_anew_writes_only_what_differs_in_the_base(make_place: Any) -> None:
    place = make_place()
    know(place, *(task(str(number)) for number in range(250)), *(email(f"m{number}") for number in range(30)))
    run(place)
    forget(place)
    place.edit(TASKS, "7", "title", "edited by hand")
    place.remove(EMAILS, "m3")
    place.forget_calls()
    part = DestinationPart(place.open(), place.store, place.clock)
    while part.step() is None:
        pass
    assert part.written == 2
    assert place.asked <= 12, "the tables, their keys, then by hundreds, and a write for each of the two"
    assert titles(place) == {str(number): f"Task {number}" for number in range(250)}
    assert "m3" in place.table("Emails").rows("Email ID")

    know(place, task("0", title="New"))
    place.forget_calls()
    run(place)
    assert titles(place)["0"] == "New"
    assert place.asked == 2, "what is equal is noted: nothing is read again, but the tables once a day"


def test_a_field_with_another_name_is_no_obstacle_to_reading_what_is_there(make_place: Any) -> None:
    place = make_place()
    know(place, task("1"), task("2"))
    run(place)
    with place.store.begin() as tx:
        entries = tx.books.entries("airtable", TASKS, ["1", "2"])
        tx.books.enter("airtable", TASKS, {key: Entry(entry.record, "") for key, entry in entries.items()})
    field = place.table("Tasks").find_field("Priority")
    assert field
    field.name = "Urgency"
    know(place, task("1", title="New"))
    part = DestinationPart(place.open(), place.store, place.clock)
    while part.step() is None:
        pass
    assert titles(place) == {"1": "New", "2": "Task 2"}


@pytest.mark.parametrize("type_", ["multipleSelects", "number", "checkbox"])
def test_a_field_of_another_type_is_no_obstacle_to_reading_what_is_there(make_place: Any, type_: str) -> None:
    place = make_place()
    know(place, task("1", assignees=["Ada"]), task("2"))
    run(place)
    forget(place)
    field = place.table("Tasks").find_field("Assignees")
    assert field
    field.type = type_
    for record in place.table("Tasks").records.values():
        record.cells[field.id] = {"multipleSelects": ["Ada"], "number": 7, "checkbox": True}[type_]
    part = DestinationPart(place.open(), place.store, place.clock)
    with suppress(ConfigError):  # a type that holds no names is told
        while part.step() is None:
            pass
    know(place, task("1", title="New"))
    field.type = "multilineText"
    for record in place.table("Tasks").records.values():
        record.cells[field.id] = "Ada"
    run(place)
    assert titles(place) == {"1": "New", "2": "Task 2"}


def test_a_record_that_somebody_copied_and_removed_counts_as_adopted(make_place: Any) -> None:
    place = make_place()
    know(place, task("1"))
    run(place)
    (record,) = place.table("Tasks").records
    place.world.copy_record(place.table("Tasks"), record)
    place.world.remove_record(place.table("Tasks"), record)
    ledger = LedgerOf(place.store, "airtable")
    ledger.enter(TASKS, {"1": Entry(record, "")})
    assert not ledger.recall("adopted")
    know(place, task("1", title="New"))
    run(place)
    assert ledger.recall("adopted")
    assert titles(place) == {"1": "New"}
