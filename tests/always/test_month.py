"""A month of ticks on a clock of our own, with faults, hints and crashes: on time, never two at once, nothing grows."""

import resource
import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from syncjob.core.errors import SyncjobError
from syncjob.core.model import EMAILS, TASKS
from syncjob.core.steps import LONGEST_BACK_OFF, Rhythm
from syncjob.sandbox import Kind
from syncjob.scheduler import Ticker
from tests.walks.bench import MEMORY, Bench, Crash, Fuse
from tests.walks.edits import edit_mails, edit_tasks

POLL, SWEEP, HINT = timedelta(hours=2), timedelta(hours=6), timedelta(seconds=5)
DAYS, KEPT = 30, timedelta(days=3)
TROUBLES = (Kind.ERROR_EMPTY, Kind.LIMIT_EMPTY, Kind.TRUNCATED_JSON, Kind.EMPTY_OBJECT)


class Month:
    """A service on a bench; notes when each cycle began."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = Random(seed)
        self.bench = Bench(folder, seed=seed, tasks=20, conversations=3)
        self.bench.rhythm = Rhythm(POLL, SWEEP, hint=HINT)
        self.cycles: list[float] = []
        self.at_work = False
        self.crashes = self.failures = self.hints = 0
        self.start()

    def start(self) -> None:
        self.bench.reopen()
        self.at_work = False
        self.ticker = Ticker(tuple(self.bench.parts.values()), self._cycle, POLL)

    def _cycle(self) -> None:
        assert not self.at_work, "two cycles at once"
        self.at_work = True
        self.cycles.append(self.bench.clock.at)
        self.bench.store.tidy(self.bench.clock.now(), KEPT)
        for part in self.bench.parts.values():
            try:
                while part.step() is None:
                    self._maybe(0.02, lambda: self.ticker.hint(self.rng.choice(("teamwork", "missive"))))
            except SyncjobError as error:
                self.failures += 1
                part.failed(error)
        self.at_work = False

    def tick(self) -> None:
        """Tick when that is due, or a hint comes; sometimes the power goes."""
        self._maybe(1 / 2000, self._arm)
        try:
            self.ticker.tick(self.bench.clock.now())
        except Crash:
            self.crashes += 1
            self.bench.fuse = Fuse()
            self.start()
        now = self.bench.clock.now()
        wait = max(0.0, (self.ticker.due(now) - now).total_seconds())
        self.bench.clock.at += min(wait, self.rng.expovariate(1 / 1800)) + self.rng.random()
        self._maybe(0.05, self._hint)
        self._maybe(0.02, lambda: self.rng.choice((edit_tasks, edit_mails))(self.bench.sandbox, self.rng))

    def _hint(self) -> None:
        self.hints += 1
        self.ticker.hint(self.rng.choice(("teamwork", "missive")))

    def _arm(self) -> None:
        self.bench.fuse.points, self.bench.fuse.blows_at = 0, self.rng.randint(1, 12)

    def _maybe(self, chance: float, do: object) -> None:
        if self.rng.random() < chance:
            do()  # type: ignore[operator]


@pytest.mark.proof
def test_a_month_of_ticks() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        month = Month(Path(folder), seed=30)
        began = month.bench.clock.at
        month.bench.sandbox.faults.seeded(month.rng, 0.01, TROUBLES)
        looks: list[tuple[int, int, int, int]] = []
        while (spent := month.bench.clock.at - began) < DAYS * 86_400:
            month.tick()
            if spent >= len(looks) * 5 * 86_400:
                looks.append(look(Path(folder)))
                del month.bench.sandbox.log[:]  # the sandbox's own memory is not ours
                files, memory, mirror, _ = looks[-1]
                print(f"day {spent / 86_400:4.0f}: cycles {len(month.cycles)}, files {files}, MB {memory}, mirror KB {mirror}", flush=True)
        gaps = [later - earlier for earlier, later in zip(month.cycles, month.cycles[1:], strict=False)]
        month.bench.sandbox.faults.clear()
        month.bench.clock.at += LONGEST_BACK_OFF.total_seconds()
        month.bench.settle(cycles=4)
        swept = [sweeps(Path(folder), stream) for stream in (TASKS, EMAILS)]
        assert month.bench.differences() == []
        print(f"cycles {len(month.cycles)}, gaps {min(gaps):.0f}..{max(gaps):.0f} s, failures {month.failures}, crashes {month.crashes}")
        print(f"hints {month.hints}, sweeps of the last {KEPT.days} days {swept}")
        assert max(gaps) <= POLL.total_seconds() + 601, "no cycle was forgotten"
        assert month.crashes
        assert month.failures
        assert min(swept) >= KEPT / SWEEP - 3, "swept on schedule to the end"
        assert looks[-1][0] <= looks[1][0], "open files"
        assert looks[-1][1] <= looks[1][1] * 1.1, "memory"
        assert looks[-1][2] <= looks[1][2] * 1.5, "the mirror's file"
        assert looks[-1][3] == 0, "the spool"
        month.bench.close()


def sweeps(folder: Path, stream: str) -> int:
    """How many sweeps are remembered."""
    with closing(sqlite3.connect(folder / "mirror.db")) as connection:
        query = "SELECT count(*) FROM walks WHERE stream = ? AND kind = 'sweep' AND complete"
        return int(connection.execute(query, [stream]).fetchone()[0])


def look(folder: Path) -> tuple[int, int, int, int]:
    """Open files, the most memory so far in MB, the mirror's size in KB, leaves in the spool."""
    assert (folder / "mirror.db-wal").stat().st_size < 9_000_000, "the mirror's log"
    mirror = (folder / "mirror.db").stat().st_size // 1024
    leaves = sum(1 for _ in folder.rglob("spool/*/*.leaf"))
    return len(list(Path("/proc/self/fd").iterdir())), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, mirror, leaves
