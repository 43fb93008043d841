"""When cycles run, on a clock that only moves when it is told to."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncjob.core.errors import Later, SyncjobError, Transient
from syncjob.core.model import TASKS
from syncjob.core.steps import LONGEST_BACK_OFF, Rhythm, back_off
from syncjob.sandbox import Fault, Kind
from syncjob.scheduler import Ticker
from tests.walks.bench import POLL, Bench

SECOND = timedelta(seconds=1)


class Ticking:
    """A ticker over a bench; notes the second of every cycle, and of every request by source."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder, tasks=3, conversations=1)
        self.bench.rhythm = Rhythm(POLL, hint=5 * SECOND)
        self.bench.open()
        self.began = self.bench.clock.at
        self.cycles: list[float] = []
        self.ticker = Ticker(tuple(self.bench.parts.values()), self._cycle, POLL)

    def _cycle(self) -> None:
        self.cycles.append(self.bench.clock.at - self.began)
        for part in self.bench.parts.values():
            try:
                while part.step() is None:
                    pass
            except SyncjobError as error:
                part.failed(error)

    def tick_for(self, seconds: int, *, every: int = 0) -> None:
        """A tick whenever the ticker asks for one, or every so many seconds."""
        end = self.bench.clock.at + seconds
        while self.bench.clock.at < end:
            self.ticker.tick(now := self.bench.clock.now())
            self.bench.clock.at = min(end, now.timestamp() + (every or (self.ticker.due(now) - now).total_seconds()))

    def polls(self, face: str) -> list[float]:
        """When a source was asked, by second."""
        return sorted({exchange.at - self.began for exchange in self.bench.sandbox.requests(face)})


@pytest.fixture
def ticking(tmp_path: Path) -> Ticking:
    return Ticking(tmp_path)


def test_a_cycle_runs_at_every_interval_however_often_it_ticks(ticking: Ticking) -> None:
    ticking.tick_for(130, every=1)
    assert ticking.cycles == [0, 60, 120]
    assert ticking.polls("teamwork") == ticking.polls("missive") == [0, 60, 120]


def test_missed_cycles_are_one_cycle(ticking: Ticking) -> None:
    ticking.tick_for(1)
    ticking.bench.clock.at += 1000
    ticking.tick_for(61)
    assert ticking.cycles == [0, 1001, 1061]


def test_a_source_that_fails_is_left_alone_longer_each_time_and_the_other_is_asked_on_time(ticking: Ticking) -> None:
    ticking.tick_for(1)
    ticking.bench.sandbox.faults.always(".*", Fault(Kind.ERROR_EMPTY), face="teamwork")
    ticking.tick_for(1200)
    assert ticking.polls("teamwork") == [0, 60, 120, 240, 480, 780, 1080]
    assert ticking.polls("missive") == [60.0 * number for number in range(21)]
    ticking.bench.sandbox.faults.clear()
    ticking.tick_for(400)
    assert ticking.polls("teamwork")[7:] == [1380, 1410, 1470, 1530, 1590], (
        "half an interval after a walk that was long open, then as usual"
    )


def test_the_time_that_a_source_names_is_kept(ticking: Ticking) -> None:
    ticking.tick_for(1)
    until = ticking.bench.clock.now() + timedelta(seconds=599)
    ticking.bench.parts["teamwork"].failed(Later("not now", until=until))
    ticking.tick_for(650)
    assert ticking.polls("teamwork") == [0, 600]


def test_a_hint_is_a_poll_and_many_are_one(ticking: Ticking) -> None:
    ticking.tick_for(20)
    for _ in range(100):
        ticking.ticker.hint("missive")
    ticking.tick_for(55)
    assert ticking.polls("missive") == [0, 20]
    assert ticking.polls("teamwork") == [0, 60]


def test_hints_come_no_closer_than_their_interval(ticking: Ticking) -> None:
    for _ in range(60):
        ticking.ticker.hint("teamwork")
        ticking.tick_for(1)
    assert ticking.polls("teamwork") == [5.0 * number for number in range(12)]


def test_a_hint_during_a_poll_means_one_more(ticking: Ticking) -> None:
    ticking.tick_for(20)
    ticking.ticker.hint("teamwork")
    once = [lambda request: ticking.ticker.hint("teamwork")]
    ticking.bench.sandbox.before_request.append(lambda request: once.pop()(request) if once else None)
    ticking.tick_for(39)
    assert ticking.polls("teamwork") == [0, 20, 25]


def test_a_hint_does_not_shorten_a_back_off_but_a_person_does(ticking: Ticking) -> None:
    ticking.tick_for(10)
    ticking.bench.parts["teamwork"].failed(Transient("down"))
    ticking.ticker.hint("teamwork")
    ticking.tick_for(20)
    assert ticking.polls("teamwork") == [0]
    ticking.ticker.poll_now()
    ticking.tick_for(1)
    assert ticking.polls("teamwork") == [0, 30]


def test_a_clock_that_is_set_back_delays_nothing(ticking: Ticking) -> None:
    ticking.tick_for(61)
    ticking.bench.parts["missive"].failed(Transient("down"))
    ticking.bench.clock.at -= 3600
    ticking.tick_for(61)
    assert ticking.cycles == [0, 60, 61 - 3600, 121 - 3600]
    assert ticking.polls("missive")[0] == 61 - 3600


def test_a_back_off_never_ends_before_the_next_interval_nor_grows_without_end() -> None:
    assert [back_off(failures, 60 * SECOND) // SECOND for failures in (1, 2, 3, 4, 10**6)] == [60, 120, 240, 300, 300]
    assert back_off(3, 2 * LONGEST_BACK_OFF) == 2 * LONGEST_BACK_OFF
    assert datetime.now(UTC) + back_off(10**9, SECOND)


def test_polls_that_take_longer_than_their_interval_leave_some_time_for_older_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=30, tick=70)
    bench.run("teamwork")
    assert bench.differences_of("task") == []
    assert [walk["kind"] for walk in bench.walks(TASKS) if walk["complete"]].count("full") == 1
    bench.close()
