"""One suite for every destination: memory, SQLite, PostgreSQL, Airtable."""

import gc
import random
from pathlib import Path

import pytest

from syncjob.core.errors import Rejected
from syncjob.core.model import EMAILS, TASKS, Batch, FeedRow, Json, Receipt
from syncjob.destinations import ATTACHMENTS
from tests.contracts.places import (
    LATER,
    NOON,
    Place,
    at,
    attachment,
    deliver,
    email,
    memory_place,
    postgres_place,
    ready,
    rows,
    sqlite_place,
    task,
    told,
)


def test_a_new_destination_has_read_nothing_and_then_what_was_delivered(place: Place) -> None:
    destination = place.open()
    assert destination.prepare() is None
    assert destination.prepare() is None
    assert deliver(destination, task(), email(), seq=7) == Receipt(2)
    assert destination.prepare() == at(7)
    assert place.open().prepare() == at(7)


def test_a_row_comes_back_as_it_was_delivered(place: Place) -> None:
    deliver(ready(place), task("1", progress=None, unknown="left out", description=""))
    (row,) = ready(place).rows(TASKS)
    expected = place.shown({
        "task_id": "1", "title": "Task 1", "description": "", "tags": ["a", "b"], "due_at": "2026-03-05",
        "updated_at": "2026-03-01T10:00:00Z", "source_links": {"web": "https://example.com/1"}, "deleted": False,
    })  # fmt: skip
    assert {name: value for name, value in row.items() if value is not None} == {
        name: value for name, value in expected.items() if value is not None
    }
    assert set(row) - {"deleted", "deleted_at"} == set(row) & {
        "task_id", "project_id", "project_name", "tasklist_id", "tasklist_name", "title", "description", "status", "priority", "progress",
        "tags", "assignees", "parent_task_id", "start_at", "due_at", "created_at", "updated_at", "completed_at", "source_links",
    }  # fmt: skip


def test_delivering_again_writes_nothing(place: Place) -> None:
    destination = ready(place)
    deliver(destination, task("1"), task("2"), email(attachments=[attachment()]))
    before = [rows(place, stream) for stream in destination.streams]
    place.clock.time = LATER
    assert deliver(destination, task("2"), email(attachments=[attachment()]), task("1")) == Receipt(0)
    assert deliver(destination, task("1"), task("2", title="New")) == Receipt(1)
    assert rows(place)["2"]["title"] == "New"
    assert [rows(place, stream) for stream in destination.streams[1:]] == before[1:]


def test_a_batch_leaves_no_circular_garbage(place: Place) -> None:
    destination = ready(place)
    if destination.name == "airtable":
        pytest.skip("pyairtable's own, a little for each request")
    for number in range(2):
        deliver(destination, task("1"), email(attachments=[attachment()]), seq=number + 1)
    gc.collect()
    deliver(destination, task("2"), email("m2"), seq=3)
    assert gc.collect() == 0


def test_a_change_and_its_way_back_are_written(place: Place) -> None:
    destination = ready(place)
    for title in ("one", "two", "one"):
        assert deliver(destination, task(title=title)) == Receipt(1)
        assert rows(place)["1"]["title"] == title


def test_a_deletion_keeps_the_content_and_a_restore_takes_the_mark_away(place: Place) -> None:
    destination = ready(place)
    deliver(destination, task())
    live = rows(place)["1"]
    assert deliver(destination, task(gone=NOON)) == Receipt(1)
    assert rows(place)["1"] == {**live, "deleted": True, "deleted_at": "2026-03-01T12:00:00Z"}
    assert deliver(destination, task()) == Receipt(1)
    assert rows(place)["1"] == live


def test_a_new_destination_receives_deleted_rows_too(place: Place) -> None:
    assert deliver(ready(place), task(gone=NOON)) == Receipt(1)
    assert rows(place)["1"]["deleted"] is True


def test_an_empty_batch_moves_the_position_alone(place: Place) -> None:
    destination = ready(place)
    assert deliver(destination, seq=9) == Receipt(0)
    assert destination.prepare() == at(9)


