"""What Airtable as a destination does beyond the contract that all share: calls are counted, and people work in its tables."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from syncjob.core.errors import ConfigError, SyncjobError, Transient
from syncjob.core.model import TASKS, Batch, Receipt
from syncjob.delivery import DestinationPart
from syncjob.destinations import airtable_api
from syncjob.sandbox import AirtableSwitches, Fault, Kind
from tests.contracts.airtable import AirtablePlace
from tests.contracts.places import LATER, NOON, HandClock, at, attachment, deliver, email, ready, rows, task
from tests.contracts.test_destinations import HOSTILE
from tests.test_delivery import know, run

MOST_CALLS = 2


def cells(place: AirtablePlace, key: str = "1") -> dict[str, Any]:
    return place.table("Tasks").rows("Task ID")[key]


def record_of(place: AirtablePlace, key: str) -> str:
    table = place.table("Tasks")
    return next(record.id for record in table.records.values() if record.cells[table.fields[0].id] == key)


# --- how many calls ---


def test_rows_go_in_tens_for_each_table(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    assert airtable.asked == 0
    deliver(destination, *(task(str(number)) for number in range(23)), *(email(f"m{number}") for number in range(11)))
    assert airtable.asked == 1 + 3 + 2, "the tables were looked at, and then ceil(23 / 10) and ceil(11 / 10) written"
    deliver(destination, *(task(str(number), title="New") for number in range(9)))
    assert airtable.asked == 1


def test_equal_rows_and_an_empty_batch_open_no_connection(airtable: AirtablePlace) -> None:
    deliver(ready(airtable), task(), email())
    airtable.sandbox.stop()
    again = ready(airtable)
    assert deliver(again, task(), email(attachments=[attachment()]), seq=2) == Receipt(0)
    assert deliver(again, seq=3) == Receipt(0)
    assert again.prepare() == at(3)


def test_what_was_answered_is_noted_ten_by_ten(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    whole = [task(f"{number:02}") for number in range(30)]
    airtable.sandbox.faults.at(4, Fault(Kind.ERROR_EMPTY), face="airtable", times=9)
    with pytest.raises(Transient):
        deliver(destination, *whole)
    airtable.sandbox.faults.clear()
    assert airtable.asked == 1 + 2 + 3
    assert deliver(ready(airtable), *whole) == Receipt(10)
    assert airtable.asked == 1


@pytest.mark.parametrize("kind", [Kind.ANSWER_LOST, Kind.ERROR_HTML, Kind.TRUNCATED_JSON, Kind.EMPTY_OBJECT, Kind.RESET_WITHIN_BODY])
def test_a_write_whose_answer_was_lost_makes_no_second_record(airtable: AirtablePlace, kind: Kind) -> None:
    destination = ready(airtable)
    deliver(destination, task("0"))
    airtable.sandbox.faults.at(1, Fault(kind), face="airtable")
    assert deliver(destination, *(task(str(number)) for number in range(10))) == Receipt(9)
    assert len(airtable.table("Tasks").rows("Task ID")) == 10


def test_a_refusal_until_a_date_is_waited_out_by_the_clock_of_the_server(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    deliver(destination, task("0"))
    ours, theirs = airtable.clock.now, airtable.sandbox.world.clock
    airtable.sandbox.world.clock = lambda: theirs() + 5 * 3600
    airtable.sandbox.faults.at(1, Fault(Kind.LIMIT_HTTP_DATE), face="airtable")
    before = ours()
    assert deliver(destination, task("1")) == Receipt(1)
    assert ours() - before < timedelta(minutes=2)


def test_too_large_a_request_is_halved(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    deliver(destination)
    airtable.sandbox.faults.at(2, Fault(Kind.TOO_LARGE), face="airtable")
    assert deliver(destination, *(task(str(number)) for number in range(10))) == Receipt(10)
    assert airtable.asked == 1 + 1 + 2


# --- bad rows ---


def test_one_bad_cell_costs_one_row_and_the_other_nine_go(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    field = airtable.table("Tasks").find_field("Title")
    assert field
    deliver(destination, task("0"))
    field.type = "singleSelect"  # a person changed it behind our back, and it takes no new choice
    field.options = {"choices": [{"name": "good"}]}
    airtable.forget_calls()
    whole = [task(str(number), title="good", tags=None, status=None) for number in range(9)]
    object.__setattr__(airtable.world, "switches", type(airtable.world.switches)(creates_choices=False))
    receipt = deliver(destination, *whole, task("bad", title="unheard of", tags=None, status=None), seq=5)
    assert receipt.again, "the tables are other than they were: everything is compared again"
    receipt = deliver(destination, *whole, task("bad", title="unheard of", tags=None, status=None), seq=5)
    assert receipt.written == 9
    (refusal,) = receipt.refused
    assert (refusal.stream, refusal.key) == (TASKS, "bad")
    assert "Insufficient permissions to create new select option" in refusal.error
    assert airtable.asked <= 14, "the tables were looked at twice"
    assert set(airtable.table("Tasks").rows("Task ID")) == {*(str(number) for number in range(9)), "bad"}
    assert "Title" not in cells(airtable, "bad"), "the rest of it was written"


def test_a_row_that_no_table_can_hold_is_told_and_the_others_go(airtable: AirtablePlace) -> None:
    receipt = deliver(ready(airtable), task("1"), task("bad", tags="secret"), task("a\nb"), task("2"))
    assert receipt.written == 2
    assert {(each.key, "secret" in each.error) for each in receipt.refused} == {("bad", False), ("a\nb", False)}


def test_a_row_that_is_refused_before_any_other_proves_that_it_is_bad_is_sent_again(airtable: AirtablePlace) -> None:
    part = DestinationPart(airtable.open(), airtable.store, HandClock(NOON))
    know(airtable.store, task("0"))
    run(part)
    know(airtable.store, task("1"))
    for kind, times in ((Kind.TOO_LARGE, 1), (Kind.ERROR_EMPTY, 9)):  # one after the other
        airtable.sandbox.faults.at(1, Fault(kind), path="/tbl[^/]*$", times=times)
    with pytest.raises(Transient) as raised:
        run(part)
    part.failed(raised.value)
    airtable.sandbox.faults.clear()
    run(part)
    assert set(airtable.table("Tasks").rows("Task ID")) == {"0", "1"}


def test_a_request_that_is_refused_for_every_row_stops_the_delivery(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    airtable.sandbox.faults.always("/tbl[^/]*$", Fault(Kind.UNPROCESSABLE), face="airtable")
    with pytest.raises(Transient, match="every row"):
        deliver(destination, *(task(str(number)) for number in range(40)))
    assert airtable.asked <= 1 + 19 + 2 * 10, "one request was halved, each row asked about; no other was sent"


def test_hostile_values_arrive_clean_and_long_ones_are_cut_with_a_mark(airtable: AirtablePlace) -> None:
    deliver(ready(airtable), task(title="a\x1b[31m\r\n b\x00", description="😀" * 60_000, tags=[" x  y\n", "x y", "", "a, b"]))
    found = cells(airtable)
    assert (found["Title"], found["Tags"]) == ("a[31m b\ufffd", ["x y", "a, b"])
    assert found["Description"].endswith("😀 […]")
    assert len(found["Description"].encode("utf-16-le")) // 2 <= 100_000


def test_a_record_that_is_on_two_pages_is_no_second_one(airtable: AirtablePlace, caplog: pytest.LogCaptureFixture) -> None:
    deliver(ready(airtable), task("0"), task("1"))
    airtable.sandbox.faults.always("listRecords", Fault(Kind.DUPLICATE_ROWS), face="airtable")
    assert [row["task_id"] for row in ready(airtable).rows(TASKS)] == ["0", "1"]
    assert "several records" not in caplog.text


# --- people in the tables ---


def test_columns_that_people_added_are_never_touched(airtable: AirtablePlace) -> None:
    table = airtable.table("Tasks")
    mine = airtable.world.add_field(table, "Mine", "multilineText")
    destination = ready(airtable)
    deliver(destination, task())
    table.records[record_of(airtable, "1")].cells[mine.id] = "a note"
    deliver(destination, task(title="New"))
    assert (cells(airtable)["Mine"], cells(airtable)["Title"]) == ("a note", "New")


def test_a_record_that_somebody_deleted_comes_back_with_its_next_change(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    deliver(destination, *(task(str(number)) for number in range(10)))
    for key in ("3", "7"):
        airtable.remove(TASKS, key)
    airtable.forget_calls()
    assert deliver(destination, *(task(str(number), title="New") for number in range(10))) == Receipt(10)
    assert airtable.asked == 1 + 1 + 2, "the tables were looked at, and the ten sent once more for each that is gone"
    assert len(rows(airtable)) == 10


def test_a_key_that_is_there_twice_is_told_and_the_older_record_kept_up_to_date(
    airtable: AirtablePlace, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(ready(airtable), task("1"), task("2"))
    first = record_of(airtable, "1")
    airtable.clock.time = LATER
    copy = airtable.world.copy_record(airtable.table("Tasks"), first)
    with airtable.store.begin() as tx:
        tx.books.strike("airtable", TASKS, None)
    caplog.set_level(logging.WARNING, "syncjob")
    assert deliver(ready(airtable), task("1", title="New"), task("2"), task("3")) == Receipt(3)
    table = airtable.table("Tasks")
    assert [table.named(table.records[key])["Title"] for key in (first, copy)] == ["New", "Task 1"]
    assert len(table.records) == 4
    assert f"several records for Task ID '1': {first} is kept up to date; delete {copy}" in caplog.text


def test_an_adopted_base_is_known_by_its_keys(airtable: AirtablePlace) -> None:
    deliver(ready(airtable), *(task(str(number)) for number in range(120)), task("gone", gone=NOON))
    with airtable.store.begin() as tx:
        tx.books.strike("airtable", TASKS, None)
    airtable.forget_calls()
    assert sorted(ready(airtable).live(TASKS)) == sorted(str(number) for number in range(120))
    assert airtable.asked == 2, "ceil(121 / 100) pages with the keys alone"
    with airtable.store.read() as tx:
        assert len(tx.books.entries("airtable", TASKS, [str(number) for number in range(120)])) == 120


def test_another_base_is_fed_anew(airtable: AirtablePlace) -> None:
    deliver(ready(airtable), task(), seq=4)
    airtable.world.base = airtable.world.add_base()
    destination = airtable.open()
    assert destination.prepare() is None
    with pytest.raises(ConfigError, match="no table"):
        deliver(destination, task())


# --- the tables ---


def test_a_table_made_by_hand_with_other_types_is_filled_as_it_is(tmp_path: Path) -> None:
    place = AirtablePlace(tmp_path, known=False)
    table = place.table("Tasks")
    for name, type_ in (("Due At", "dateTime"), ("Updated At", "date"), ("Tags", "multilineText"), ("Title", "multilineText")):
        field = table.find_field(name)
        assert field
        field.type = type_
    deliver(ready(place), task(assignees=["Ada Quill", "Leo"]))
    found = cells(place)
    assert (found["Due At"], found["Updated At"], found["Tags"]) == ("2026-03-05T00:00:00.000Z", "2026-03-01", "a\nb")
    assert (found["Assignees"], found["Source Links"]) == ("Ada Quill\nLeo", "https://example.com/1")
    row = rows(place)["1"]
    assert (row["due_at"], row["updated_at"], row["tags"]) == ("2026-03-05", "2026-03-01T00:00:00Z", ["a", "b"])
    assert "progress" not in row
    place.close()


def test_a_known_further_field_is_filled_once_it_is_there(tmp_path: Path) -> None:
    place = AirtablePlace(tmp_path, known=False)
    deliver(ready(place), task(project_name="Tower"), task("2"), seq=2)
    place.world.add_field(place.table("Tasks"), "Project Name", "singleLineText")
    place.clock.time += timedelta(hours=25)
    destination = ready(place)
    assert deliver(destination, task("2", title="New"), seq=3).again
    assert destination.prepare() is None
    assert deliver(destination, task(project_name="Tower"), task("2", title="New"), seq=3) == Receipt(2)
    assert cells(place)["Project Name"] == "Tower"
    place.close()


def wrongly_typed(place: AirtablePlace) -> None:
    field = place.table("Tasks").find_field("Deleted")
    assert field
    field.type = "singleLineText"


def missing_field(place: AirtablePlace) -> None:
    place.world.remove_field(place.table("Emails"), "Subject")


def renamed_field(place: AirtablePlace) -> None:
    field = place.table("Emails").find_field("Subject")
    assert field
    field.name = "Topic"


def missing_table(place: AirtablePlace) -> None:
    place.table("Tasks").name = "Chores"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (wrongly_typed, "Tasks: Deleted is singleLineText, not checkbox"),
        (missing_field, "Emails has no field Subject"),
        (renamed_field, "Emails has no field Subject"),
        (missing_table, "there is no table Tasks"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_tables_that_do_not_fit_are_told_before_anything_is_written(
    airtable: AirtablePlace, spoil: Callable[[AirtablePlace], None], told: str, before: bool
) -> None:
    if not before:
        deliver(ready(airtable), task("0"), email("m0"))
    spoil(airtable)
    airtable.clock.time += timedelta(hours=25)
    written = dict(airtable.world.writes)
    with pytest.raises(ConfigError, match=told) as raised:
        deliver(ready(airtable), task("1"), email("m1"))
    assert "init airtable" in raised.value.hint
    assert airtable.world.writes == written


def test_a_renamed_field_is_told_at_once_even_where_the_tables_were_just_seen(airtable: AirtablePlace) -> None:
    deliver(ready(airtable), email("m0"))
    renamed_field(airtable)
    with pytest.raises(ConfigError, match="Emails has no field Subject"):
        deliver(ready(airtable), email("m1"))


# --- what Airtable says no to ---


def quota(place: AirtablePlace) -> None:
    place.world.monthly_calls = 0


def revoked(place: AirtablePlace) -> None:
    place.world.tokens.clear()
    place.world.tokens["patOther"] = frozenset()


def narrow(place: AirtablePlace) -> None:
    place.world.tokens[place.sandbox.airtable_token] = frozenset({"schema.bases:read"})


def full(place: AirtablePlace) -> None:
    place.world.record_cap = 0


@pytest.mark.parametrize(
    ("spoil", "kind", "told", "hint"),
    [
        (quota, Transient, "this month's API calls", "AIRTABLE_DELIVER_SECONDS"),
        (revoked, ConfigError, "does not accept the token", "AIRTABLE_API_KEY"),
        (narrow, ConfigError, "does not show the base", "data.records:write"),
        (full, ConfigError, "limit", "the base is full"),
    ],
)
def test_what_only_a_person_can_mend_is_told_and_not_repeated(
    airtable: AirtablePlace, spoil: Callable[[AirtablePlace], None], kind: type[SyncjobError], told: str, hint: str
) -> None:
    destination = ready(airtable)
    spoil(airtable)
    airtable.forget_calls()
    with pytest.raises(kind, match=told) as raised:
        deliver(destination, task())
    assert hint in raised.value.hint
    assert airtable.sandbox.airtable_token not in str(raised.value)
    assert airtable.asked <= MOST_CALLS


def test_a_spent_month_is_asked_about_again_in_an_hour(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    quota(airtable)
    with pytest.raises(Transient, match="this month's"):
        deliver(destination, task())
    airtable.forget_calls()
    with pytest.raises(Transient, match="this month's"):
        deliver(destination, task())
    assert airtable.asked == 0
    airtable.clock.time += timedelta(hours=1)
    airtable.world.monthly_calls = None
    assert deliver(destination, task()) == Receipt(1)


def test_repair_by_content_reads_and_writes_only_what_differs(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    whole = tuple(task(str(number)) for number in range(25))
    deliver(destination, *whole)
    airtable.edit(TASKS, "7", "title", "Edited")
    airtable.remove(TASKS, "9")
    airtable.forget_calls()
    assert destination.deliver(Batch(whole, at(1)), by_content=True) == Receipt(2)
    assert airtable.asked == 2
    assert rows(airtable)["7"]["title"] == "Task 7"


def test_the_month_s_calls_are_counted_and_told_at_four_fifths(airtable: AirtablePlace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "syncjob")
    airtable.monthly_calls = 5
    for number in range(5):
        deliver(ready(airtable), task(title=str(number)))
    assert caplog.text.count("AIRTABLE_MONTHLY_CALLS") == 2


def test_init_makes_what_is_documented_and_repeating_it_is_harmless(tmp_path: Path) -> None:
    place = AirtablePlace(tmp_path, known=False)
    destination = place.open()
    assert destination.tables.missing() == []  # type: ignore[attr-defined]
    place.world.remove_field(place.table("Emails"), "Labels")
    place.table("Tasks").name = "Chores"
    plan = destination.tables.missing()  # type: ignore[attr-defined]
    assert [(each.name, len(each.fields), each.table is None) for each in plan] == [("Tasks", 12, True), ("Emails", 1, False)]
    place.sandbox.faults.at(1, Fault(Kind.ANSWER_LOST), face="airtable")
    destination.tables.create(plan)  # type: ignore[attr-defined]
    assert destination.tables.missing() == []  # type: ignore[attr-defined]
    assert [table.name for table in place.world.base.tables].count("Tasks") == 1
    place.close()


VARIATIONS = [pytest.param({name: position}, id=f"{name} {position}") for name, position, _ in AirtableSwitches.variations()]


@pytest.mark.parametrize("switches", VARIATIONS)
def test_whatever_airtable_s_undocumented_behaviour_is_the_rows_are_right(tmp_path: Path, switches: dict[str, Any]) -> None:
    if "creates_choices" in switches:
        pytest.skip("then choices are left out, and that is told")
    place = AirtablePlace(tmp_path, **switches)
    hostile = [task(str(number), title=text, description=text, tags=[text]) for number, (text, _) in enumerate(HOSTILE)]
    long = task("long", title="x" * 20_000, description="😀" * 60_000, due_at="2026-01-31")
    assert deliver(ready(place), *hostile, long, email()) == Receipt(len(hostile) + 2)
    place.clock.time = LATER
    place.world.copy_record(place.table("Tasks"), record_of(place, "0"))
    with place.store.begin() as tx:
        tx.books.strike("airtable", TASKS, ["0"])
    changed = [task(str(number), title=f"New {text}", tags=[text]) for number, (text, _) in enumerate(HOSTILE)]
    assert deliver(ready(place), *changed, long) == Receipt(len(hostile))
    destination = ready(place)
    for row in (*changed, long, email()):
        assert list(destination.rows(row.stream, keys=[row.key])) == [destination.rendered(row)]
    place.close()


@pytest.mark.parametrize("kind", [Kind.TOO_LARGE, Kind.WRONG_TYPE, Kind.UNPROCESSABLE])
def test_an_answer_to_a_reading_that_makes_no_sense_is_only_a_failure(airtable: AirtablePlace, kind: Kind) -> None:
    destination = ready(airtable)
    deliver(destination, task())
    airtable.sandbox.faults.at(1, Fault(kind), face="airtable", times=9)
    with pytest.raises(Transient):
        list(destination.live(TASKS))


@pytest.mark.parametrize("kind", [Kind.TOO_LARGE, Kind.WRONG_TYPE, Kind.UNPROCESSABLE])
def test_tables_that_make_no_sense_are_only_a_failure(airtable: AirtablePlace, kind: Kind) -> None:
    airtable.sandbox.faults.at(1, Fault(kind), face="airtable", times=9)
    with pytest.raises(Transient):
        list(airtable.open().live(TASKS))


def test_an_endless_answer_is_cut_off(airtable: AirtablePlace) -> None:
    destination = ready(airtable)
    deliver(destination, task("1"))
    airtable.sandbox.faults.always("/v0/", Fault(Kind.ENDLESS), face="airtable")
    with patch.object(airtable_api, "ANSWER_BYTES", 1_000_000), pytest.raises(Transient, match="an answer that does not end"):
        deliver(airtable.open(), task("2"))
    airtable.sandbox.faults.clear()
    assert deliver(airtable.open(), task("2")) == Receipt(1)
