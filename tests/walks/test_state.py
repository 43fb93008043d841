"""What lies in the state folder: the spool, the store's version, the positions it trusts, and process-after dates."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from syncjob.core import digest
from syncjob.core.errors import ConfigError
from syncjob.core.model import EMAILS, TASKS, Answer, Call
from syncjob.spool import Spool, UnknownLeaf
from syncjob.store import Store
from syncjob.store.engine import MIGRATIONS

from .bench import Bench

CALL = Call("list", "/tasks", (("page", "1"),), {"page": 1}, accept=(404,))


def test_a_leaf_is_read_as_it_was_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    answer = Answer(404, b"\x00\n\nbody\xff", datetime(2026, 9, 1, tzinfo=UTC))
    leaf = spool.write(observed=7, walk=3, call=CALL, answer=answer)
    assert spool.read(leaf.path) == leaf
    assert leaf.path.stat().st_mode & 0o777 == 0o600


def test_leaves_come_in_the_order_of_their_observation(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for observed in (10, 9, 100):
        spool.write(observed=observed, walk=None, call=CALL, answer=Answer(200, b"{}"))
    assert [int(path.stem) for path in spool.leaves()] == [9, 10, 100]


def test_half_a_leaf_is_removed_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "000000000000001.part").write_bytes(b'{"ver')
    assert list(Spool(tmp_path).leaves()) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]\n", b'{"version": 99}\n{}', b'{"version": 1}\n{}', b'"text"\n'])
def test_a_leaf_of_another_version_or_maker_is_told_apart_and_can_be_set_aside(tmp_path: Path, content: bytes) -> None:
    spool, path = Spool(tmp_path), tmp_path / "000000000000001.leaf"
    path.write_bytes(content)
    with pytest.raises(UnknownLeaf):
        spool.read(path)
    assert spool.set_aside(path).read_bytes() == content
    assert list(spool.leaves()) == []


def test_an_unknown_leaf_does_not_stop_its_source(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=10, conversations=2)
    (tmp_path / "spool" / "teamwork" / "000000000000001.leaf").write_bytes(b'{"version": 99}\n{}')
    bench.reopen()
    bench.run()
    assert bench.differences() == []
    bench.close()


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mirror.db"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="newer syncjob"):
        Store(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()


def test_a_damaged_store_is_told_with_a_way_on(tmp_path: Path) -> None:
    path = tmp_path / "mirror.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(ConfigError, match="damaged") as caught:
        Store(path)
    assert "run `python -m syncjob once" in caught.value.hint


def test_a_position_is_trusted_only_in_the_past_that_it_comes_from(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "state", tasks=20)
    bench.run("teamwork")
    with bench.store.read() as tx:
        early = tx.feed.newest()
    bench.close()
    shutil.copytree(tmp_path / "state", tmp_path / "backup")
    bench.open()
    bench.sandbox.world.teamwork.add_task("after the backup")
    bench.cycle("teamwork")
    with bench.store.read() as tx:
        late = tx.feed.newest()
        assert tx.feed.trusts(early)
        assert tx.feed.trusts(late)
        assert tx.feed.trusts(replace(late, seq=0))
        assert not tx.feed.trusts(None)
        assert not tx.feed.trusts(replace(late, mirror="another"))
        assert not tx.feed.trusts(replace(late, seq=late.seq + 1))
        assert not tx.feed.trusts(replace(late, epoch="unheard of"))
        assert not tx.feed.trusts(replace(early, seq=late.seq))  # the epoch had ended before
    bench.close()
    restored = Bench(tmp_path / "backup", sandbox=bench.sandbox, clock=bench.clock)
    restored.cycle("teamwork")
    with restored.store.read() as tx:
        assert tx.mirror.newest_seq() >= late.seq
        assert tx.feed.trusts(early)
        assert not tx.feed.trusts(late)  # the same seq, but of a past that this mirror does not know
    restored.close()


def test_where_a_destination_that_is_behind_stands_is_told_in_the_present_of_the_mirror(tmp_path: Path) -> None:
    """A row that it has not read may have moved on since a backup, and is read by nobody then."""
    bench = Bench(tmp_path / "state", tasks=20)
    bench.run("teamwork")
    bench.close()
    shutil.copytree(tmp_path / "state", tmp_path / "backup")
    bench.open()
    with bench.store.read() as tx:
        first = tx.feed.after(0, limit=1).rows[0]
    bench.sandbox.world.teamwork.edit_task(int(first.key), name="moved on")
    bench.cycle("teamwork")
    with bench.store.read() as tx:
        behind = tx.feed.after(0, limit=5).position
    bench.close()
    restored = Bench(tmp_path / "backup", sandbox=bench.sandbox, clock=bench.clock)
    with restored.store.read() as tx:
        assert behind.seq < tx.feed.newest().seq
        assert not tx.feed.trusts(behind)
    restored.close()


# -- upgrades


def stored(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "mirror.db")) as connection:
        return connection.execute(query).fetchall()


def test_digests_of_an_older_version_are_made_again_without_a_new_seq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, tasks=20, conversations=5)
    bench.run()
    bench.sandbox.world.teamwork.delete_task(int(min(bench.held(TASKS))))
    bench.cycle()
    kept = "SELECT stream, key, data, seq, observed, deleted_at FROM rows ORDER BY 1, 2"
    seq, before = bench.seq(), stored(tmp_path, kept)
    monkeypatch.setattr(digest, "VERSION", "3")
    monkeypatch.setattr(digest, "_canonical", json.dumps)
    bench.reopen()
    assert stored(tmp_path, "SELECT count(*) FROM rows WHERE digest NOT LIKE '3-%'") == [(0,)]
    assert stored(tmp_path, kept) == before
    bench.rhythm = replace(bench.rhythm, full_asked=True)
    bench.reopen()
    bench.cycle()
    assert bench.seq() == seq
    assert bench.differences() == []
    bench.close()


def test_a_digest_made_again_from_the_mirror_is_the_one_that_was_made_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=20, conversations=5)
    bench.run()
    digests = stored(tmp_path, "SELECT stream, key, digest FROM rows ORDER BY 1, 2")
    with closing(sqlite3.connect(tmp_path / "mirror.db")) as connection, connection:
        connection.execute("UPDATE rows SET digest = '0-' || digest")
        connection.execute("DELETE FROM meta WHERE name = 'digests'")
    bench.reopen()
    assert stored(tmp_path, "SELECT stream, key, digest FROM rows ORDER BY 1, 2") == digests
    bench.close()


def test_a_store_of_an_older_version_is_brought_up_to_date_and_keeps_what_it_holds(tmp_path: Path) -> None:
    """As version 1 made it: with the tables and columns that it had."""
    bench = Bench(tmp_path, tasks=20, conversations=5)
    bench.run()
    tasks, emails, mirror = bench.held(TASKS), bench.held(EMAILS), bench.seq()
    schema = stored(tmp_path, SCHEMA)
    bench.close()
    make_old(tmp_path / "mirror.db")
    assert stored(tmp_path, SCHEMA) != schema
    bench.open()
    assert stored(tmp_path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert stored(tmp_path, SCHEMA) == schema, "what grew is what a new store is made of"
    assert (bench.held(TASKS), bench.held(EMAILS), bench.seq()) == (tasks, emails, mirror)
    bench.sandbox.world.teamwork.edit_task(int(min(tasks)), name="after the upgrade")
    bench.cycle()
    assert bench.differences() == []
    assert sum(walk["kind"] == "full" for walk in bench.walks(TASKS)) == 1
    bench.close()


VERSION_1 = {
    "meta", "epochs", "sources", "streams", "rows", "bodies", "walks", "sightings", "wants", "deletions", "dead_letters", "names",
    "destinations",
}  # fmt: skip
"""The tables that version 1 had."""
SINCE_THEN = {
    "streams": ("news_at",), "rows": ("listed", "missed"), "wants": ("changes", "most"), "dead_letters": ("kind", "about"),
    "walks": ("concluded", "empty", "process_after", "wrong"), "destinations": ("behind_since",),
}  # fmt: skip
"""Columns that they got later."""
SCHEMA = """
    SELECT tables.name, columns.name, columns.type, columns."notnull"
    FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'
    UNION ALL SELECT tbl_name, name, sql, NULL FROM sqlite_schema WHERE type = 'index'
    ORDER BY 1, 2
