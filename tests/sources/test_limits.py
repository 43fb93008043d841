import json
import multiprocessing
import random
import stat
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from syncjob.core.errors import Unwritable
from syncjob.core.model import WalkKind
from syncjob.http.limits import SHARES, SLICE_SECONDS, WHOLE, Limiter, Window, parse_windows

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MISSIVE = parse_windows("300/60 900/900")
ROUNDING = 2e-6  # `datetime` has whole microseconds


class Clock:
    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> bool:
        self.seconds += seconds
        return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "file"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "limits" if request.param == "file" else None


def burst(limiter: Limiter, urgency: WalkKind) -> int:
    """How many requests may go at once."""
    return next(count for count in range(10_000) if limiter.reserve(urgency))


def fullest(times: Sequence[float], seconds: float) -> int:
    """The most requests in any so many seconds."""
    return max(end - bisect_left(times, time - seconds + ROUNDING) for end, time in enumerate(times, 1))


def test_a_setting_becomes_windows() -> None:
    assert parse_windows(" 300/60  900/900 ") == (Window(300, 60), Window(900, 900))


@pytest.mark.parametrize("text", ["", "300", "300/0", "0/60", "-3/60", "300/60,900/900", "300/1m", "1.5/60", "٣/60"])
def test_a_setting_that_is_none_says_how_one_looks(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not requests/seconds, such as 150/60, or several of them such as 300/60 900/900$"):
        parse_windows(text)


@pytest.mark.parametrize(("urgency", "count"), [("changes", 135), ("sweep", 63), ("full", 60)])
def test_changes_may_fill_their_share_at_once_but_long_walks_only_that_of_half_a_minute(
    clock: Clock, path: Path | None, urgency: WalkKind, count: int
) -> None:
    limiter = Limiter([Window(150, 60)], SHARES, clock, path)
    assert burst(limiter, urgency) == count
    assert limiter.reserve(urgency) == 60 if urgency == "changes" else SLICE_SECONDS


def test_a_share_of_a_small_window_is_at_least_one_request(clock: Clock) -> None:
    assert burst(Limiter([Window(1, 60)], SHARES, clock), "full") == 1


def test_a_slot_is_free_again_a_whole_window_after_its_request(clock: Clock, path: Path | None) -> None:
    limiter = Limiter([Window(2, 10)], WHOLE, clock, path)
    assert limiter.reserve("changes") == 0
    clock.seconds = 4
    assert limiter.reserve("changes") == 0
    assert limiter.reserve("changes") == 6
    clock.seconds = 9.999
    assert limiter.reserve("changes") == 0.001
    clock.seconds = 10
    assert limiter.reserve("changes") == 0
    assert limiter.reserve("changes") == 4


@pytest.mark.parametrize("urgency", ["sweep", "full"])
@pytest.mark.parametrize("windows", [MISSIVE, (Window(150, 60),), (Window(10, 1), Window(600, 3600))])
def test_a_long_walk_waits_half_a_minute_at_most_and_leaves_the_polls_their_part(
    clock: Clock, urgency: WalkKind, windows: tuple[Window, ...]
) -> None:
    limiter = Limiter(windows, SHARES, clock)
    sent, rng = 0, random.Random(1)
    for _ in range(2000):
        if wait := limiter.reserve(urgency):
            assert wait <= SLICE_SECONDS
            clock.wait(wait)
        else:
            sent += 1
        if rng.random() < 0.02:
            assert limiter.reserve("changes") == 0
    slowest = min(window.limit / window.seconds for window in windows)
    assert sent > 0.9 * clock.seconds * slowest * SHARES[urgency] - 100


@pytest.mark.parametrize("seed", range(20))
def test_a_whole_window_holds_where_the_requests_arrive_if_they_count_from_their_answers(clock: Clock, seed: int) -> None:
    rng = random.Random(seed)
    windows = [Window(rng.randint(1, 9), rng.choice([1, 2])) for _ in range(rng.randint(1, 2))]
    limiter, arrived = Limiter(windows, WHOLE, clock), list[float]()
    for _ in range(1000):
        while wait := limiter.reserve("changes"):
            clock.wait(wait)
        clock.wait(rng.choice([0.001, 0.02, rng.expovariate(2)]))
        arrived.append(clock.seconds)
        clock.wait(rng.choice([0.001, rng.expovariate(5)]))
        limiter.answered()
    for window in windows:
        assert fullest(arrived, window.seconds) <= window.limit, (seed, window)


def test_at_a_server_near_by_nearly_the_whole_window_is_used(clock: Clock) -> None:
    limiter = Limiter([Window(5, 1)], WHOLE, clock)
    for _ in range(1000):
        while wait := limiter.reserve("changes"):
            clock.wait(wait)
        clock.wait(0.02)
        limiter.answered()
    assert 1000 / clock.seconds > 0.95 * 5


@pytest.mark.parametrize("seed", range(20))
def test_no_window_is_ever_exceeded(clock: Clock, seed: int) -> None:
    rng = random.Random(seed)
    windows = [Window(rng.randint(1, 60), rng.choice([1, 7, 30, 31, 60, 300])) for _ in range(rng.randint(1, 3))]
    limiter = Limiter(windows, SHARES, clock)
    sent: dict[WalkKind, list[float]] = {"changes": [], "sweep": [], "full": []}
    for _ in range(1500):
        urgency = rng.choice(get_args(WalkKind))
        if wait := limiter.reserve(urgency):
            clock.wait(rng.choice([wait, wait / 2, rng.random()]))
        else:
            sent[urgency].append(clock.seconds)
            clock.wait(rng.choice([0, 0.01, rng.expovariate(0.3)]))
    for window in windows:
        for share, kinds in (
            (SHARES["changes"], ["changes", "sweep", "full"]),
            (SHARES["sweep"], ["sweep", "full"]),
            (SHARES["full"], ["full"]),
        ):
            times = sorted(time for kind in kinds for time in sent[kind])  # type: ignore[index]
            assert fullest(times, window.seconds) <= max(1, window.limit * share), (seed, window, share)


def test_not_before_holds_every_urgency_and_is_never_moved_forward(clock: Clock, path: Path | None) -> None:
    limiter = Limiter(MISSIVE, SHARES, clock, path)
    limiter.not_before(START + timedelta(seconds=500))
    limiter.not_before(START + timedelta(seconds=20))
    for urgency in get_args(WalkKind):
        assert limiter.reserve(urgency) == 500
    clock.seconds = 500
    assert limiter.reserve("full") == 0


def test_the_vendors_limit_replaces_the_default(clock: Clock, path: Path | None) -> None:
    limiter = Limiter([Window(150, 60)], WHOLE, clock, path, learns=True)
    limiter.learn(0)
    limiter.learn(3)
    assert burst(limiter, "changes") == 3
    limiter.learn(300)
    assert burst(limiter, "changes") == 297


def test_the_vendors_limit_does_not_replace_the_users(clock: Clock, path: Path | None) -> None:
    limiter = Limiter([Window(150, 60)], WHOLE, clock, path)
    limiter.learn(3)
    assert burst(limiter, "changes") == 150


def test_only_one_window_can_be_learned(clock: Clock) -> None:
    with pytest.raises(ValueError, match="single"):
        Limiter(MISSIVE, SHARES, clock, learns=True)


# --- the file ---


def test_two_limiters_on_one_file_are_one(clock: Clock, tmp_path: Path) -> None:
    first, second = (Limiter([Window(150, 60)], WHOLE, clock, tmp_path / "limits", learns=True) for _ in range(2))
    first.learn(10)
    assert [each.reserve("changes") for each in (first, second) * 5] == [0] * 10
    assert first.reserve("changes") == second.reserve("changes") == 60
    first.not_before(START + timedelta(seconds=90))
    assert second.reserve("changes") == 90
    assert stat.S_IMODE((tmp_path / "limits").stat().st_mode) == 0o600


def take(path: Path, wanted: int) -> int:
    """In a process of its own: ask so many times at one moment, and say how many may go."""
    limiter = Limiter([Window(100, 60)], WHOLE, Clock(), path)
    return sum(limiter.reserve("changes") == 0 for _ in range(wanted))


def test_processes_share_a_file(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(take, [(tmp_path / "limits", 80)] * 3)
    assert sum(taken) == 100


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 200,
        b"{",
        b"[]",
        b"7",
        b'{"at": 0}',
        b'{"at": "x", "not_before": 0, "learned": 0, "times": []}',
        b"\xff\n",
        b'{"at": Infinity, "not_before": 0, "learned": 0, "times": []}',
    ],
)
def test_a_damaged_file_is_mended_after_the_shortest_window(clock: Clock, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "limits").write_bytes(damage)
    limiter = Limiter(MISSIVE, SHARES, clock, tmp_path / "limits")
    assert limiter.reserve("changes") == 60
    clock.seconds = 60
    assert burst(limiter, "changes") == 270


