"""What cannot be read, or is refused, is kept as a dead letter: it stops nothing, is told once, heals, and can be retried."""

import io
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from syncjob import dead
from syncjob.build import Choices
from syncjob.core.errors import ConfigError
from syncjob.once import Ran, run_once
from syncjob.report import Report
from syncjob.sandbox import Response, Sandbox
from syncjob.settings import Settings, load
from syncjob.sources import teamwork

POISON = "poison"


class Unreadable(teamwork.Task):
    """A task whose name is read as a number: what a vendor's new shape looks like to us."""

    name: int  # type: ignore[assignment]


class Bench:
    """A sandbox, its settings, and what was said."""

    def __init__(self, folder: Path, sandbox: Sandbox, **more: str) -> None:
        self.settings: Settings = load({**sandbox.settings(), **more}, cwd=folder)
        self.sandbox, self.said = sandbox, io.StringIO()
        self.report = Report(out=self.said, err=self.said)

    def run(self, **choices: bool) -> Ran:
        return run_once(self.settings, Choices(**choices), self.report, threading.Event())

    def retry(self, part: str | None = None, key: str | None = None) -> int:
        return dead.retry(self.settings, part, key, self.report, threading.Event())

    def letters(self) -> dict[str, str]:
        return {letter["key"]: letter["part"] for letter in dead.listed(self.settings)["letters"]}

    def show(self, part: str, key: str, *, raw: bool = False) -> str:
        out = io.StringIO()
        dead.show(self.settings, part, key, raw=raw, report=Report(out=out))
        return out.getvalue()

    def tasks(self) -> list[int]:
        return sorted(map(int, self.sandbox.truth.tasks()))

    def edit(self, key: int, name: str) -> None:
        self.sandbox.world.teamwork.edit_task(key, name=name)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Sandbox(1, 10, 0) as sandbox:
        bench = Bench(tmp_path, sandbox)
        assert bench.run().exit == 0
        yield bench


# -- of a source


def test_a_record_that_cannot_be_read_is_told_once_and_heals_by_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    key = bench.tasks()[0]
    with monkeypatch.context() as broken:
        broken.setattr(teamwork, "Task", Unreadable)
        bench.edit(key, "a new shape")
        first, second = bench.run(), bench.run()
    walk = first.document["streams"]["teamwork.tasks"]["walks"][0]
    assert (first.exit, walk["rejected"], walk["fetched"]) == (3, 1, 1)
    assert "1 record or list was put aside" in bench.said.getvalue()
    assert second.exit == 0  # known by now
    assert bench.letters() == {str(key): "teamwork"}

    healed = bench.run()
    assert healed.exit == 0
    assert healed.document["destinations"]["sqlite"]["written"] == 1
    assert bench.letters() == {}


def keyless(response: Response) -> Response:
    """The answer with the first of its tasks shown without an id."""
    found = json.loads(response.body)
    if found.get("tasks"):
        found["tasks"][0].pop("id")
    return replace(response, body=json.dumps(found).encode())


def test_a_record_without_a_key_goes_when_a_full_walk_no_longer_meets_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    face = bench.sandbox._faces["teamwork"]
    answer = face.respond
    with monkeypatch.context() as broken:
        broken.setattr(face, "respond", lambda request: keyless(answer(request)))
        assert bench.run(full=True).exit == 3
        assert bench.run(full=True).exit == 0, bench.said.getvalue()
    (key,) = bench.letters()
    assert key.startswith("digest:")
    assert bench.run().exit == 0
    assert list(bench.letters()) == [key]  # a changes walk does not list everything
    assert bench.run(full=True).exit == 0
    assert bench.letters() == {}


def test_a_record_is_shown_by_its_shape_or_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    key = str(bench.tasks()[0])
    with monkeypatch.context() as broken:
        broken.setattr(teamwork, "Task", Unreadable)
        bench.edit(int(key), "private words")
        bench.run()
    shape, whole = bench.show("teamwork", key), bench.show("teamwork", key, raw=True)
    assert "private words" not in shape
    assert json.loads(shape)["record"]["name"] == "text of 13"
    assert json.loads(whole)["record"]["name"] == "private words"


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ({"a": "secret", "b": [1, 2], "c": {"d": None}}, {"a": "text of 6", "b": ["list of 2", "whole number"], "c": {"d": "null"}}),
        ([], ["list of 0"]),
        (True, "true or false"),
        (1.5, "number"),
    ],
)
def test_a_shape_has_types_and_lengths_and_no_value(value: object, shape: object) -> None:
    assert dead.shape(value) == shape


# -- of a destination


@pytest.fixture(params=["sqlite", "postgres"])
def refusing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Refusing"]:
    with Sandbox(1, 30, 0) as sandbox:
        more = {"DB_BACKEND": request.param}
        if request.param == "postgres":
            more["PG_DSN"] = request.getfixturevalue("fresh_postgres")
        refusing = Refusing(tmp_path, sandbox, **more)
        assert refusing.run().exit == 0
        yield refusing


