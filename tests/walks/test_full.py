"""A disk without room at any one moment: the step says so, nothing is lost, no question takes the blame."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from syncjob.core.errors import Unwritable

from .bench import Bench


def tries(folder: Path) -> int:
    """How often questions were asked in vain."""
    with closing(sqlite3.connect(folder / "mirror.db")) as connection:
        return connection.execute("SELECT coalesce(sum(tries), 0) FROM wants").fetchone()[0]


def run_against_a_full_disk(bench: Bench) -> int:
    """Begin again until all is done; how often there was no room."""
    hints: set[str] = set()
    for failures in range(1000):
        try:
            bench.run()
        except Unwritable as error:
            hints.add(error.hint)
            assert tries(bench.folder) == 0
            bench.reopen()
        else:
            assert all("nothing is lost" in hint for hint in hints)
            return failures
    raise AssertionError("it never gets on")


def test_a_spool_that_has_no_room_again_and_again_is_filled_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, sync, calls = Bench(tmp_path, tasks=20, conversations=6), os.fsync, [0]

    def full(handle: int) -> None:
        calls[0] += 1
        if calls[0] % 13 == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr("syncjob.spool.os.fsync", full)
    assert run_against_a_full_disk(bench) > 5
    monkeypatch.undo()
    bench.cycle()
    assert bench.differences() == []
    assert list(tmp_path.glob("spool/*/*")) == []
    bench.close()


def test_a_mirror_that_may_grow_only_page_by_page_is_filled_in_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=20, conversations=6)
    room = [1]

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {room[0]}")

    failures, hints = 0, list[str]()
    while True:
        sa.event.listen(bench.store._engine, "connect", limit)
        bench.store._engine.dispose()
        try:
            bench.run()
            break
        except Unwritable as error:
            hints.append(error.hint)
            failures, room[0] = failures + 1, room[0] + 4
            bench.reopen()
    assert failures > 3
    assert all("nothing is lost" in hint for hint in hints)
    bench.reopen()
    bench.cycle()
    assert bench.differences() == []
    bench.close()
