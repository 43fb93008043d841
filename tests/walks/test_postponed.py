"""A question that fails waits, is found within its batch, and is given up on at last; everything else goes on."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from syncjob.core.errors import Transient, Unreliable
from syncjob.core.model import CONVERSATIONS, EMAILS, TASKS, Answer, Call, Rejection, Walk, WalkKind, Want
from syncjob.core.questions import Failed, after_failure, together
from syncjob.postpone import Postponed
from syncjob.sandbox import Request, Switches
from syncjob.sandbox.faults import Fault
from syncjob.sources.missive import Missive
from syncjob.spool import Leaf

from .bench import Bench, FusedSpool

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
ONE = Want("body", EMAILS, "1")


def wanted(count: int, most: int | None = None) -> list[Want]:
    return [Want("body", EMAILS, str(number), most=most) for number in range(count)]


def test_a_batch_is_asked_again_in_halves_at_once() -> None:
    failed = after_failure(wanted(10), NOON, proven=True, dead=False)
    assert failed == Failed(tuple(replace(want, not_before=NOON) for want in wanted(10, most=5)))
    assert [want.key for want in together(failed.again, 10)] == ["0", "1", "2", "3", "4"]
    assert [len(together(wanted(3, most), 10)) for most in (None, 2, 1)] == [3, 2, 1]
    assert together([*wanted(2), *wanted(3, most=2)], 10) == wanted(2)
    assert together([], 10) == []


@pytest.mark.parametrize(
    ("tries", "proven", "dead", "minutes"),
    [(0, True, False, 1), (1, True, False, 2), (2, True, False, None), (2, False, False, 4), (99, False, False, 4), (0, False, True, None)],
)
def test_a_single_question_waits_longer_until_it_is_given_up_on(tries: int, proven: bool, dead: bool, minutes: int | None) -> None:
    want = replace(ONE, tries=tries)
    again = () if minutes is None else (replace(want, tries=tries + 1, not_before=NOON + timedelta(minutes=minutes)),)
    assert after_failure([want], NOON, proven=proven, dead=dead) == Failed(again, () if again else (want,))


@pytest.fixture
def bench(tmp_path: Path):
    bench = Bench(tmp_path, conversations=8)
    yield bench
    bench.close()


def cycle(bench: Bench, *, wait: float = 61) -> str:
    """A cycle of Missive, and what went wrong in it."""
    try:
        bench.cycle("missive", wait=wait)
    except Transient as error:
        return error.message
    return ""


def dead(bench: Bench) -> list[tuple[str, str]]:
    with sqlite3.connect(bench.folder / "mirror.db") as connection:
        return connection.execute("SELECT kind, key FROM dead_letters").fetchall()


def checkpoint(bench: Bench) -> datetime:
    with bench.store.read() as tx:
        return tx.walks.stream(EMAILS)["checkpoint"]


def busy(bench: Bench, key: str) -> None:
    """Something else happens, so that there is another question to answer."""
    bench.sandbox.world.missive.add_message(key)


def poisoned(bench: Bench) -> tuple[str, str]:
    """A conversation whose messages can never be listed, and a healthy one."""
    first, second, *_ = sorted({email["thread_id"] for email in bench.sandbox.truth.emails().values()})
    bench.sandbox.faults.always(f"/conversations/{first}/messages", Fault("500 html"))
    return first, second


def messages_of(bench: Bench, key: str) -> int:
    return len(bench.sandbox.world.missive.messages_of(bench.sandbox.world.missive.conversations[key]))


def test_a_conversation_that_always_fails_blocks_nobody_in_a_backfill(bench: Bench) -> None:
    poison, _ = poisoned(bench)
    assert "500" in cycle(bench)
    lacking = bench.differences_of("email")
    assert len(lacking) == messages_of(bench, poison)
    for _ in range(3):
        assert dead(bench) == []  # nothing else was asked meanwhile: it may as well be an outage
        cycle(bench)  # at the third try another conversation is asked for, and answered
    assert dead(bench) == [("thread", poison)]
    assert bench.walks(EMAILS)[0]["complete"]


def test_it_is_given_up_on_when_others_are_answered_and_comes_back_when_it_is_mended(bench: Bench) -> None:
    poison, healthy = poisoned(bench)
    cycle(bench)
    for _ in range(8):
        busy(bench, healthy)
        cycle(bench)
        assert len(bench.differences_of("email")) == messages_of(bench, poison)  # the healthy one is up to date all the time
    assert dead(bench) == [("thread", poison)]
    assert cycle(bench) == ""
    backfill = bench.walks(EMAILS)[0]
    assert backfill["complete"]

    bench.sandbox.faults.clear()
    bench.parts["missive"]._rhythm = replace(bench.rhythm, full_asked=True)
    assert cycle(bench) == ""
    assert bench.differences_of("email") == []
    assert dead(bench) == []


def test_a_changes_walk_that_waits_keeps_its_checkpoint_but_lets_newer_changes_in(bench: Bench) -> None:
    bench.run("missive")
    poison, healthy = poisoned(bench)
    before = checkpoint(bench)
    busy(bench, poison)
    assert "500" in cycle(bench)
    for number in range(8):
        busy(bench, healthy)
        cycle(bench)
        assert len(bench.differences_of("email")) == 1
        assert dead(bench) or checkpoint(bench) == before + timedelta(0) or number == 0
        for walk in bench.walks(EMAILS):
            assert not walk["finished_at"] or walk["fetched"] == sum(walk["verdicts"].values())
    assert dead(bench) == [("thread", poison)]
    assert checkpoint(bench) > before

    asked = bench.requests("missive")
    assert cycle(bench) == ""
    assert bench.requests("missive") == asked + 2  # what was given up on is on the page, and left alone
    bench.sandbox.faults.clear()
    assert cycle(bench) == ""
    assert len(bench.differences_of("email")) == 1
    busy(bench, poison)
    assert cycle(bench) == ""
    assert bench.differences_of("email") == []  # healed by itself, since the conversation changed
    assert dead(bench) == []


def test_a_mail_that_is_proven_to_be_gone_goes_though_its_conversation_changes_before_the_walk_ends(bench: Bench) -> None:
    bench.run("missive")
    poison, _ = poisoned(bench)
    busy(bench, poison)
    world = bench.sandbox.world.missive
    gone, email = next((key, email) for key, email in sorted(bench.sandbox.truth.emails().items()) if email["thread_id"] != poison)
    world.delete_message(gone)
    busy(bench, email["thread_id"])
    assert "500" in cycle(bench)
    world.label(email["thread_id"], world.add_label("urgent"))
    assert "500" in cycle(bench)
    bench.sandbox.faults.clear()
    assert cycle(bench, wait=300) == ""
    assert bench.differences_of("email") == []


@pytest.mark.parametrize("asked", ["sweep_asked", "full_asked"])
def test_the_checkpoint_waits_for_a_question_that_passes_to_another_walk(bench: Bench, asked: str) -> None:
    bench.run("missive")
    poison, _ = poisoned(bench)
    before = checkpoint(bench)
    busy(bench, poison)
    bench.parts["missive"]._rhythm = replace(bench.rhythm, **{asked: True})
    assert "500" in cycle(bench)
    cycle(bench, wait=0)  # the other walk lists what the poll could not read, and asks for it anew
    assert len(bench.differences_of("email")) == 1
    assert checkpoint(bench) == before
    bench.sandbox.faults.clear()
    assert cycle(bench, wait=300) == ""
    assert bench.differences_of("email") == []
    assert checkpoint(bench) > before
    assert not [walk for walk in bench.walks(EMAILS) if not walk["finished_at"]]


def test_polls_that_take_longer_than_their_interval_come_to_what_failed_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tick=3)
    world = bench.sandbox.world.missive
    world.add_conversation()
    bench.run("missive")
    for _ in range(30):
        bench.clock.at += 1
        world.add_conversation()
    poison = next(iter(world.conversations))
    busy(bench, poison)
    bench.sandbox.faults.at(1, Fault("500 html"), path=f"{poison}/messages")
    with patch("syncjob.sources.missive.LIST_LIMIT", 2):
        cycle(bench)
        cycle(bench)
    assert bench.differences_of("email") == []
    bench.close()


def test_one_poisoned_mail_is_found_in_its_batch_while_the_others_come_in(bench: Bench) -> None:
    key = sorted(bench.sandbox.truth.emails())[4]
    bench.sandbox.faults.always(f"/messages/.*{key}", Fault("truncated json"))
    for _ in range(4):
        cycle(bench)
        assert bench.differences_of("email") == [f"email {key} is missing"]
    assert dead(bench) == [("body", key)]
    (walk,) = (walk for walk in bench.walks(EMAILS) if walk["verdicts"] and walk["verdicts"].get("rejected"))
    assert walk["fetched"] == sum(walk["verdicts"].values())


def test_an_outage_of_a_whole_route_buries_nothing(bench: Bench) -> None:
    bench.sandbox.faults.always("/messages", Fault("503 empty"))
    for _ in range(12):
        assert "503" in cycle(bench, wait=250)
    assert dead(bench) == []
    bench.sandbox.faults.clear()
    for _ in range(4):
        cycle(bench, wait=250)
    assert bench.differences_of("email") == []


def test_questions_that_wait_outlive_a_restart(bench: Bench) -> None:
    poison, healthy = poisoned(bench)
    cycle(bench)
    for _ in range(9):
        bench.reopen()
        busy(bench, healthy)
        cycle(bench)
    assert dead(bench) == [("thread", poison)]
    bench.sandbox.faults.clear()
    bench.rhythm = replace(bench.rhythm, full_asked=True)
    bench.reopen()
    assert cycle(bench) == ""
    assert bench.differences_of("email") == []


def test_a_question_that_was_postponed_by_a_clock_that_was_ahead_is_asked_when_the_clock_is_right(bench: Bench) -> None:
    bench.clock.at += 2 * 86_400
    with bench.store.begin() as tx:
        later = bench.clock.now() + timedelta(minutes=4)
        tx.walks.want("missive", [Want("thread", CONVERSATIONS, "x", {"version": "1/1", "count": 1, "seen": []}, not_before=later)])
    with bench.store.read() as tx:
        assert tx.walks.wanted("missive", None, {"thread": 1}, bench.clock.now()) == []
        assert [want.key for want in tx.walks.wanted("missive", None, {"thread": 1}, bench.clock.now() - timedelta(days=2))] == ["x"]


def test_a_refused_conversation_does_not_hold_a_quiet_account_for_ever(bench: Bench) -> None:
    cycle(bench)
    key = min(email["thread_id"] for email in bench.sandbox.truth.emails().values())
    bench.sandbox.world.missive.add_message(key)
    bench.sandbox.faults.always(f"{key}/messages", Fault("403"))
    told = [cycle(bench, wait=600) for _ in range(5)]
    assert [bool(each) for each in told] == [True, True, False, False, False]
    assert dead(bench) == [("thread", key)]
    assert checkpoint(bench) >= bench.clock.now() - timedelta(minutes=1)


def test_a_mail_that_was_listed_is_not_forgotten_when_its_conversation_is_not_found_for_a_moment(bench: Bench) -> None:
    bench.run("missive")
    bench.sandbox.world.missive.add_conversation(2)
    bench.sandbox.faults.at(1, Fault("404"), path="/v1/messages/", times=2)  # both mails, then the first one
    bench.sandbox.faults.at(2, Fault("404"), path="/messages$")  # the list again, which is asked whether it is still there
    assert cycle(bench) == ""
    assert bench.differences_of("email") == []


def test_a_message_list_that_is_never_found_is_given_up_on_though_its_conversation_is_there(bench: Bench) -> None:
    bench.run("missive")
    key = bench.sandbox.world.missive.add_conversation(2)
    bench.sandbox.faults.always(f"{key}/messages", Fault("404"))
    told = [cycle(bench, wait=600) for _ in range(4)]
    assert [bool(each) for each in told] == [True, True, False, False]
    assert dead(bench) == [("thread", key)]
    bench.sandbox.faults.clear()
    busy(bench, key)
    assert cycle(bench) == ""
    assert bench.differences_of("email") == []


def test_one_whose_list_was_given_up_on_is_not_taken_for_met_when_it_goes(bench: Bench) -> None:
    bench.run("missive")
    world = bench.sandbox.world.missive
    key = min(email["thread_id"] for email in bench.sandbox.truth.emails().values())
    world.add_message(key)
    bench.sandbox.faults.always(f"{key}/messages", Fault("404"))
    for _ in range(4):
        cycle(bench, wait=600)
    assert dead(bench) == [("thread", key)]
    bench.sandbox.faults.clear()
    world.delete_conversation(key)
    sweep(bench)
    assert bench.differences_of("email") == []


def test_one_that_is_lost_waits_while_nobody_can_tell_whether_it_is_gone(bench: Bench) -> None:
    """No poll meets it any more, and its suspicion rests: then nothing can be asked."""
    bench.run("missive")
    world = bench.sandbox.world.missive
    key = min(email["thread_id"] for email in bench.sandbox.truth.emails().values())
    world.add_message(key)

    def delete(request: Request) -> None:
        if f"{key}/messages" in request.path and key in world.conversations:
            world.delete_conversation(key)

    bench.sandbox.before_request.append(delete)
    bench.sandbox.faults.always("/conversations/[^/]*$", Fault("404"))
    for _ in range(5):
        with suppress(Unreliable):
            cycle(bench)
    assert len(bench.sandbox.requests("missive")) < 120
    bench.sandbox.faults.clear()
    for _ in range(4):
        cycle(bench, wait=301)
    assert bench.differences_of("email") == []


def test_an_answer_to_a_walk_that_was_taken_over_meanwhile_is_not_read_when_a_power_cut_brings_it_back(bench: Bench) -> None:
    bench.run("missive")
    key = min(email["thread_id"] for email in bench.sandbox.truth.emails().values())
    bench.sandbox.world.missive.add_message(key)
    bench.sandbox.faults.always(f"{key}/messages", Fault("404"))
    dropped = {}
    drop = FusedSpool.drop

    def kept(spool: FusedSpool, leaf: Leaf) -> None:
        dropped[leaf.path] = leaf.path.read_bytes()
        drop(spool, leaf)

    with patch.object(FusedSpool, "drop", kept):
        assert cycle(bench)
    path, content = dropped.popitem()
    bench.clock.at += 61
    while not bench.parts["missive"].rest(bench.clock.now()) and len(bench.walks(EMAILS)) == 2:
        bench.parts["missive"].step()
    path.write_bytes(content)
    bench.reopen()
    bench.parts["missive"].step()
    assert not path.exists()
    with sqlite3.connect(bench.folder / "mirror.db") as connection:
        waits_for = connection.execute("SELECT DISTINCT walk FROM wants").fetchall()
    connection.close()
    assert waits_for == [(3,)]


def test_a_list_that_was_lost_while_only_guests_saw_its_conversation_is_read_when_that_is_over(bench: Bench) -> None:
    bench.run("missive")
    world = bench.sandbox.world.missive
    key = world.add_conversation(2)
    bench.sandbox.before_request.append(lambda request: "/v1/messages/" in request.path and world.revoke_access(key, guest=True))
    cycle(bench)
    bench.sandbox.before_request.clear()
    world.grant_access(key)
    sweep(bench)
    assert bench.differences_of("email") == []


def sweep(bench: Bench) -> None:
    """Long after the last changes. What a sweep lists anyway would find these, some time."""
    bench.rhythm = replace(bench.rhythm, sweep_asked=True)
    bench.reopen()
    with patch("syncjob.sources.missive.in_turn", return_value=[]):
        assert cycle(bench, wait=6000) == ""


def test_a_new_mail_that_only_its_list_shows_is_given_up_on_until_the_next_sweep(bench: Bench) -> None:
    cycle(bench)
    thread = min(email["thread_id"] for email in bench.sandbox.truth.emails().values())
    new = bench.sandbox.world.missive.add_message(thread)
    bench.sandbox.faults.always(f"/messages/{new}", Fault("404"))
    told = [cycle(bench, wait=600) for _ in range(5)]
    assert [bool(each) for each in told] == [True, True, False, False, False]
    assert dead(bench) == [("body", new)]
    bench.sandbox.faults.clear()
    bench.rhythm = replace(bench.rhythm, sweep_asked=True)
    bench.reopen()
    assert cycle(bench) == ""
    assert bench.differences_of("email") == []


def never_answered(bench: Bench, name: str, what: Callable[[Call], bool]) -> list[Call]:
    """Such questions to a source fail from here on; the calls that it is asked."""
    part, asked = bench.parts[name], list[Call]()
    ask = part._ask

    def answer(call: Call, urgency: WalkKind) -> Answer:
        asked.append(call)
        if what(call):
            raise Transient("500")
        return ask(call, urgency)

    part._ask = part._postponed._ask = answer
    return asked


def test_a_sweep_of_a_quiet_account_finds_what_is_gone_though_one_conversation_always_fails(bench: Bench) -> None:
    bench.run("missive")
    poison, healthy = poisoned(bench)
    busy(bench, poison)
    bench.sandbox.world.missive.delete_conversation(healthy)
    bench.parts["missive"]._rhythm = replace(bench.rhythm, sweep_asked=True)
    for _ in range(8):
        cycle(bench)
    assert dead(bench) == [("thread", poison)]
    assert len(bench.differences_of("email")) == 1, "the new mail of the one that fails, while those of the other are deleted"
    assert cycle(bench) == ""


@pytest.mark.parametrize("kind", ["thread", "body"])
def test_in_an_outage_few_witnesses_are_asked_and_nothing_is_given_up_on(bench: Bench, kind: str) -> None:
    asked = never_answered(bench, "missive", lambda call: call.name.startswith(("thread", "bod") if kind == "thread" else "bod"))
    for _ in range(40):
        assert "500" in cycle(bench, wait=250)
    assert dead(bench) == []
    assert sum(call.name != "list" for call in asked) < 40 * 12
    bench.reopen()
    for _ in range(3):
        cycle(bench, wait=300)
    assert bench.differences_of("email") == []


def test_a_sweep_ends_though_the_one_task_that_it_asks_for_always_fails(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=30, switches=Switches(teamwork_tag_bumps=False))
    bench.run("teamwork")
    key = min(bench.held(TASKS))
    world = bench.sandbox.world.teamwork
    world.tag_task(int(key), world.add_tag("urgent"))
    asked = never_answered(bench, "teamwork", lambda call: call.name == "fetch" and key in call.about["keys"])
    bench.parts["teamwork"]._rhythm = replace(bench.rhythm, sweep_asked=True)
    for _ in range(8):
        with suppress(Transient):
            bench.cycle("teamwork")
    assert dead(bench) == [("fetch", key)]
    assert [walk["complete"] for walk in bench.walks(TASKS) if walk["kind"] == "sweep"] == [True]
    assert sum(call.name == "fetch" for call in asked) < 9
    bench.close()


def gone_in(bench: Bench, what: str) -> list[str]:
    """Remove two tasks or conversations, of which no list tells; their keys."""
    if what == "task":
        keys = sorted(bench.held(TASKS))[-2:]
        for key in keys:
            bench.sandbox.world.teamwork.purge_task(int(key))
    else:
        keys = sorted({email["thread_id"] for email in bench.sandbox.truth.emails().values()})[-2:]
        for key in keys:
            bench.sandbox.world.missive.delete_conversation(key)
    return keys


def swept(bench: Bench, name: str, *, cycles: int = 12) -> list[bool]:
    """Sweep, and go on while it waits; whether the sweeps were complete."""
    bench.parts[name]._rhythm = replace(bench.rhythm, sweep_asked=True)
    for _ in range(cycles):
        with suppress(Transient):
            bench.cycle(name)
    return [walk["complete"] for walk in bench.walks(TASKS if name == "teamwork" else EMAILS) if walk["kind"] == "sweep"]


@pytest.mark.parametrize(("name", "what"), [("teamwork", "task"), ("missive", "email")])
def test_a_suspect_for_which_the_source_only_has_errors_keeps_no_other_one_from_going(tmp_path: Path, name: str, what: str) -> None:
    bench = Bench(tmp_path, tasks=30, conversations=30)
    bench.run()
    poison, gone = gone_in(bench, what)
    never_answered(bench, name, lambda call: call.name == "proof" and poison in call.path)
    assert swept(bench, name) == [True]
    assert dead(bench) == [("opened", poison)]
    left = bench.differences_of(what)
    assert left
    assert not any(gone in line for line in left)
    bench.reopen()  # with a source that is well again
    assert swept(bench, name, cycles=2) == [True, True]
    assert bench.differences_of(what) == []
    assert dead(bench) == []
    bench.close()


@pytest.mark.parametrize(("name", "what"), [("teamwork", "task"), ("missive", "email")])
def test_a_control_for_which_the_source_only_has_errors_gives_way_to_another_one(tmp_path: Path, name: str, what: str) -> None:
    bench = Bench(tmp_path, tasks=30, conversations=30)
    bench.run()
    gone_in(bench, what)
    controls = list[str]()

    def is_first(call: Call) -> bool:
        if call.name == "proof" and (control := call.about["control"]):
            controls.append(control)
            return bool(control == controls[0])
        return False

    never_answered(bench, name, is_first)
    assert swept(bench, name) == [True]
    assert len(set(controls)) == 2
    assert bench.differences_of(what) == []
    bench.close()


@pytest.mark.parametrize(("name", "what"), [("teamwork", "task"), ("missive", "email")])
def test_where_all_is_gone_one_for_which_the_source_only_has_errors_keeps_no_sweep_from_ending(
    tmp_path: Path, name: str, what: str
) -> None:
    bench = Bench(tmp_path)
    for _ in range(2):
        bench.sandbox.world.teamwork.add_task("one")
        bench.sandbox.world.missive.add_conversation(2)
        bench.clock.at += 60
    bench.run()
    poison, gone = gone_in(bench, what)
    never_answered(bench, name, lambda call: call.name == "proof" and poison in call.path)
    assert swept(bench, name) == [True]
    assert poison in {key for _, key in dead(bench)}
    with bench.store.read() as tx:
        assert {each.key for each in tx.walks.held((TASKS, CONVERSATIONS))} == {gone}  # nothing was left to compare it with
    bench.close()


def test_a_batch_with_some_that_failed_often_is_halved_all_the_same(bench: Bench) -> None:
    bench.run("missive")
    emails, now = bench.held(EMAILS), bench.clock.now()
    with bench.store.begin() as tx:
        walk = tx.walks.begin(Walk(0, EMAILS, "sweep", None, None, {}, now, 1, listed=True), live=len(emails))
        tx.walks.sight(walk.id, {(EMAILS, key): "unchanged" for key in emails})
    about = {"conversation": "c", "relisted": False}
    wants = [Want("body", EMAILS, key, about, walk.id, tries=3) for key in sorted(emails)[:4]]
    Postponed(Missive(), bench.parts["missive"]._ask, bench.store).failed(wants, walk, Transient("500"), now)
    with bench.store.read() as tx:
        waiting = tx.walks.wanted("missive", walk.id, {"body": 10}, now)
    assert waiting == [replace(want, most=2, not_before=now) for want in wants]


def wanted_by(bench: Bench) -> int:
    with sqlite3.connect(bench.folder / "mirror.db") as connection:
        return int(connection.execute("SELECT count(*) FROM wants").fetchone()[0])


@pytest.mark.parametrize(("name", "what"), [("teamwork", "task"), ("missive", "email")])
def test_a_long_outage_of_single_records_asks_for_no_more_of_them_and_ends_in_the_truth(tmp_path: Path, name: str, what: str) -> None:
    bench = Bench(tmp_path, tasks=40, conversations=40)
    bench.run()
    gone_in(bench, what)
    asked = never_answered(bench, name, lambda call: call.name == "proof" and not call.about["control"])
    assert swept(bench, name, cycles=40) == [False]
    assert wanted_by(bench) <= 2
    assert sum(call.name == "proof" for call in asked) < 60
    assert dead(bench) == []
    bench.reopen()
    assert swept(bench, name, cycles=5)[0]
    assert bench.differences_of(what) == []
    bench.close()


def test_nothing_is_believed_of_what_a_witness_is_answered(tmp_path: Path) -> None:
    """One that another list leaves out must not become a suspect by that."""
    bench = Bench(tmp_path, tasks=40, switches=Switches(teamwork_hide_deleted=False))
    bench.run("teamwork")
    poison, gone = gone_in(bench, "task")
    live = bench.held(TASKS).keys() - {poison, gone}
    asked = never_answered(bench, "teamwork", lambda call: call.name == "proof" and poison in call.path)
    assert swept(bench, "teamwork") == [True]
    assert dead(bench) == [("opened", poison)]
    assert any(call.name == "proof" and not call.about["control"] and call.about["wants"][0][0] in live for call in asked), "the witness"
    assert all("missed" not in walk["position"] for walk in bench.walks(TASKS))
    bench.close()


@pytest.mark.parametrize(("name", "what"), [("teamwork", "task"), ("missive", "email")])
def test_the_letter_of_a_suspect_goes_when_it_is_shown_again(tmp_path: Path, name: str, what: str) -> None:
    bench = Bench(tmp_path, tasks=20, conversations=20)
    bench.run()
    stream, key = (TASKS, min(bench.held(TASKS))) if what == "task" else (CONVERSATIONS, min(bench.sandbox.world.missive.conversations))
    want = Want("opened", stream, key)
    with bench.store.begin() as tx:
        tx.letters.bury(name, [Rejection(stream, key, "500", "", want)], walk=None, now=bench.clock.now())
    assert swept(bench, name, cycles=2) == [True]
    assert dead(bench) == []
    bench.close()