class Refusing(Bench):
    """A destination whose owner made it refuse some titles."""

    @property
    def name(self) -> str:
        return self.settings.db_backend[0]

    def refuse(self, condition: str = f"title = '{POISON}'") -> None:
        if self.name == "postgres":
            self.sql(f"ALTER TABLE tasks ADD CONSTRAINT mine CHECK (NOT coalesce({condition}, false)) NOT VALID")
            return
        for verb in ("INSERT", "UPDATE"):
            trigger = f"CREATE TRIGGER mine_{verb} BEFORE {verb} ON tasks WHEN new.{condition}"
            self.sql(f"{trigger} BEGIN SELECT raise(ABORT, 'refused'); END")

    def accept(self) -> None:
        if self.name == "postgres":
            self.sql("ALTER TABLE tasks DROP CONSTRAINT mine")
        else:
            for verb in ("INSERT", "UPDATE"):
                self.sql(f"DROP TRIGGER mine_{verb}")

    def titles(self) -> dict[int, str]:
        return {int(key): title for key, title in self.sql("SELECT task_id, title FROM tasks")}

    def sql(self, statement: str) -> list[tuple[str, str]]:
        dsn = self.settings.pg_dsn
        place = psycopg2.connect(dsn.get_secret_value()) if dsn else sqlite3.connect(self.settings.sqlite_file)
        with closing(place) as connection, connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("poisoned", [1, 2, 5])
@pytest.mark.parametrize("others", [0, 3])
def test_rows_that_are_refused_are_parked_while_all_others_go_on(refusing: Refusing, poisoned: int, others: int) -> None:
    refusing.refuse()
    keys = refusing.tasks()
    for key in keys[:poisoned]:
        refusing.edit(key, POISON)
    for key in keys[poisoned : poisoned + others]:
        refusing.edit(key, "fine")

    first, second = refusing.run(), refusing.run()

    found = first.document["destinations"][refusing.name]
    assert (first.exit, found["dead"], found["behind"], found["written"]) == (3, poisoned, 0, others)
    assert (second.exit, second.document["destinations"][refusing.name]["dead"]) == (0, poisoned)
    assert sorted(refusing.letters()) == sorted(map(str, keys[:poisoned]))
    assert list(refusing.titles().values()).count("fine") == others


def test_a_refused_row_that_changes_is_delivered_and_its_letter_goes(refusing: Refusing) -> None:
    refusing.refuse()
    key = refusing.tasks()[0]
    refusing.edit(key, POISON)
    assert refusing.run().exit == 3
    refusing.edit(key, "mended")
    assert refusing.run().exit == 0
    assert refusing.letters() == {}
    assert refusing.titles()[key] == "mended"


def test_a_destination_that_refuses_every_row_waits_and_makes_no_dead_letters(refusing: Refusing) -> None:
    refusing.refuse("title IS NOT NULL")
    for key in refusing.tasks()[:3]:
        refusing.edit(key, "fine")
    for _ in range(2):
        ran = refusing.run()
        assert (ran.exit, ran.document["destinations"][refusing.name]["behind"]) == (3, 3)
    assert "refuses every row" in refusing.said.getvalue()
    assert refusing.letters() == {}
    refusing.accept()
    assert refusing.run().exit == 0
    assert list(refusing.titles().values()).count("fine") == 3


def test_retry_delivers_the_present_row_once_the_destination_takes_it(refusing: Refusing) -> None:
    refusing.refuse()
    first, second, *_ = refusing.tasks()
    for key in (first, second):
        refusing.edit(key, POISON)
    refusing.run()
    assert refusing.retry() == 3
    assert len(refusing.letters()) == 2
    refusing.accept()
    assert refusing.retry(refusing.name, str(first)) == 0
    assert refusing.letters() == {str(second): refusing.name}
    assert (refusing.titles()[first], refusing.titles()[second] == POISON) == (POISON, False)
    assert refusing.retry() == 0
    assert (refusing.letters(), refusing.titles()[second]) == ({}, POISON)
    assert refusing.run().document["destinations"][refusing.name]["written"] == 0


def test_a_retry_for_a_destination_that_is_not_configured_any_more_says_so(refusing: Refusing) -> None:
    refusing.refuse()
    key = refusing.tasks()[0]
    refusing.edit(key, POISON)
    refusing.run()
    before = refusing.name
    refusing.settings = refusing.settings.model_copy(update={"db_backend": ("airtable",)})
    with pytest.raises(ConfigError, match=f"{before} is not in DB_BACKEND") as told:
        refusing.retry(before)
    assert f"dead drop {before} {key}" in (told.value.hint or "")
    assert refusing.retry() == 0
    assert "no record that a destination of DB_BACKEND refused" in refusing.said.getvalue()
    assert refusing.letters() == {str(key): before}


def test_sources_have_no_retry(refusing: Refusing) -> None:
    for source in ("teamwork", "missive"):
        with pytest.raises(ConfigError, match="is a source"):
            refusing.retry(source)


def test_a_dropped_letter_is_forgotten_and_its_row_left_alone(refusing: Refusing) -> None:
    refusing.refuse()
    key = refusing.tasks()[0]
    refusing.edit(key, POISON)
    refusing.run()
    assert json.loads(refusing.show(refusing.name, str(key), raw=True))["record"]["title"] == POISON
    dead.drop(refusing.settings, refusing.name, str(key), refusing.report)
    assert refusing.letters() == {}
    assert refusing.titles()[key] != POISON
