"""The pure decisions, as tables of plain values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncjob.core.diff import diff, doubts
from syncjob.core.digest import digest, fingerprint
from syncjob.core.guard import too_many
from syncjob.core.model import TASKS, Gone, Record, Row, Walk, Want
from syncjob.core.steps import Absorb, Ask, Begin, Conclude, Finish, Identify, Rest, Rhythm, Standing, Turn, next_step
from syncjob.sources.payload import day, from_epoch, instant, stamp
from syncjob.sources.until import Onward, onward

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
OLD, NEW = {"title": "old"}, {"title": "new"}
HOUR = timedelta(hours=1)


def row(data: Any = OLD, *, observed: int = 5, deleted: bool = False) -> Row:
    hashed = digest(data, None)
    at, why = (NOON, "gone") if deleted else (None, None)
    return Row(TASKS, "1", hashed, data, "v1", NOON, observed=observed, deleted_at=at, deleted_why=why)


def shown(data: Any = OLD, *, gone: bool = False, proven: bool = False, at: datetime = NOON) -> Record:
    return Record(TASKS, "1", data, "v1", at, gone=Gone("deleted", NOON) if gone else None, proven=proven)


@pytest.mark.parametrize(
    ("before", "record", "verdict", "changes"),
    [
        (row(observed=9), shown(NEW), "unchanged", 0),
        (row(observed=9), shown(gone=True), "unchanged", 0),
        (None, shown(gone=True), "out_of_scope", 0),
        (None, shown(None), "out_of_scope", 1),
        (row(None), shown(None), "out_of_scope", 0),
        (None, shown(), "created", 1),
        (row(None), shown(), "created", 1),
        (row(deleted=True), shown(gone=True), "unchanged", 0),
        (row(), shown(gone=True), "deleted", 1),
        (row(deleted=True), shown(proven=True), "restored", 1),
        (row(deleted=True), shown(at=NOON + HOUR), "restored", 1),
        (row(deleted=True), shown(at=NOON), "unchanged", 0),
        (row(deleted=True), shown(NEW), "unchanged", 0),
        (row(), shown(NEW), "updated", 1),
        (row(), shown(), "unchanged", 0),
        (row(), shown(None), "unchanged", 0),
    ],
)
def test_a_record_gets_the_verdict_of_the_truth_table(before: Row | None, record: Record, verdict: str, changes: int) -> None:
    plan = diff({(TASKS, "1"): before} if before else {}, [record], observed=6)
    assert plan.verdicts == {(TASKS, "1"): verdict}
    assert len(plan.changes) == changes


def test_the_later_stamp_wins_where_a_page_shows_a_key_twice() -> None:
    records = [shown(NEW, at=NOON + HOUR), shown(OLD)]
    for page in (records, records[::-1]):
        assert [change.record.data for change in diff({}, page, observed=1).changes] == [NEW]


def test_a_row_out_of_scope_is_kept_but_not_fed() -> None:
    assert [change.fed for change in diff({}, [shown(None)], observed=1).changes] == [False]


def test_a_moved_version_alone_is_kept_quietly() -> None:
    plan = diff({(TASKS, "1"): row()}, [Record(TASKS, "1", OLD, "v2", NOON)], observed=6)
    assert [(change.verb, change.fed) for change in plan.changes] == [("unchanged", False)]


@pytest.mark.parametrize(("record", "asked"), [(shown(), 1), (shown(proven=True), 0), (shown(gone=True), 0), (shown(at=NOON + HOUR), 0)])
def test_a_deleted_row_that_is_shown_without_proof_is_looked_up(record: Record, asked: int) -> None:
    assert len(doubts({(TASKS, "1"): row(deleted=True)}, [record])) == asked


@pytest.mark.parametrize(
    ("deletions", "live", "empty", "held"),
    [(0, 0, False, False), (20, 21, False, False), (21, 84, False, False), (21, 83, False, True), (250, 1000, False, False),
     (251, 1000, False, True), (1, 1, True, True), (0, 5, True, False), (1, 0, True, False)],
)  # fmt: skip
def test_the_guard_holds_more_than_the_share_and_more_than_twenty(deletions: int, live: int, empty: bool, held: bool) -> None:
    assert too_many(deletions, live, share=0.25, empty=empty) is held


def test_a_digest_ignores_order_and_what_is_not_there_and_keeps_a_body_it_was_not_shown() -> None:
    assert digest({"a": 1, "b": 2}, None) == digest({"b": 2, "a": 1, "c": None, "d": [], "e": {}}, None)
    assert fingerprint({"a": ""}) != fingerprint({"a": None})
    assert fingerprint({"a": 0}) != fingerprint({}) != fingerprint(None)
    assert fingerprint({"a": False}) != fingerprint({})
    whole = digest({"a": 1}, {"text": "x"})
    assert digest({"a": 1}, None, before=whole) == whole
    assert digest({"a": 2}, None, before=whole).rpartition("-")[2] == whole.rpartition("-")[2]
    assert digest({"a": "\ud800"}, {"text": "\x00"}).startswith("2-")


def walk(kind: Any, id_: int = 1, *, listed: bool = False) -> Walk:
    return Walk(id_, TASKS, kind, None, None, {}, NOON, 1, listed=listed)


POLL = Rhythm(timedelta(seconds=60))
FULL, CHANGES, WANT = walk("full"), walk("changes", 2), Want("look_up", TASKS, "1")
READ, FAILED = walk("changes", 2, listed=True), replace(WANT, not_before=NOON)
DONE = walk("full", listed=True)
CONCLUDED = replace(DONE, concluded=True)


@pytest.mark.parametrize(
    ("standing", "rhythm", "step"),
    [
        (Standing(leftovers=True, identified=False), POLL, Absorb()),
        (Standing(identified=False, not_before=NOON + HOUR), POLL, Rest(NOON + HOUR)),
        (Standing(identified=False, not_before=NOON), POLL, Identify()),
        (Standing(), POLL, Begin("full")),
        (Standing(walks=[FULL]), POLL, Turn(FULL)),
        (Standing(checkpoint=NOON, walks=[FULL]), POLL, Begin("changes")),
        (Standing(checkpoint=NOON, walks=[FULL], changes_at=NOON), POLL, Turn(FULL)),
        (Standing(checkpoint=NOON, walks=[FULL], changes_at=NOON - timedelta(seconds=60)), POLL, Begin("changes")),
        (Standing(checkpoint=NOON, walks=[FULL, CHANGES], changes_at=NOON), POLL, Turn(CHANGES)),
        (Standing(checkpoint=NOON, walks=[DONE], changes_at=NOON, asks={1: [[WANT]]}), POLL, Ask(DONE, [[WANT]])),
        (Standing(checkpoint=NOON, walks=[CONCLUDED], changes_at=NOON, waiting={1: NOON + HOUR}), POLL, Rest(NOON + timedelta(seconds=60))),
        (Standing(checkpoint=NOON, walks=[DONE], changes_at=NOON), POLL, Conclude(DONE)),
        (Standing(checkpoint=NOON, walks=[CONCLUDED], changes_at=NOON), POLL, Finish(CONCLUDED)),
        (Standing(checkpoint=NOON, changes_at=NOON, asks={None: [[WANT]]}, walks=[DONE]), POLL, Ask(None, [[WANT]])),
        (Standing(checkpoint=NOON, walks=[READ], asks={2: [[WANT]]}), POLL, Ask(READ, [[WANT]])),
        (Standing(checkpoint=NOON, walks=[READ], asks={2: [[FAILED]]}), POLL, Begin("changes")),
        (Standing(checkpoint=NOON, walks=[READ], changes_at=NOON, asks={2: [[FAILED]]}), POLL, Ask(READ, [[FAILED]])),
        (Standing(checkpoint=NOON, walks=[READ], waiting={2: NOON + HOUR}), POLL, Begin("changes")),
        (Standing(checkpoint=NOON, changes_at=NOON, scope_grew=True), POLL, Begin("full")),
        (Standing(checkpoint=NOON, changes_at=NOON), Rhythm(POLL.poll, full_asked=True), Begin("full", reread=True)),
        (Standing(checkpoint=NOON, changes_at=NOON, walks=[FULL]), Rhythm(POLL.poll, full_asked=True), Turn(FULL)),
        (Standing(checkpoint=NOON, changes_at=NOON), Rhythm(POLL.poll, sweep_asked=True), Begin("sweep")),
        (Standing(checkpoint=NOON, changes_at=NOON, swept_at=NOON - HOUR), Rhythm(POLL.poll, HOUR), Begin("sweep")),
        (Standing(checkpoint=NOON, changes_at=NOON), POLL, Rest(NOON + timedelta(seconds=60))),
    ],
)
def test_the_next_step_follows_from_where_a_source_stands(standing: Standing, rhythm: Rhythm, step: Any) -> None:
    assert next_step(NOON, standing, rhythm) == step


@pytest.mark.parametrize(
    ("times", "until", "stale", "expected"),
    [
        ([], None, True, Onward(end=True)),
        ([9, 8, 7], None, False, Onward(until=7)),
        ([9, 8], None, False, Onward(until=8)),
        ([9, 8, 7], 9, False, Onward(until=7)),
        ([7], 7, True, Onward(end=True)),
        ([7], 7, False, Onward(until=6)),
        ([7], 6, False, Onward(end=True)),
        ([7, 7], 7, False, Onward(until=6)),
        ([7, 7, 7], 7, True, Onward(until=7, probe=True)),
        ([7, 7, 7, 7], 7, False, Onward(until=6)),
        ([7, 7, 7, 7], 7, True, Onward(until=6)),
    ],
)
def test_a_missive_list_goes_on(times: list[int], until: int | None, stale: bool, expected: Onward) -> None:
    assert onward(times, until=until, limit=3, stale=stale) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, None), ("", None), ("soon", None), ("2026-02-30T00:00:00Z", None), ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
     ("2026-09-01T12:00:00Z", NOON), ("2026-09-01T14:00:00+02:00", NOON), ("2026-09-01T12:00:00", NOON),
     ("0001-01-01T00:00:00+14:00", None)],
)  # fmt: skip
def test_a_time_is_read_or_is_none(text: str | None, expected: datetime | None) -> None:
    assert instant(text) == expected


def test_a_time_is_written_in_whole_seconds_also_in_the_first_centuries() -> None:
    assert stamp(NOON) == "2026-09-01T12:00:00Z"
    assert stamp(datetime(33, 4, 3, tzinfo=UTC)) == "0033-04-03T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "expected"), [("2026-03-01T23:59:59-11:00", "2026-03-01"), ("2026-03-01", "2026-03-01"), ("", None), ("99999", None)]
)
def test_a_date_is_never_converted_between_zones(text: str, expected: str | None) -> None:
    assert day(text) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(None, None), (0, datetime(1970, 1, 1, tzinfo=UTC)), (10**18, None), (-(10**18), None)])
def test_unix_seconds_are_a_time_or_none(seconds: int | None, expected: datetime | None) -> None:
    assert from_epoch(seconds) == expected