"""
"""The columns of every table, and the indexes."""


def make_old(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for name in names - VERSION_1:
            connection.execute(f"DROP TABLE {name}")
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchall():
            connection.execute(f"DROP INDEX {name}")
        for name, columns in SINCE_THEN.items():
            for column in columns:
                connection.execute(f"ALTER TABLE {name} DROP COLUMN {column}")
        connection.execute("DELETE FROM meta WHERE name = 'digests'")
        connection.execute("PRAGMA user_version = 1")


DAY = date(2026, 8, 1)
MIDNIGHT = int(datetime(2026, 8, 1, tzinfo=UTC).timestamp())


def world_around_midnight(folder: Path) -> Bench:
    bench = Bench(folder, process_after=DAY)
    for at in (MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1):
        bench.sandbox.world.teamwork.add_task(f"at {at}", created_at=at)
        conversation = bench.sandbox.world.missive.add_conversation(messages=0)
        bench.sandbox.world.missive.add_message(conversation, delivered_at=at)
    bench.run()
    return bench


def test_the_process_after_date_includes_its_midnight(tmp_path: Path) -> None:
    bench = world_around_midnight(tmp_path)
    assert bench.differences() == []
    assert len(bench.held(TASKS)) == len(bench.held(EMAILS)) == 2
    bench.close()


def test_what_is_out_of_scope_is_not_fetched_again(tmp_path: Path) -> None:
    bench = world_around_midnight(tmp_path)
    assert set(bench.bodies_asked()) == bench.sandbox.truth.emails(DAY).keys()
    before = {face: bench.requests(face) for face in bench.parts}
    seq = bench.seq()
    bench.cycle(wait=600)
    bench.cycle(wait=600)
    assert bench.seq() == seq
    assert all(bench.requests(face) - count <= 6 for face, count in before.items())
    bench.close()


def test_a_process_after_date_moved_back_opens_a_full_walk_once(tmp_path: Path) -> None:
    bench = world_around_midnight(tmp_path)
    bench.process_after = date(2026, 7, 1)
    bench.reopen()
    bench.cycle()
    assert bench.differences() == []
    assert len(bench.held(TASKS)) == len(bench.held(EMAILS)) == 3
    bench.cycle()
    assert [walk["kind"] for walk in bench.walks(EMAILS)].count("full") == 2
    bench.close()


def test_a_process_after_date_moved_forward_keeps_rows_and_keeps_them_current(tmp_path: Path) -> None:
    bench = world_around_midnight(tmp_path)
    bench.process_after = date(2026, 8, 20)
    bench.reopen()
    task = int(max(bench.held(TASKS)))
    bench.sandbox.world.teamwork.edit_task(task, name="edited")
    bench.cycle()
    assert bench.held(TASKS)[str(task)]["title"] == "edited"
    assert len(bench.held(TASKS)) == len(bench.held(EMAILS)) == 2
    assert [walk["kind"] for walk in bench.walks(TASKS)].count("full") == 1
    bench.close()
