"""What only SQLite does."""

import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from syncjob.core.errors import ConfigError, Rejected, Transient
from syncjob.core.model import TASKS, Batch, Receipt
from syncjob.destinations import sqlite
from tests.contracts.places import at, deliver, email, ready, rows, sqlite_place, task, told


def test_two_writers_do_not_interleave_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0)
    place = sqlite_place(tmp_path / "data.db")
    destination = ready(place)
    other = sqlite3.connect(tmp_path / "data.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="another program is writing"):
        deliver(destination, task())
    assert list(destination.rows(TASKS)) == []
    other.close()
    assert deliver(destination, task()) == Receipt(1)
    place.close()


def test_the_file_and_its_new_folder_are_for_this_user_alone(tmp_path: Path) -> None:
    place = sqlite_place(tmp_path / "new" / "data.db")
    destination = ready(place)
    deliver(destination, task())
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()} == {0o600}
    assert place.sql("PRAGMA journal_mode") == [("wal",)]
    place.close()


@pytest.mark.parametrize("name", ["odd ?#%:@ né.db", "%2e.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    place = sqlite_place(tmp_path / name)
    ready(place)
    place.close()
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_a_path_that_cannot_be_a_database_is_a_matter_of_settings(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Not a database, but a text of some length. " * 50)
    for path in (tmp_path / "notes.txt", tmp_path, tmp_path / "notes.txt" / "data.db"):
        with pytest.raises(ConfigError, match=r"notes\.txt|test_a_path") as raised:
            sqlite_place(path).open().prepare()
        assert "SQLITE_PATH" in raised.value.hint
    assert (tmp_path / "notes.txt").read_text().startswith("Not a database")


@pytest.mark.parametrize(
    ("pragma", "message"), [("max_page_count = 60", "the disk is full"), ("query_only = 1", "is read-only")], ids=["full", "read-only"]
)
def test_a_disk_that_cannot_be_written_is_transient(tmp_path: Path, pragma: str, message: str) -> None:
    place = sqlite_place(tmp_path / "data.db")
    deliver(ready(place), task("0"), seq=1)

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    destination = place.open()
    sa.event.listen(sa.Engine, "connect", limit)
    try:
        with pytest.raises(Transient, match=message):
            deliver(destination, task("1"), email(body_html="x" * 1_000_000), seq=2)
    finally:
        sa.event.remove(sa.Engine, "connect", limit)
    assert (list(rows(place)), destination.prepare()) == (["0"], at(1))
    assert deliver(destination, task("1"), seq=2) == Receipt(1)
    place.close()


def test_a_constraint_of_the_user_rejects_the_row(tmp_path: Path) -> None:
    place = sqlite_place(tmp_path / "data.db")
    destination = ready(place)
    place.sql("CREATE TRIGGER no BEFORE INSERT ON tasks WHEN NEW.title = 'secret' BEGIN SELECT RAISE(ABORT, 'secret'); END")
    with pytest.raises(Rejected, match="refused by SQLite: SQLITE_CONSTRAINT_TRIGGER") as raised:
        deliver(destination, task("1"), task("2", title="secret"))
    assert "secret" not in told(raised.value)
    assert rows(place) == {}
    place.close()


def test_values_of_another_kind_that_somebody_wrote_are_shown_and_mended(tmp_path: Path) -> None:
    place = sqlite_place(tmp_path / "data.db")
    destination = ready(place)
    deliver(destination, task("1"), task("2"), seq=1)
    before = rows(place)
    place.sql("UPDATE tasks SET tags = 'no JSON', progress = 'half', deleted = 7, title = x'00ff' WHERE task_id = '1'")
    place.sql("UPDATE tasks SET source_links = 5, due_at = 1.5 WHERE task_id = '2'")
    found = rows(place)
    assert (found["1"]["tags"], found["1"]["progress"], found["1"]["title"]) == ("no JSON", "half", b"\x00\xff")
    assert destination.deliver(Batch((task("1"), task("2")), at(1)), by_content=True) == Receipt(2)
    assert rows(place) == before
    place.close()
