"""The demo, as a newcomer starts it."""

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from syncjob import demo
from syncjob.report import Report

ROOT = Path(demo.__file__).parent.parent
ENOUGH_SECONDS = 30
ACCOUNT = re.compile(
    r"([\d,]+) records fetched, ([\d,]+) rows written, ([\d,]+) left alone\. Requests: (\d+) to Teamwork, (\d+) to Missive\."
)
CHECKED = re.compile(r"every row is equal to the sandbox's truth: (\d+) tasks, (\d+) emails, (\d+) attachments")


@dataclass(frozen=True, slots=True)
class Shown:
    """A demo that was run in an empty folder, with nothing in its environment."""

    folder: Path
    code: int
    out: str
    err: str
    seconds: float

    @property
    def database(self) -> Path:
        found = re.search(r"The data is in (\S+),", self.out)
        assert found, self.out
        return Path(found[1])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(query).fetchall()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder, temporary = tmp_path_factory.mktemp("empty"), tmp_path_factory.mktemp("temporary")
    env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "syncjob", "demo"], cwd=folder, env=env, capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False
    )
    yield Shown(folder, ran.returncode, ran.stdout, ran.stderr, time.monotonic() - began)
    shutil.rmtree(temporary)


def run_small(monkeypatch: pytest.MonkeyPatch, state: Path | None, *, stop: bool = False, into: str = "sqlite") -> tuple[int, str]:
    """The demo in this process with a small world: its exit code and all it printed."""
    monkeypatch.setattr(demo, "TASKS", 60)
    monkeypatch.setattr(demo, "CONVERSATIONS", 20)
    text, stopped = StringIO(), threading.Event()
    if stop:
        stopped.set()
    return demo.run_demo(state, Report(out=text, err=text), stopped, into), text.getvalue()


def test_it_needs_nothing_and_ends_well(shown: Shown) -> None:
    assert (shown.code, shown.err) == (0, ""), shown.out
    assert shown.seconds < ENOUGH_SECONDS
    assert list(shown.folder.iterdir()) == []


def test_it_tells_of_each_run_what_was_fetched_written_and_left_alone(shown: Shown) -> None:
    first, second, third = ([int(count.replace(",", "")) for count in account] for account in ACCOUNT.findall(shown.out))
    assert first[0] == first[1] > 0
    assert first[2] == 0
    assert 0 < second[1] <= second[0] < first[0]
    assert second[2] > first[1] / 2
    assert third[1] == 0
    assert third[2] == second[1] + second[2]
    assert max(third[3:]) <= 2


def test_the_world_changes_in_every_way_that_people_ask_about(shown: Shown) -> None:
    for change in (
        "is renamed",
        "is added",
        "are completed",
        "is tagged",
        "is deleted",
        "a reply arrives",
        "new conversation",
        "gets the label",
        "merged",
    ):
        assert change in shown.out


def test_the_database_holds_what_the_last_check_says(shown: Shown) -> None:
    said = CHECKED.findall(shown.out)
    assert len(said) == 3
    live = [shown.rows(f"SELECT count(*) FROM {table} WHERE NOT deleted")[0][0] for table in demo.TABLES]
    assert live == [int(count) for count in said[-1]]
    assert shown.rows("SELECT status FROM tasks WHERE title = 'Order coffee for the crew'") == [("new",)]
    assert shown.rows("SELECT count(*) FROM tasks WHERE deleted AND deleted_at IS NOT NULL") == [(1,)]
    assert shown.rows("SELECT count(DISTINCT thread_id) FROM emails WHERE subject = 'Keys for the new office'") == [(1,)]


def test_its_state_is_private(shown: Shown) -> None:
    assert shown.database.parent.stat().st_mode & 0o077 == 0


def test_the_line_to_look_at_the_data_works_as_printed(shown: Shown) -> None:
    line = shown.out.partition("Look at it:\n\n")[2].partition("\n")[0]
    seen = subprocess.run(line, shell=True, cwd=shown.folder, capture_output=True, text=True, check=True)
    assert "Order coffee for the crew" in seen.stdout


def test_without_the_sqlite_command_it_is_a_line_of_python(monkeypatch: pytest.MonkeyPatch, shown: Shown) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    seen = subprocess.run(demo._look(shown.database), shell=True, capture_output=True, text=True, check=True)
    assert "Order coffee for the crew" in seen.stdout


def test_an_env_file_and_the_environment_are_not_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    poison = {"TEAMWORK_BASE_URL": "http://127.0.0.1:9", "DB_BACKEND": "oracle", "HTTP_PROXY": "http://127.0.0.1:9", "LOG_LEVEL": "LOUD"}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in poison.items()))
    for name, value in poison.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    code, out = run_small(monkeypatch, tmp_path / "demo")
    assert code == 0, out
    assert f"The data is in {tmp_path / 'demo' / 'data.db'}" in out


def test_it_shows_airtable_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, out = run_small(monkeypatch, tmp_path / "demo", into="airtable")
    assert code == 0, out
    assert "airtable: the table Emails: Email ID (singleLineText), Thread ID" in out
    assert out.count("Checked: every row is equal to the sandbox's truth") == 3
    assert "2 to Teamwork, 2 to Missive, 0 to Airtable." in out
    assert re.search(r"looks in Airtable:\n\n    Task ID: \d+", out)


def test_a_folder_that_holds_anything_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mirror.db").write_text("precious")
    code, out = run_small(monkeypatch, tmp_path)
    assert code == 2
    assert "not empty" in out
    assert [path.name for path in tmp_path.iterdir()] == ["mirror.db"]


def test_a_folder_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, out = run_small(monkeypatch, tmp_path / "file" / "folder")
    assert code == 2
    assert "cannot be used (Not a directory)" in out


def test_a_signal_ends_it_without_a_fuss(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, out = run_small(monkeypatch, tmp_path / "demo", stop=True)
    assert code == 0
    assert "The demo stopped early" in out
    assert "Checked" not in out


STAMP, TRUE_STAMP = "2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)
GOOD = {"a": {"deleted": 0, "title": "x", "tags": '["é"]', "due_at": "2026-02-01", "updated_at": STAMP}}
TRUE = {"a": {"deleted": False, "title": "x", "tags": ["é"], "due_at": date(2026, 2, 1), "updated_at": TRUE_STAMP}}


@pytest.mark.parametrize(
    ("rows", "gone", "told"),
    [
        (GOOD, set(), []),
        ({}, set(), ["tasks a: missing"]),
        ({"a": {**GOOD["a"], "title": "y"}}, set(), ["tasks a: title differs"]),
        ({"a": {**GOOD["a"], "deleted": 1}}, set(), ["tasks a: missing"]),
        ({**GOOD, "b": GOOD["a"]}, set(), ["tasks b: should not be there"]),
        (GOOD, {"b"}, ["tasks b: gone, but not kept as deleted"]),
        ({**GOOD, "b": {**GOOD["a"], "deleted": 1}}, {"b"}, []),
    ],
)
def test_every_kind_of_difference_is_found(rows: demo.Rows, gone: set[str], told: list[str]) -> None:
    assert demo._differences("tasks", TRUE, rows, gone) == told
