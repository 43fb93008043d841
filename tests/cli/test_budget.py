"""The budget holds across processes: no request is refused, an urgent walk has its share, and a wait is in nobody's way."""

import signal
import sqlite3
import time
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import pytest

from syncjob.sandbox import Limits, Sandbox, Window

from .job import Job, Ran, until

Windows = tuple[Window, ...]
UNLIMITED = "1000000/1"


def limited(*windows: Window, conversations: int = 25) -> Sandbox:
    """A sandbox whose Missive keeps to these windows."""
    return Sandbox(seed=3, tasks=3, conversations=conversations, limits=Limits(missive=windows))


def busy_processes(job: Job, count: int, *, changed: int, **env: str) -> list[Ran]:
    """So many processes one after another, and so many conversations changed before each."""
    turns = cycle(sorted({email["thread_id"] for email in job.sandbox.truth.emails().values()}))
    found = []
    for _ in range(count):
        for key in islice(turns, changed):
            job.sandbox.world.missive.add_message(key)
        found.append(job.once(**env))
    return found


def refused(job: Job) -> int:
    """How many requests the sandbox turned away."""
    return job.sandbox.counts["missive", 429]


def finish(job: Job) -> None:
    """Processes until all is read: none of them waits longer than half a minute for its budget."""
    end = time.monotonic() + 600
    while job.once(ONCE_MAX_SECONDS="100").exit != 0 or job.differences():
        assert time.monotonic() < end, job.differences()[:5]
        time.sleep(1)


def check_budget(tmp_path: Path, windows: Windows, *, count: int, changed: int, seconds: float, conversations: int = 25) -> None:
    with limited(*windows, conversations=conversations) as sandbox:
        (tmp_path / "kept").mkdir()
        job = Job(tmp_path / "kept", sandbox, more={"ONCE_MAX_SECONDS": f"{seconds}"})
        ran = busy_processes(job, count, changed=changed)
        assert [each.err for each in ran if each.exit != 0] == []
        assert sum(each.asked.get("missive", 0) for each in ran) > windows[0].requests  # the limit was reached
        finish(job)
        assert refused(job) == 0
    with limited(*windows, conversations=conversations) as sandbox:
        (tmp_path / "off").mkdir()
        job = Job(tmp_path / "off", sandbox, more={"MISSIVE_RATE_LIMIT": UNLIMITED, "ONCE_MAX_SECONDS": f"{seconds}"})
        busy_processes(job, max(1, count // 10), changed=changed)
        assert refused(job) > 0


def test_separate_processes_share_one_budget(tmp_path: Path) -> None:
    check_budget(tmp_path, (Window(12, 2), Window(30, 8)), count=4, changed=5, seconds=3, conversations=8)


@pytest.mark.proof
def test_sixty_processes_with_twenty_changed_conversations_each_are_never_refused(tmp_path: Path) -> None:
    check_budget(tmp_path, (Window(30, 6), Window(90, 90)), count=60, changed=20, seconds=5)


def test_a_backfill_that_used_up_its_share_leaves_room_for_another_processs_changes(tmp_path: Path) -> None:
    with limited(Window(80, 20), conversations=120) as sandbox:
        job = Job(tmp_path, sandbox)
        with job.started("once") as process:
            until(lambda: len(sandbox.requests("missive")) >= 64)
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert len(sandbox.requests("missive")) == 64  # 80 %, and then it waited
        sandbox.world.missive.add_message(next(iter(sandbox.truth.emails().values()))["thread_id"], subject="fresh")
        ran = job.once(ONCE_MAX_SECONDS="3")
        with closing(sqlite3.connect(job.sqlite)) as database:
            assert database.execute("SELECT count(*) FROM emails WHERE subject = 'fresh'").fetchone() == (1,)
        assert ran.asked["missive"] <= 8
        assert len(job.differences()) > 10  # the backfill is not nearly at its end
        assert refused(job) == 0


def test_a_wait_for_the_budget_is_in_nobodys_way_and_ends_at_once_when_asked(tmp_path: Path) -> None:
    with limited(Window(2, 20)) as sandbox:
        job = Job(tmp_path, sandbox)
        with job.started("once") as process:
            until(lambda: delivered(job) == len(sandbox.truth.tasks()))
            assert process.poll() is None  # Missive has to wait
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert process.returncode == 143
        assert time.monotonic() - began < 5
        assert refused(job) == 0


def delivered(job: Job) -> int:
    with closing(sqlite3.connect(job.sqlite, timeout=5)) as database:
        has_table = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'tasks'").fetchone()[0]
        return database.execute("SELECT count(*) FROM tasks").fetchone()[0] if has_table else 0
