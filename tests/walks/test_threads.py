"""Long message lists: what changed further down than their first page shows."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from unittest.mock import patch

import pytest

from syncjob.core.errors import SyncjobError
from syncjob.core.steps import Rhythm
from syncjob.sandbox import Fault, Request, Switches
from syncjob.sandbox.missive.world import MissiveWorld

from .bench import POLL, Bench

SWITCHES = Switches(missive_delete_lowers_count=False, missive_delete_bumps=True, missive_edit_bumps=True)
LENGTH = 25


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A conversation of three pages, and others that are looked at as often."""
    found = Bench(tmp_path, switches=SWITCHES)
    world = found.sandbox.world.missive
    key = world.add_conversation(messages=0)
    for _ in range(LENGTH):
        found.clock.at += 60
        world.add_message(key)
    for _ in range(3):
        world.add_conversation()
    found.run("missive")
    found.clock.at += 60
    return found


def thread(bench: Bench) -> str:
    return next(iter(bench.sandbox.world.missive.conversations))


def sweep(bench: Bench) -> None:
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    with patch("syncjob.sources.missive.in_turn", return_value=[]):  # which would come to it some time
        bench.cycle("missive")


def listed(bench: Bench, act: Callable[[], None]) -> int:
    """How often that asked for messages of the long conversation."""
    bench.sandbox.log.clear()
    act()
    return sum(f"{thread(bench)}/messages" in each.path for each in bench.sandbox.log)


def deep(bench: Bench) -> str:
    return bench.sandbox.world.missive.conversations[thread(bench)].message_ids[2]


def edit(world: MissiveWorld, key: str) -> None:
    world.edit_message(key, body="<p>another one</p>")


@pytest.mark.parametrize("change", [MissiveWorld.delete_message, edit])
@pytest.mark.parametrize("mail", [True, False])
def test_what_changed_further_down_is_found_by_the_next_sweep(
    bench: Bench, change: Callable[[MissiveWorld, str], None], mail: bool
) -> None:
    """Be it that a new mail explains why the conversation was active."""
    world = bench.sandbox.world.missive
    change(world, deep(bench))
    if mail:
        world.add_message(thread(bench))
    bench.cycle("missive")
    sweep(bench)
    assert bench.differences_of("email", "missive") == []


@pytest.mark.parametrize("happens", [MissiveWorld.add_comment, MissiveWorld.add_message])
def test_what_happens_in_a_long_conversation_costs_a_poll_one_request_and_the_next_sweep_the_whole_list(
    bench: Bench, happens: Callable[[MissiveWorld, str], str]
) -> None:
    world = bench.sandbox.world.missive
    for _ in range(2):
        bench.clock.at += 60
        happens(world, thread(bench))
        assert listed(bench, lambda: bench.cycle("missive")) == 1
    assert bench.differences_of("email", "missive") == []
    assert listed(bench, lambda: sweep(bench)) == 3
    assert listed(bench, lambda: sweep(bench)) == 0
    assert bench.differences_of("email", "missive") == []


def test_a_page_that_leaves_rows_out_has_the_next_one_asked_and_not_every_mail_of_a_conversation(bench: Bench) -> None:
    key = thread(bench)
    bench.sandbox.world.missive.add_comment(key)
    bench.sandbox.faults.at(1, Fault("rows missing"), path=f"{key}/messages")
    assert listed(bench, lambda: bench.cycle("missive")) == 2
    assert sum("/v1/messages/" in each.path for each in bench.sandbox.log) < 10
    assert bench.differences_of("email", "missive") == []


def test_a_late_mail_is_found_by_a_poll_though_one_that_went_is_still_counted(bench: Bench) -> None:
    """As many are known as there should be, but more are shown to be there than when they were listed last."""
    world, key = bench.sandbox.world.missive, thread(bench)
    world.switches = replace(world.switches, missive_delete_lowers_count=True, missive_delete_bumps=False)
    world.delete_message(gone := deep(bench))
    bench.sandbox.faults.always(f"/v1/messages/{gone}", Fault("500 html"))  # so that it stays a suspect
    with suppress(SyncjobError):
        sweep(bench)
    assert gone in bench.held("missive.emails")
    bench.clock.at += 60
    late = world.add_message(key, delivered_at=world.now() - 10**6)
    with suppress(SyncjobError):
        bench.cycle("missive")
    assert late in bench.held("missive.emails")


def test_each_page_that_is_empty_once_is_asked_for_again(bench: Bench) -> None:
    world, key = bench.sandbox.world.missive, thread(bench)
    for _ in range(LENGTH):
        world.add_message(key, delivered_at=world.now() - world.rng.randrange(10**6))
    for turn in (2, 4):
        bench.sandbox.faults.at(turn, Fault("empty list"), path=f"{key}/messages")
    bench.cycle("missive")
    assert bench.differences_of("email", "missive") == []


def test_a_mail_that_is_not_found_once_is_listed_again_with_the_count_of_its_marked_conversation(bench: Bench) -> None:
    world, key = bench.sandbox.world.missive, thread(bench)
    world.add_comment(key)
    bench.cycle("missive")
    mail = world.add_message(key)
    bench.sandbox.faults.at(1, Fault("404"), path=f"/v1/messages/{mail}")
    bench.sandbox.faults.at(2, Fault("empty list"), path=f"{key}/messages")
    bench.cycle("missive")
    assert mail in bench.held("missive.emails")
    assert listed(bench, lambda: sweep(bench)) == 0


@pytest.mark.parametrize("guest", [True, False])
def test_a_conversation_that_was_out_of_sight_is_listed_whole(bench: Bench, guest: bool) -> None:
    world, key = bench.sandbox.world.missive, thread(bench)
    world.revoke_access(key, guest=guest)
    sweep(bench)
    edit(world, deep(bench))
    bench.clock.at += 60
    world.grant_access(key)
    world.add_message(key)  # which would explain it
    bench.cycle("missive")
    assert bench.differences_of("email", "missive") == []


def test_a_short_list_is_doubted_though_its_count_comes_to_fit(bench: Bench) -> None:
    """Some mails were left out, then as many others are deleted: as many are known as there should be."""
    world = bench.sandbox.world.missive
    world.switches = replace(world.switches, missive_delete_lowers_count=True)
    key = world.add_conversation(messages=0)
    mails = [world.add_message(key, delivered_at=world.now() - LENGTH + number) for number in range(LENGTH)]
    bench.sandbox.faults.at(3, Fault("rows missing"), path=f"{key}/messages")
    bench.cycle("missive")
    missing = set(mails) - bench.held("missive.emails").keys()
    assert missing
    assert missing.isdisjoint(mails[-10:])
    for gone in mails[-len(missing) :]:
        world.delete_message(gone)
    sweep(bench)
    assert bench.differences_of("email", "missive") == []


def test_a_list_that_takes_longer_than_a_poll_and_failed_before_goes_on_where_it_is(bench: Bench) -> None:
    """What failed lets a poll that is due go first; if that began the list anew, it would never end."""
    world, key = bench.sandbox.world.missive, thread(bench)
    for _ in range(8 * LENGTH):
        world.add_message(key, delivered_at=world.now() - world.rng.randrange(10**7))
    bench.sandbox.faults.at(1, Fault("500 html"), path=f"{key}/messages", times=2)
    asked = count()

    def take_time(request: Request) -> None:
        bench.clock.at += 5
        assert next(asked) < 300, "it never ends"

    bench.sandbox.before_request.append(take_time)
    for _ in range(8):
        with suppress(SyncjobError):
            bench.cycle("missive")
    assert bench.differences_of("email", "missive") == []
