"""Airtable as a destination of real processes, beside SQLite: its tables are made, filled, left alone, and mended by their owner."""

from typing import Any

import pytest

from syncjob.sandbox import Fault, Kind, Sandbox, expected_row
from syncjob.sandbox.airtable import Base

from .job import Job
from .rows import difference

NOT_COMPARED = {"Body Text", "Attachments"}


@pytest.fixture
def airtable(job: Job) -> Job:
    """The small world, into SQLite and an Airtable base whose tables are made."""
    job.more = {"DB_BACKEND": "sqlite,airtable"}
    assert job.call("init", "airtable").exit == 0
    return job


def base_of(sandbox: Sandbox) -> Base:
    return sandbox.world.airtable.base


def differences(sandbox: Sandbox) -> list[str]:
    """Every live record and cell in which the base differs from the truth."""
    problems = []
    for kind, truth in (("emails", sandbox.truth.emails()), ("tasks", sandbox.truth.tasks())):
        table = base_of(sandbox).table(kind.capitalize())
        found = {key: cells for key, cells in table.rows(table.fields[0].name).items() if not cells.get("Deleted")}
        problems += [f"{kind} {key}: missing or too many" for key in found.keys() ^ truth.keys()]
        for key in found.keys() & truth.keys():
            shown = {name: cell for name, cell in found[key].items() if name not in NOT_COMPARED}
            expected = expected_row(kind, truth[key], table)
            problems += [f"{kind} {key}: {name}" for name in shown.keys() | expected.keys() if shown.get(name) != expected.get(name)]
    return problems


def test_init_shows_what_it_makes_and_repeating_it_is_harmless(job: Job) -> None:
    job.more = {"DB_BACKEND": "airtable"}
    made = job.call("init", "airtable")
    assert made.exit == 0, made.all
    assert "airtable: the table Tasks: Task ID (singleLineText), Project ID" in made.out
    assert "Labels (multipleSelects)" in made.out
    again = job.call("init", "airtable")
    assert (again.exit, "every table and field is there" in again.out, again.asked["airtable"]) == (0, True, 1)
    assert [table.name for table in base_of(job.sandbox).tables] == ["Table 1", "Emails", "Tasks"]


def test_a_base_is_filled_and_a_quiet_run_asks_it_nothing(airtable: Job) -> None:
    ran = airtable.once("--json")
    assert ran.exit == 0, ran.all
    assert ran.document["destinations"]["airtable"]["written"] == ran.document["destinations"]["sqlite"]["written"]
    assert differences(airtable.sandbox) == []
    again = airtable.once()
    assert (again.exit, again.asked["airtable"]) == (0, 0)
    assert airtable.call("verify").exit == 0
    assert airtable.call("check").exit == 0


def test_a_field_that_does_not_fit_is_told_and_the_other_destination_goes_on(airtable: Job) -> None:
    base_of(airtable.sandbox).table("Tasks").fields[2].name = "Headline"
    ran = airtable.once("--json")
    assert ran.exit == 2
    assert "Airtable's tables do not fit: Tasks has no field Title" in ran.err
    assert "init airtable" in ran.err
    assert difference(airtable.sqlite, airtable.sandbox) == []
    base_of(airtable.sandbox).table("Tasks").fields[2].name = "Title"
    assert airtable.once().exit == 0
    assert differences(airtable.sandbox) == []


def quota(sandbox: Sandbox) -> None:
    sandbox.world.airtable.monthly_calls = 0


def revoked(sandbox: Sandbox) -> None:
    sandbox.world.airtable.tokens = {sandbox.airtable_token + "x": frozenset()}


def full(sandbox: Sandbox) -> None:
    sandbox.world.airtable.record_cap = 3


@pytest.mark.proof
@pytest.mark.parametrize(
    ("spoil", "exit_", "told"),
    [(quota, 3, "API calls of the workspace are used up"), (full, 2, "the base is full"), (revoked, 2, "AIRTABLE_API_KEY")],
)
def test_what_airtable_refuses_is_told_and_the_other_destination_goes_on(airtable: Job, spoil: Any, exit_: int, told: str) -> None:
    token = airtable.sandbox.airtable_token
    spoil(airtable.sandbox)
    ran = airtable.once(AIRTABLE_API_KEY=token)
    assert ran.exit == exit_, ran.all
    assert told in ran.err
    assert token not in ran.all
    assert difference(airtable.sqlite, airtable.sandbox) == []


@pytest.mark.proof
def test_airtable_down_for_three_runs_catches_up(airtable: Job) -> None:
    airtable.sandbox.faults.always(".*", Fault(Kind.UNAVAILABLE_EMPTY), face="airtable")
    for title in ("one", "two", "three"):
        airtable.sandbox.world.teamwork.add_task(f"task {title}", next(iter(airtable.sandbox.world.teamwork.tasklists)))
        assert airtable.once().exit == 3
        assert difference(airtable.sqlite, airtable.sandbox) == []
    airtable.sandbox.faults.clear()
    assert airtable.once().exit == 0
    assert differences(airtable.sandbox) == []


@pytest.mark.proof
def test_the_move_to_another_destination_asks_no_source(airtable: Job) -> None:
    assert airtable.once("--destination", "airtable").exit == 0
    moved = airtable.call("replay", "--destination", "sqlite")
    assert (moved.exit, dict(moved.asked)) == (0, {})
    assert difference(airtable.sqlite, airtable.sandbox) == []
    assert airtable.call("verify", "--destination", "sqlite").exit == 0


def test_the_readmes_move_to_postgres_asks_no_source_for_a_record(airtable: Job, dsn: str) -> None:
    assert airtable.once("--destination", "airtable").exit == 0
    airtable.more, airtable.dsn = {"DB_BACKEND": "airtable,postgres"}, dsn
    checked = airtable.call("check")
    assert checked.exit == 0, checked.all
    for command in ("replay", "verify"):
        ran = airtable.call(command, "--destination", "postgres")
        assert (ran.exit, dict(ran.asked)) == (0, {}), ran.all
    assert difference(dsn, airtable.sandbox) == []


@pytest.mark.proof
def test_a_run_that_may_deliver_only_now_and_then_collects_meanwhile(airtable: Job) -> None:
    airtable.more |= {"AIRTABLE_DELIVER_SECONDS": "3600"}
    assert airtable.once().exit == 0
    airtable.sandbox.world.teamwork.add_task("later", next(iter(airtable.sandbox.world.teamwork.tasklists)))
    ran = airtable.once("--json")
    assert (ran.exit, ran.asked["airtable"], ran.document["destinations"]["airtable"]["behind"]) == (0, 0, 1)
    airtable.more["AIRTABLE_DELIVER_SECONDS"] = "0"
    assert airtable.once().exit == 0
    assert differences(airtable.sandbox) == []
