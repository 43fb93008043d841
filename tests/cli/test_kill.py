"""`kill -9` at random moments: the next run goes on, nothing is lost, nothing is doubled, hardly anything is asked twice."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from syncjob.sandbox import Sandbox

from .job import Job

POLL, IN_FLIGHT = 2, 1
KILLS = 3
WORLD = {"seed": 1, "tasks": 600, "conversations": 30}


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, int]:
    """How many requests the same backfill makes when nobody disturbs it."""
    with Sandbox(**WORLD) as sandbox:
        ran = Job(tmp_path_factory.mktemp("undisturbed"), sandbox).once()
    assert ran.exit == 0, ran.all
    return ran.asked


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


def survive(job: Job, cost: Mapping[str, int], seed: int) -> None:
    luck = random.Random(seed)
    for _ in range(KILLS):
        kill_once(job, luck, luck.randrange(1, 18))

    ran = job.once("--json")

    assert ran.exit == 0, f"seed {seed}: {ran.all}"
    assert job.differences() == [], f"seed {seed}"
    assert not any(walk["error"] for stream in ran.document["streams"].values() for walk in stream["walks"]), f"seed {seed}"
    asked = Counter(exchange.face for exchange in job.sandbox.log)
    for source, requests in cost.items():
        extra = asked[source] - requests
        assert extra <= KILLS * (POLL + IN_FLIGHT), f"seed {seed}: {source} was asked {extra} times more than without {KILLS} kills"


@pytest.mark.parametrize("seed", [0])
def test_a_backfill_killed_again_and_again_is_whole_at_the_end_and_asks_little_twice(
    big: Callable[..., Job], cost: Mapping[str, int], seed: int
) -> None:
    survive(big(**WORLD), cost, seed)


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2, *range(100, 118)])
def test_twenty_backfills_killed_again_and_again_are_whole_at_the_end(big: Callable[..., Job], cost: Mapping[str, int], seed: int) -> None:
    survive(big(**WORLD), cost, seed)


def test_a_delivery_killed_at_any_moment_is_taken_up_again_without_a_request(big: Callable[..., Job]) -> None:
    luck = random.Random(5)
    job = big(conversations=20)
    assert job.once(DB_BACKEND="sqlite").exit == 0
    for _ in range(2):
        with job.started("once", "--destination", "postgres", "--source", "teamwork") as process:
            time.sleep(luck.uniform(0.3, 1.2))
            process.kill()
            process.communicate()

    ran = job.once("--json")

    assert ran.exit == 0, ran.all
    assert job.differences() == []
    assert max(ran.asked.values()) <= POLL + 1  # and the page at which a killed run's own poll was