def test_rows_come_in_key_order_from_where_one_left_off(place: Place) -> None:
    keys = ["10", "9", "B", "a", "_", "é", "z", "😀", "\uffff", "~", " ", "A\u0301"]
    deliver(ready(place), *(task(key) for key in keys))
    destination = ready(place)
    assert [row["task_id"] for row in destination.rows(TASKS)] == sorted(keys)
    assert [row["task_id"] for row in destination.rows(TASKS, after="B")] == [key for key in sorted(keys) if key > "B"]


def test_many_rows_come_back_each_once_while_others_are_written(place: Place) -> None:
    destination = ready(place)
    deliver(destination, *(task(f"{number:05}") for number in range(place.many)))
    seen = []
    for row in destination.rows(TASKS):
        seen.append(row["task_id"])
        if len(seen) % (place.many // 5) == 0:
            deliver(destination, task("00000", title=str(len(seen))))
    assert seen == [f"{number:05}" for number in range(place.many)]


def test_a_position_is_told_without_making_anything(place: Place) -> None:
    assert place.open().position() is None
    destination = ready(place)
    assert destination.position() is None
    deliver(destination, task(), seq=7)
    assert place.open().position() == at(7)


def test_some_rows_can_be_asked_for_by_their_keys(place: Place) -> None:
    destination = ready(place)
    deliver(destination, *(task(str(number)) for number in range(30)))
    assert [row["task_id"] for row in destination.rows(TASKS, keys=["7", "29", "77"])] == ["29", "7"]
    assert list(destination.rows(TASKS, keys=[])) == []


def test_the_keys_of_live_rows_come_in_order(place: Place) -> None:
    destination = ready(place)
    deliver(destination, *(task(f"{number:04}", gone=None if number % 3 else NOON) for number in range(place.many)), email())
    assert list(destination.live(TASKS)) == [f"{number:04}" for number in range(place.many) if number % 3]
    assert [list(destination.live(stream)) for stream in destination.streams[1:]] == [["m1"], []][: len(destination.streams) - 1]


def test_a_rendered_row_is_what_comes_back(place: Place) -> None:
    destination = ready(place)
    for row in (task(progress=None, tags=["\x00"]), task("2", gone=NOON), email(body_html="\ud800")):
        deliver(destination, row)
        assert list(destination.rows(row.stream, keys=[row.key])) == [destination.rendered(row)]
    with pytest.raises(Rejected):
        destination.rendered(task(tags="x"))


def test_what_somebody_edited_or_removed_is_brought_back_by_content_alone(place: Place) -> None:
    destination = ready(place)
    whole = [*(task(str(number)) for number in range(5)), email(attachments=[attachment("f1"), attachment("f2")])]
    deliver(destination, *whole)
    before = [rows(place, stream) for stream in destination.streams]
    place.edit(TASKS, "1", "title", "Edited")
    place.edit(EMAILS, "m1", "body_html", "Edited")
    if ATTACHMENTS in destination.streams:
        place.edit(ATTACHMENTS, "f1", "filename", "Edited")
    place.remove(TASKS, "3")
    missed = int(place.misses_what_is_removed)
    assert deliver(destination, *whole) == Receipt(missed)  # what was edited is not missed
    assert rows(place)["1"]["title"] == "Edited"
    assert destination.deliver(Batch(tuple(whole), at(1)), by_content=True) == Receipt(3 - missed)
    assert [rows(place, stream) for stream in destination.streams] == before
    assert destination.deliver(Batch(tuple(whole), at(1)), by_content=True) == Receipt(0)


def test_an_attachment_can_be_delivered_by_itself(database: Place) -> None:
    destination = ready(database)
    deliver(destination, email(attachments=[attachment()]))
    alone = FeedRow(ATTACHMENTS, "f1", 1, attachment(email_id="m1", filename="new.png"), NOON)
    assert deliver(destination, alone) == Receipt(1)
    assert rows(database, ATTACHMENTS)["f1"] == destination.rendered(alone)


HOSTILE = [
    ("a\x00b", "a\ufffdb"),
    ("\ud800 lone", "\ufffd lone"),
    ("\ud83d\ude00 pair", "😀 pair"),
    ("\\u0000 spelled out", "\\u0000 spelled out"),
    ("😀 مرحبا \u202e עברית", "😀 مرحبا \u202e עברית"),
    ("", ""),
    ('it\'s "100%" \\ {} %s :x ?', 'it\'s "100%" \\ {} %s :x ?'),
    ("\ufeffmark\r\n\t\x01\x7f", "\ufeffmark\r\n\t\x01\x7f"),
]


def test_hostile_text_is_kept_as_far_as_it_can_be(place: Place) -> None:
    destination = ready(place)
    hostile = [
        task(str(number), title=value, tags=[value, "plain"], source_links={"web": value, value: [value, {"deep": value}]})
        for number, (value, _) in enumerate(HOSTILE)
    ]
    assert deliver(destination, *hostile) == Receipt(len(HOSTILE))
    found = rows(place)
    for number, (_, kept) in enumerate(HOSTILE):
        links = {"web": kept, kept: [kept, {"deep": kept}]}
        expected = place.shown({"title": kept, "tags": [kept, "plain"], "source_links": links})
        assert {name: found[str(number)][name] for name in expected} == expected
    assert deliver(destination, *hostile) == Receipt(0)


EDGES: list[tuple[str, Json, Json]] = [
    ("due_at", "0000-01-01", None),
    ("due_at", "10000-01-01", None),
    ("due_at", "2026-02-30", None),
    ("due_at", "30 Feb", None),
    ("due_at", "", None),
    ("due_at", 5, None),
    ("due_at", "0001-01-01", "0001-01-01"),
    ("due_at", "9999-12-31", "9999-12-31"),
    ("updated_at", "0000-01-01T00:00:00Z", None),
    ("updated_at", "10000-01-01T00:00:00Z", None),
    ("updated_at", "0001-01-01T00:00:00+05:00", None),
    ("updated_at", "2026-01-01T25:00:00Z", None),
    ("updated_at", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ("updated_at", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ("updated_at", "2026-01-01T02:00:00.999+02:00", "2026-01-01T00:00:00Z"),
    ("updated_at", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z"),
    ("progress", 2**63 - 1, 2**63 - 1),
    ("progress", -5, -5),
    ("tags", [], []),
    ("source_links", {}, {}),
    ("source_links", {"n": 10**70, "f": 1.5, "t": True, "z": None}, {"n": 10**70, "f": 1.5, "t": True, "z": None}),
]


def test_values_at_the_edge_are_kept_or_null(place: Place) -> None:
    destination = ready(place)
    edges = [task(str(number), **{column: value}) for number, (column, value, _) in enumerate(EDGES)]
    assert deliver(destination, *edges) == Receipt(len(EDGES))
    found = rows(place)
    for number, (column, value, kept) in enumerate(EDGES):
        assert {column: found[str(number)][column]} == place.shown({column: kept}), (column, value)
    assert deliver(destination, *edges) == Receipt(0)


def test_a_body_of_5_mb_is_kept(database: Place) -> None:
    body = "<p>größer 😀</p>" * 300_000
    deliver(ready(database), email("big", body_html=body), email("m2"), *(task(str(number)) for number in range(50)))
    assert rows(database, EMAILS)["big"]["body_html"] == body
    assert len(rows(database)) == 50


POISON = [
    task("bad", progress=10**70),
    task("bad", progress="secret"),
    task("bad", title={"secret": 1}),
    task("bad", tags="secret"),
    task("bad", tags=["secret", None]),
    task("bad", source_links={"x": float("nan")}),
    task(""),
    task("se\x00cret"),
    email("bad", attachments=[attachment(size_bytes=2**63)]),
    email("bad", attachments=[{"filename": "secret"}]),
]


@pytest.mark.parametrize("poison", POISON, ids=range(len(POISON)))
def test_a_row_that_cannot_be_stored_is_rejected_and_nothing_is_written(database: Place, poison: FeedRow) -> None:
    destination = ready(database)
    deliver(destination, task("0"), seq=1)
    with pytest.raises(Rejected) as raised:
        deliver(destination, task("1"), poison, task("2"), email("m2"), seq=2)
    assert "secret" not in told(raised.value).replace("task_id", "") or poison.key.startswith("se")
    assert (list(rows(database)), rows(database, EMAILS), destination.prepare()) == (["0"], {}, at(1))
    deliver(destination, task("1"), task("2"), seq=2)
    assert (list(rows(database)), destination.prepare()) == (["0", "1", "2"], at(2))


def test_attachments_appear_change_and_are_deleted(database: Place) -> None:
    destination = ready(database)
    deliver(destination, email("m1", attachments=[attachment("f1"), attachment("f2"), attachment("f2")]), email("m2"))
    found = rows(database, ATTACHMENTS)
    assert list(found) == ["f1", "f2"]
    assert found["f1"] == {**attachment("f1"), "email_id": "m1", "deleted": False, "deleted_at": None}

    database.clock.time = LATER
    assert deliver(destination, email("m1", attachments=[attachment("f1", filename="new.png")])) == Receipt(0)
    assert rows(database, ATTACHMENTS)["f1"]["filename"] == "new.png"
    assert rows(database, ATTACHMENTS)["f2"] == {**found["f2"], "deleted": True, "deleted_at": "2026-03-01T13:00:00Z"}

    deliver(destination, email("m1", attachments=[attachment("f1"), attachment("f2")]))
    assert rows(database, ATTACHMENTS) == found


def test_an_email_that_does_not_speak_of_attachments_leaves_them_alone(database: Place) -> None:
    destination = ready(database)
    deliver(destination, email(attachments=[attachment()]))
    deliver(destination, email(subject="New", attachments=None))
    assert rows(database, ATTACHMENTS)["f1"]["deleted"] is False


def test_attachments_of_a_deleted_email_are_deleted_with_it(database: Place) -> None:
    destination = ready(database)
    deliver(destination, email(attachments=[attachment("f1"), attachment("f2")]))
    database.clock.time = LATER
    deliver(destination, email(attachments=[attachment("f1")], gone=NOON))
    found = rows(database, ATTACHMENTS)
    assert [(row["deleted"], row["deleted_at"]) for row in found.values()] == [(True, "2026-03-01T12:00:00Z")] * 2
    deliver(destination, email(attachments=[attachment("f1")]))
    assert [row["deleted"] for row in rows(database, ATTACHMENTS).values()] == [False, True]


def test_an_attachment_moves_to_another_email(database: Place) -> None:
    destination = ready(database)
    deliver(destination, email("m1", attachments=[attachment()]), email("m2"))
    deliver(destination, email("m1"), email("m2", attachments=[attachment()]))
    assert [(row["email_id"], row["deleted"]) for row in rows(database, ATTACHMENTS).values()] == [("m2", False)]


def test_every_destination_ends_with_the_same_rows(tmp_path: Path, fresh_postgres: str, airtable: Place) -> None:
    """Random histories, delivered in batches of their own to each destination."""
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    history = [random_row(draw) for _ in range(400)]
    places = [memory_place(), sqlite_place(tmp_path / "data.db"), postgres_place(fresh_postgres), airtable]
    for place in places:
        start = 0
        while start < len(history):
            end = start + draw.randint(1, 40)
            newest = {(row.stream, row.key): row for row in history[start:end]}  # a batch has each key once
            deliver(ready(place), *newest.values(), seq=end)
            start = end
    for stream in (TASKS, EMAILS):
        first = rows(places[0], stream)
        assert first, f"seed {seed}"
        for place in places[1:]:
            found = rows(place, stream)
            columns = next(iter(found.values()))
            expected = {key: {name: value for name, value in place.shown(row).items() if name in columns} for key, row in first.items()}
            assert found == expected, f"seed {seed}"
    for place in places:
        place.close()


def random_row(draw: random.Random) -> FeedRow:
    gone = draw.choice([None, None, NOON])
    text = draw.choice(["", "x", "é\x00", "\ud800", "long " * 1000, None])
    if draw.random() < 0.5:
        return task(
            str(draw.randint(1, 60)), gone=gone, title=text, progress=draw.choice([None, 1, 2]), tags=draw.choice([None, [], ["x"]])
        )
    files = [attachment(f"f{draw.randint(1, 9)}") for _ in range(draw.randint(0, 3))]
    return email(str(draw.randint(1, 60)), gone=gone, body_text=text, attachments=files)
