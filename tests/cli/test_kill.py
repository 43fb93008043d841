"""`kill -9` at random moments: the next run goes on, nothing is lost, nothing is doubled, hardly anything is asked twice."""

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from .job import Job, Ran

POLL, IN_FLIGHT = 2, 1
KILLS = 4


def undisturbed(big: Callable[..., Job], folder: str) -> Ran:
    """What the same backfill costs when nobody disturbs it."""
    job = big(tasks=600, conversations=40)
    ran = job.once("--json", DB_BACKEND="sqlite", SYNCJOB_STATE_DIR=folder, SQLITE_PATH=f"{folder}/data.db")
    assert ran.exit == 0, ran.all
    return ran


def kill_once(job: Job, luck: random.Random, requests: int) -> None:
    """Start a run, and kill it some time after it has made a number of requests."""
    before = len(job.sandbox.log)
    with job.started("once") as process:
        deadline = time.monotonic() + 30
        while len(job.sandbox.log) < before + requests and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(luck.uniform(0, 0.08))
        process.kill()
        process.communicate()


def survive(big: Callable[..., Job], seed: int) -> None:
    luck = random.Random(seed)
    cost = undisturbed(big, "undisturbed").asked
    job = big(tasks=600, conversations=40)
    for _ in range(KILLS):
        kill_once(job, luck, luck.randrange(1, 25))

    ran = job.once("--json")

    assert ran.exit == 0, f"seed {seed}: {ran.all}"
    assert job.differences() == [], f"seed {seed}"
    assert not any(walk["error"] for stream in ran.document["streams"].values() for walk in stream["walks"]), f"seed {seed}"
    asked = Counter(exchange.face for exchange in job.sandbox.log)
    for source, requests in cost.items():
        extra = asked[source] - requests
        assert extra <= KILLS * (POLL + IN_FLIGHT), f"seed {seed}: {source} was asked {extra} times more than without {KILLS} kills"


@pytest.mark.parametrize("seed", range(3))
def test_a_backfill_killed_again_and_again_is_whole_at_the_end_and_asks_little_twice(big: Callable[..., Job], seed: int) -> None:
    survive(big, seed)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(100, 120))
def test_twenty_backfills_killed_again_and_again_are_whole_at_the_end(big: Callable[..., Job], seed: int) -> None:
    survive(big, seed)


@pytest.mark.parametrize("seed", range(2))
def test_a_delivery_killed_at_any_moment_is_taken_up_again_without_a_request(big: Callable[..., Job], seed: int) -> None:
    luck = random.Random(seed)
    job = big()
    assert job.once(DB_BACKEND="sqlite").exit == 0
    for _ in range(2):
        with job.started("once", "--destination", "postgres", "--source", "teamwork") as process:
            time.sleep(luck.uniform(0.3, 1.2))
            process.kill()
            process.communicate()

    ran = job.once("--json")

    assert ran.exit == 0, ran.all
    assert job.differences() == [], f"seed {seed}"
    assert max(ran.asked.values()) <= POLL