def test_a_process_killed_while_writing_leaves_nothing_that_counts(clock: Clock, tmp_path: Path) -> None:
    limiter = Limiter([Window(5, 60)], WHOLE, clock, tmp_path / "limits")
    assert burst(limiter, "changes") == 5
    long = (tmp_path / "limits").read_bytes()
    clock.seconds = 70
    assert limiter.reserve("changes") == 0
    short = (tmp_path / "limits").read_bytes()
    (tmp_path / "limits").write_bytes(short + long[len(short) :])  # killed before the rest was cut off
    assert burst(limiter, "changes") == 4


def test_the_log_does_not_grow(clock: Clock, tmp_path: Path) -> None:
    limiter = Limiter([Window(5, 60)], WHOLE, clock, tmp_path / "limits")
    for _ in range(100):
        clock.wait(limiter.reserve("changes"))
    assert len(json.loads((tmp_path / "limits").read_bytes())["times"]) <= 5


@pytest.mark.parametrize("back", [1, 3600, 86_400 * 365])
def test_a_clock_set_back_keeps_waits_as_long_as_they_were(clock: Clock, path: Path | None, back: int) -> None:
    limiter = Limiter([Window(2, 60)], WHOLE, clock, path)
    assert burst(limiter, "changes") == 2
    limiter.not_before(START + timedelta(seconds=90))
    clock.seconds = -back
    assert limiter.reserve("changes") == 90
    clock.wait(90)
    assert burst(limiter, "changes") == 2


def test_a_folder_that_is_gone_is_said_plainly(clock: Clock, tmp_path: Path) -> None:
    with pytest.raises(Unwritable, match="cannot write") as caught:
        Limiter(MISSIVE, SHARES, clock, tmp_path / "gone" / "limits").reserve("changes")
    assert "mend its rights" in caught.value.hint
