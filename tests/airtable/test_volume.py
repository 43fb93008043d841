"""A whole mirror into Airtable under its real limits, in virtual time: as few requests as there can be, and never one too many."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncjob.core.model import EMAILS, TASKS, Change, Record
from syncjob.delivery import DestinationPart
from syncjob.destinations import AirtableApi, AirtableDestination
from syncjob.http.limits import WHOLE, Limiter, Window
from syncjob.sandbox import Limits, Sandbox, expected_row
from syncjob.store import LedgerOf, Store
from tests.airtable_wire import wire_session
from tests.walks.bench import Clock, new_folder

TABLES = {TASKS: "Tasks", EMAILS: "Emails"}
TRAVEL = 0.05


class Base:
    """A sandbox's world in a mirror, and the part that delivers it to the sandbox's Airtable."""

    def __init__(self, folder: Path, tasks: int, mails: int) -> None:
        self.clock = Clock()
        self.sandbox = Sandbox(3, tasks, mails // 3 + 1, clock=lambda: self.clock.at, limits=Limits.documented())
        self.store = Store(folder / "mirror.db")
        self.folder, self.session_count = folder, 0
        truth = self.sandbox.truth
        self.rows = {TASKS: dict([*truth.tasks().items()][:tasks]), EMAILS: dict([*truth.emails().items()][:mails])}
        for stream, rows in self.rows.items():
            self.absorb(stream, rows, "created")

    def absorb(self, stream: str, rows: dict[str, Any], verb: Any) -> None:
        """Let the mirror learn these rows."""
        changes = [Change(verb, Record(stream, key, _json(row)), f"{verb}{self.clock.at}") for key, row in rows.items()]
        with self.store.begin() as tx:
            tx.mirror.apply(changes, observed=1)

    def part(self) -> DestinationPart:
        """The part as a new process has it."""

        def session() -> Any:
            self.session_count += 1
            return wire_session(self.sandbox, self.clock, self._travels)

        ledger, url = LedgerOf(self.store, "airtable"), self.sandbox.url
        limiter = Limiter((Window(5, 1),), WHOLE, self.clock, self.folder / "airtable.limits")
        api = AirtableApi(
            self.sandbox.airtable_token, self.sandbox.world.airtable.base.id, limiter, self.clock, ledger, url=url, content_url=url,
            session=session,
        )  # fmt: skip
        base = self.sandbox.world.airtable.base.id
        self.destination = AirtableDestination(api, ledger, self.clock, base=base, tables=TABLES)
        return DestinationPart(self.destination, self.store, self.clock)

    def _travels(self) -> None:
        self.clock.at += TRAVEL

    def deliver(self) -> list[Any]:
        """Every step that is due, in a process of its own; the requests that it took."""
        before, part = len(self.sandbox.log), self.part()
        while part.step() is None:
            pass
        part.destination.close()
        return self.sandbox.log[before:]

    def differences(self) -> list[str]:
        """Every cell that is not as it should be."""
        found = []
        for stream, name in TABLES.items():
            table = self.sandbox.world.airtable.base.table(name)
            cells = table.rows(table.fields[0].name)
            expected = {key: expected_row(name.lower(), row, table) for key, row in self.rows[stream].items()}
            found += [f"{name} {key}" for key in expected.keys() | cells.keys() if expected.get(key) != _without_body(cells.get(key))]
        return found


def _without_body(cells: dict[str, Any] | None) -> dict[str, Any] | None:
    return cells and {name: cell for name, cell in cells.items() if name != "Body Text"}


def _json(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in ("deleted", "deleted_at")}
    return {name: _stamped(value) for name, value in kept.items()}


def _stamped(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if hasattr(value, "isoformat") else value


def _most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= time < start + 1 for time in times[index : index + 20]) for index, start in enumerate(times))


@pytest.fixture
def folder() -> Iterator[Path]:
    with new_folder() as made:
        yield made


@pytest.mark.parametrize(
    ("tasks", "mails"), [pytest.param(70, 90, id="small"), pytest.param(2000, 3000, id="3,000 mails", marks=pytest.mark.proof)]
)
def test_a_mirror_goes_into_airtable_with_as_few_requests_as_there_can_be(folder: Path, tasks: int, mails: int) -> None:
    base = Base(folder, tasks * 2, mails)
    base.rows[TASKS] = dict([*base.rows[TASKS].items()])
    destination = base.part().destination
    assert isinstance(destination, AirtableDestination)
    destination.tables.create(destination.tables.missing())
    began = base.clock.at

    asked = base.deliver()

    writes = [exchange for exchange in asked if exchange.method == "PATCH"]
    least = sum(math.ceil(len(rows) / 10) for rows in base.rows.values())
    batches = math.ceil(sum(len(rows) for rows in base.rows.values()) / 1000)
    assert least <= len(writes) <= least + batches, "at most one more for each batch of 1,000 rows"
    assert len(asked) - len(writes) == 1 + 2, "the tables were looked at, and their keys listed"
    assert {exchange.status for exchange in asked} == {200}
    assert _most_in_a_second([exchange.at for exchange in asked]) <= 5
    assert base.differences() == []
    print(f"{ {name: len(rows) for name, rows in base.rows.items()} }: {len(writes)} writes (least: {least}), {len(asked)} requests, "
          f"{timedelta(seconds=round(base.clock.at - began))} of virtual time")  # fmt: skip

    sessions = base.session_count
    assert base.deliver() == []
    assert base.session_count == sessions, "a quiet cycle opens no connection"


def test_a_few_changes_cost_a_few_requests(folder: Path) -> None:
    base = Base(folder, 60, 60)
    destination = base.part().destination
    assert isinstance(destination, AirtableDestination)
    destination.tables.create(destination.tables.missing())
    base.deliver()
    for stream, column in ((TASKS, "title"), (EMAILS, "subject")):
        some = {key: {**row, column: "New"} for key, row in [*base.rows[stream].items()][:11]}
        base.rows[stream] |= some
        base.absorb(stream, some, "updated")
    assert [exchange.method for exchange in base.deliver()] == ["PATCH"] * 4
    assert base.differences() == []


def test_somebody_else_who_uses_up_the_limit_is_waited_for(folder: Path) -> None:
    base = Base(folder, 60, 30)
    destination = base.part().destination
    assert isinstance(destination, AirtableDestination)
    destination.tables.create(destination.tables.missing())
    hits = iter(range(1, 1000))

    def crowd(request: Any) -> None:
        if request.method == "PATCH" and next(hits) == 3:
            for _ in range(5):
                base.sandbox._gates["airtable"].enter(request, base.clock.at)

    base.sandbox.before_request.append(crowd)
    asked = base.deliver()
    assert [exchange.status for exchange in asked].count(429) == 1, "the lock-out of 30 s was waited out"
    assert base.differences() == []
