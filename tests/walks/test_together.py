"""Lists of messages are asked for one after the other and taken in together: as one by one, with fewer transactions."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from syncjob.core.errors import Later, SyncjobError, Transient
from syncjob.core.model import EMAILS, Answer, Call
from syncjob.core.steps import Ask, next_step
from syncjob.sources import missive
from syncjob.sources.missive import THREADS

from .bench import Bench, Crash, FusedStore

THIRD = 3


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """More conversations than are asked for together, each with messages that fit on a page."""
    found = Bench(tmp_path)
    for _ in range(THREADS + 4):
        found.clock.at += 60
        found.sandbox.world.missive.add_conversation(messages=2)
    yield found
    found.close()


def until_lists_are_due(bench: Bench) -> None:
    """Read the lists of conversations."""
    part, now = bench.parts["missive"], bench.clock.now()
    while not isinstance(next_step(now, part._standing(now), bench.rhythm), Ask):
        part.step()


def lists(bench: Bench) -> list[str]:
    """The conversations whose messages were asked for, in order."""
    return [each.path.split("/")[3] for each in bench.sandbox.requests("missive") if each.path.endswith("/messages")]


def left(bench: Bench) -> int:
    return len(list((bench.folder / "spool" / "missive").iterdir()))


def wants(bench: Bench) -> dict[str, int]:
    """The lists that are wanted, and how often each was tried."""
    with bench.store.read() as tx:
        (walk,) = tx.walks.open(EMAILS)
        found = tx.walks.wanted("missive", walk.id, {"thread": 100}, bench.clock.now() + timedelta(minutes=9))
    return {want.key: want.tries for want in found}


def at_third(bench: Bench, happens: Callable[[], None]) -> None:
    """Let something happen instead of the third request of the next step."""
    part, asked = bench.parts["missive"], [0]
    ask = part._ask

    def counted(call: Call, urgency: str) -> Answer:
        asked[0] += 1
        if asked[0] == THIRD:
            happens()
        return ask(call, urgency)  # type: ignore[arg-type]

    part._ask = counted


def failing(error: SyncjobError) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_ten_lists_are_taken_in_by_one_transaction(bench: Bench) -> None:
    until_lists_are_due(bench)
    commits, begin = [0], FusedStore.begin

    def counted(store: FusedStore) -> object:
        commits[0] += 1
        return begin(store)

    with patch.object(FusedStore, "begin", counted):
        bench.parts["missive"].step()
    assert (commits[0], len(lists(bench)), left(bench)) == (1, THREADS, 0)
    assert not wants(bench).keys() & set(lists(bench))


@pytest.mark.parametrize("threads", [1, THREADS])
def test_the_same_is_asked_and_kept_as_one_by_one(bench: Bench, threads: int) -> None:
    with patch.object(missive, "THREADS", threads):
        bench.run("missive")
    assert bench.differences_of("email") == []
    assert len(lists(bench)) == len(set(lists(bench)))
    assert len(bench.bodies_asked()) == len(set(bench.bodies_asked())) == len(bench.sandbox.truth.emails())


def test_where_one_fails_those_before_it_are_in_and_it_alone_waits(bench: Bench) -> None:
    until_lists_are_due(bench)
    keys = list(wants(bench))
    at_third(bench, failing(Transient("500")))
    bench.parts["missive"].step()
    assert lists(bench) == keys[: THIRD - 1]
    assert wants(bench) == {**dict.fromkeys(keys[THIRD:], 0), keys[THIRD - 1]: 1}
    assert left(bench) == 0
    with suppress(Transient):
        bench.run("missive")  # the others meanwhile
    assert list(wants(bench)) == [keys[THIRD - 1]]
    bench.cycle("missive")
    assert bench.differences_of("email") == []


def test_where_the_vendor_says_later_those_before_it_are_in_and_nothing_failed(bench: Bench) -> None:
    until_lists_are_due(bench)
    keys = list(wants(bench))
    at_third(bench, failing(Later("", until=bench.clock.now())))
    with pytest.raises(Later):
        bench.parts["missive"].step()
    assert wants(bench) == dict.fromkeys(keys[THIRD - 1 :], 0)
    assert left(bench) == 0


def test_a_stop_that_is_asked_for_meanwhile_takes_in_what_was_answered(bench: Bench) -> None:
    until_lists_are_due(bench)
    keys = list(wants(bench))
    at_third(bench, lambda: setattr(bench.clock, "wait", lambda _: True))
    bench.parts["missive"].step()
    assert lists(bench) == keys[:THIRD]
    assert wants(bench) == dict.fromkeys(keys[THIRD - 1 :], 0)
    assert left(bench) == 0


@pytest.mark.parametrize(("seconds", "lists_each"), [(0.0, THREADS), (0.4, 3), (1.0, 1), (20.0, 1)])
def test_slow_answers_are_not_waited_for(bench: Bench, seconds: float, lists_each: int) -> None:
    """What falls due meanwhile, such as a poll, does not wait for ten of them."""
    until_lists_are_due(bench)
    bench.tick = seconds
    bench.parts["missive"].step()
    assert len(lists(bench)) == lists_each
    assert left(bench) == 0


def test_one_that_breaks_its_reader_waits_alone(bench: Bench) -> None:
    until_lists_are_due(bench)
    keys, read = list(wants(bench)), missive.read_thread

    def broken(walk: object, call: Call, *rest: object) -> object:
        if keys[THIRD - 1] in call.path:
            raise ZeroDivisionError
        return read(walk, call, *rest)  # type: ignore[arg-type]

    with patch.object(missive, "read_thread", broken):
        bench.parts["missive"].step()
    assert lists(bench) == keys[:THREADS]
    assert wants(bench) == {**dict.fromkeys(keys[THREADS:], 0), keys[THIRD - 1]: 1}
    assert left(bench) == 0
    with suppress(SyncjobError):
        bench.run("missive")
    bench.cycle("missive")
    assert bench.differences_of("email") == []


def test_answers_that_a_crash_left_are_not_asked_for_again(bench: Bench) -> None:
    until_lists_are_due(bench)
    with patch("syncjob.cycle.absorb_together", side_effect=Crash), pytest.raises(Crash):
        bench.parts["missive"].step()
    assert left(bench) == THREADS
    bench.reopen()
    bench.run("missive")
    assert len(lists(bench)) == len(set(lists(bench)))
    assert bench.differences_of("email") == []
    assert left(bench) == 0


def test_an_outage_leaves_nothing_in_the_spool_that_would_fail_again(bench: Bench) -> None:
    until_lists_are_due(bench)
    part, ask = bench.parts["missive"], bench.parts["missive"]._ask
    part._ask = lambda call, urgency: replace(ask(call, urgency), body=b"<html>maintenance</html>")
    with pytest.raises(Transient):
        part.step()
    assert left(bench) == 0
    part._ask = ask
    bench.cycle("missive", wait=120)
    assert bench.differences_of("email") == []


def test_an_answer_that_says_nothing_and_that_a_crash_left_fails_no_run(bench: Bench) -> None:
    until_lists_are_due(bench)
    part, ask = bench.parts["missive"], bench.parts["missive"]._ask
    part._ask = lambda call, urgency: replace(ask(call, urgency), body=b"<html>maintenance</html>")
    with patch("syncjob.cycle.absorb_together", side_effect=Crash), pytest.raises(Crash):
        part.step()
    bench.reopen()
    bench.run("missive")
    assert bench.differences_of("email") == []


def test_large_answers_are_taken_in_one_by_one(bench: Bench) -> None:
    until_lists_are_due(bench)
    with patch("syncjob.cycle.TOGETHER_BYTES", 10):
        bench.parts["missive"].step()
    assert len(lists(bench)) == 1
