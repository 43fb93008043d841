"""Any number of records with one timestamp: all of them, once; and where the API cannot show them, that is said."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from syncjob.core.errors import Transient, Unreliable
from syncjob.core.model import CONVERSATIONS, EMAILS, TASKS, Answer, Call, WalkKind
from syncjob.core.steps import Rhythm
from syncjob.sandbox import Fault, Kind, Request, Switches
from syncjob.sandbox.faults import Rule
from syncjob.sources.keyset import MOST_PASSES
from syncjob.sources.teamwork import GLIMPSE_SIZE, PAGE_SIZE

from .bench import POLL, TUESDAY, Bench

COUNTS = (49, 50, 51, 120, 600, 1200)
LONG_AGO = int(TUESDAY) - 90 * 86_400


@pytest.mark.parametrize(
    ("count", "at"), [(count, LONG_AGO) for count in (*COUNTS, 250, 251, 500)] + [(count, None) for count in (51, 600)]
)
def test_ties_of_tasks_are_read_among_others(tmp_path: Path, count: int, at: int | None) -> None:
    bench = Bench(tmp_path, tasks=60)
    bench.sandbox.world.make_ties("teamwork.tasks", count, at=at)
    bench.run("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("count", COUNTS)
def test_ties_of_tasks_are_read_as_the_whole_world(tmp_path: Path, count: int) -> None:
    bench = Bench(tmp_path)
    bench.sandbox.world.make_ties("teamwork.tasks", count)
    bench.run("teamwork")
    assert bench.differences_of("task") == []
    assert bench.seq() == count  # none twice
    bench.close()


@pytest.mark.parametrize("count", [250, 251, 600])
@pytest.mark.parametrize(
    "switches", [Switches(teamwork_updated_after="exclusive"), Switches(teamwork_tie_order="shuffled"), Switches(teamwork_meta=False)]
)
def test_ties_of_tasks_are_read_however_the_server_pages(tmp_path: Path, count: int, switches: Switches) -> None:
    bench = Bench(tmp_path, tasks=40, switches=switches)
    bench.sandbox.world.make_ties("teamwork.tasks", count, at=LONG_AGO)
    bench.run("teamwork")
    bench.settle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("count", [600, 1200])
def test_ties_of_tasks_that_appear_later_are_read_by_a_changes_walk(tmp_path: Path, count: int) -> None:
    bench = Bench(tmp_path, tasks=40)
    bench.run("teamwork")
    bench.sandbox.world.make_ties("teamwork.tasks", count)
    bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


SMALL = [(49, 0), (50, 12), (51, 0), (120, 12)]
LARGE = [pytest.param(count, others, marks=pytest.mark.proof) for count in (50, 600, 1200) for others in (0, 12)]


@pytest.mark.parametrize(("count", "others"), SMALL + LARGE)
def test_ties_of_conversations_are_read(tmp_path: Path, count: int, others: int) -> None:
    bench = Bench(tmp_path, conversations=others)
    bench.sandbox.world.make_ties("missive.conversations", count, at=LONG_AGO if others else None)
    bench.run("missive")
    assert bench.differences_of("email", "attachment") == []
    assert bench.seq() == len(bench.sandbox.truth.emails())  # none twice
    assert all(walk["complete"] and not walk["unread"] for walk in bench.walks(EMAILS))
    bench.close()


@pytest.mark.parametrize("count", [600, 1200])
@pytest.mark.parametrize("others", [0, 12])
def test_many_ties_of_conversations_are_all_listed_once(tmp_path: Path, count: int, others: int) -> None:
    bench = Bench(tmp_path, conversations=others)
    ties = bench.sandbox.world.make_ties("missive.conversations", count, at=LONG_AGO if others else None)
    part = bench.parts["missive"]
    while not any(walk["listed"] for walk in bench.walks(EMAILS)):
        part.step()
    with bench.store.read() as tx:
        asked = [want.key for want in tx.walks.wanted("missive", 1, {"thread": 10**6}, bench.clock.now())]
        assert tx.mirror.rows(CONVERSATIONS, ties).keys() == set(ties) <= set(asked)
    assert len(asked) == len(set(asked))
    bench.close()


@pytest.mark.parametrize("count", [9, 10, 11, 25])
@pytest.mark.parametrize("others", [0, 7])
def test_ties_of_messages_in_one_thread_are_read(tmp_path: Path, count: int, others: int) -> None:
    bench = Bench(tmp_path)
    world = bench.sandbox.world.missive
    conversation = world.add_conversation(messages=0)
    for number in range(others):
        world.add_message(conversation, delivered_at=int(TUESDAY) - 60 + 20 * number)
    for _ in range(count):
        world.add_message(conversation, delivered_at=int(TUESDAY) - 10)
    bench.run("missive")
    assert bench.differences_of("email", "attachment") == []
    bench.close()


def test_ties_cut_at_the_limit_are_reported_and_the_walk_goes_on_below_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=30, messages_each=1, switches=Switches(missive_ties="cut"))
    ties = set(bench.sandbox.world.make_ties("missive.conversations", 120, at=LONG_AGO))
    bench.run("missive")
    truth, held = bench.sandbox.truth.emails(), bench.held(EMAILS)
    others = {key for key, row in truth.items() if row["thread_id"] not in ties}
    assert others <= held.keys() <= truth.keys()
    assert len({row["thread_id"] for row in held.values()} & ties) == 50
    (walk,) = bench.walks(EMAILS)
    assert walk["finished_at"] is not None
    assert not walk["complete"]
    assert "more than 50 conversations share the second" in walk["error"]
    assert all(row.deleted_at is None for row in bench.feed())
    bench.close()


def test_a_changes_walk_over_cut_ties_keeps_its_checkpoint_and_reads_the_rest(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=20, switches=Switches(missive_ties="cut"))
    bench.run("missive")
    with bench.store.read() as tx:
        before = tx.walks.stream(EMAILS)["checkpoint"]
    bench.clock.at += 100
    ties = set(bench.sandbox.world.make_ties("missive.conversations", 60))
    bench.clock.at += 5
    fresh = bench.sandbox.world.missive.add_conversation(messages=2)
    bench.cycle("missive")
    held = bench.held(EMAILS)
    assert len({row["thread_id"] for row in held.values()} & ties) == 50
    assert sum(row["thread_id"] == fresh for row in held.values()) == 2
    with bench.store.read() as tx:
        assert tx.walks.stream(EMAILS)["checkpoint"] == before
    bench.close()


TEN_OF_A_SECOND = Switches(missive_ties="cut", missive_conversation_limit=10, missive_trash_bumps=True)


def test_a_sweep_looks_up_what_was_thrown_away_in_one_second(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=150, messages_each=1, switches=TEN_OF_A_SECOND)
    bench.run("missive")
    for key in in_sight(bench)[:25]:
        bench.sandbox.world.missive.trash(key)
    sweep(bench)
    assert bench.differences_of("email") == []
    assert "more than 10 conversations share the second" in bench.walks(EMAILS)[-1]["error"]
    bench.close()


def test_a_sweep_finds_what_is_gone_elsewhere_while_live_ones_are_out_of_sight(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=60, messages_each=1, switches=TEN_OF_A_SECOND)
    bench.run("missive")
    keys = in_sight(bench)
    for key in keys[:35]:
        bench.sandbox.world.missive.add_comment(key)
    bench.sandbox.world.missive.revoke_access(keys[40])
    sweep(bench)  # it misses so many that it believes nothing of its list; the next one knows them
    sweep(bench)
    assert bench.differences_of("email") == []
    assert bench.walks(EMAILS)[-1]["error"]
    bench.close()


def in_sight(bench: Bench) -> list[str]:
    return sorted({row["thread_id"] for row in bench.sandbox.truth.emails().values()})


def sweep(bench: Bench) -> None:
    bench.rhythm = Rhythm(POLL, sweep_asked=True)
    bench.reopen()
    bench.cycle("missive")


def test_cut_ties_that_fit_on_a_page_are_no_trouble(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=30, messages_each=1, switches=Switches(missive_ties="cut"))
    bench.sandbox.world.make_ties("missive.conversations", 49, at=LONG_AGO)
    bench.run("missive")
    assert bench.differences_of("email", "attachment") == []
    assert [walk["error"] for walk in bench.walks(EMAILS)] == [None]
    bench.close()


def test_ties_cut_in_a_thread_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path, conversations=5, switches=Switches(missive_ties="cut"))
    world = bench.sandbox.world.missive
    conversation = world.add_conversation(messages=0)
    older = {world.add_message(conversation, delivered_at=int(TUESDAY) - 1000 - number) for number in range(8)}
    for _ in range(25):
        world.add_message(conversation, delivered_at=int(TUESDAY) - 500)
    bench.run("missive")
    held = bench.held(EMAILS)
    assert older <= held.keys() <= bench.sandbox.truth.emails().keys()
    assert sum(row["thread_id"] == conversation for row in held.values()) == 18
    (walk,) = bench.walks(EMAILS)
    assert "share the second" in (walk["error"] or "")
    bench.close()


def test_a_task_walk_is_complete_with_ties(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tasks=10)
    bench.sandbox.world.make_ties("teamwork.tasks", 600)
    bench.run("teamwork")
    (walk,) = bench.walks(TASKS)
    assert walk["complete"]
    assert walk["fetched"] == sum((walk["verdicts"] or {}).values()) == len(bench.sandbox.truth.tasks())
    bench.close()


def test_a_second_that_fills_more_than_a_page_is_read_whole_where_no_answer_says_that_there_is_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, switches=Switches(teamwork_meta=False))
    bench.sandbox.world.make_ties(TASKS, PAGE_SIZE + 50)
    bench.run("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("kind", ["full", "sweep"])
def test_a_page_that_is_refused_behind_a_full_one_is_the_end_where_no_answer_says_that_there_is_more(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path, switches=Switches(teamwork_meta=False, teamwork_page_past_end="400"))
    bench.sandbox.world.make_ties(TASKS, 2 * PAGE_SIZE)  # full pages of either size
    bench.run("teamwork")
    if kind == "sweep":
        bench.rhythm = Rhythm(POLL, sweep_asked=True)
        bench.reopen()
        bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    assert bench.walks(TASKS)[-1]["complete"]
    bench.close()


def test_a_page_that_is_refused_since_the_list_became_shorter_is_no_dead_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, switches=Switches(teamwork_page_past_end="400"))
    bench.sandbox.world.make_ties(TASKS, PAGE_SIZE + 1)
    vanishing = int(next(iter(bench.sandbox.truth.tasks())))

    def vanish(request: Request) -> None:
        if request.param("page") == "2":
            bench.sandbox.before_request.remove(vanish)
            bench.sandbox.world.teamwork.delete_task(vanishing)

    bench.sandbox.before_request.append(vanish)
    bench.run("teamwork")
    bench.settle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


def test_a_page_that_is_refused_though_more_was_promised_is_never_the_end(tmp_path: Path) -> None:
    bench, pages = Bench(tmp_path), list[str | None]()
    bench.sandbox.world.make_ties(TASKS, PAGE_SIZE + 1)
    bench.sandbox.before_request.append(lambda request: pages.append(request.param("page")))
    bench.sandbox.faults.rules.append(Rule(None, lot=lambda: Fault(Kind.LIMIT_400) if pages[-1] == "2" else None))
    for most in (2 * MOST_PASSES + 2, 6, 6):
        pages.clear()
        with pytest.raises(Unreliable, match="pages keep changing"):
            bench.cycle("teamwork", wait=301)
        assert len(pages) <= most
    assert not any(walk["complete"] for walk in bench.walks(TASKS) if walk["kind"] == "full")
    bench.close()


@pytest.mark.parametrize("kind", ["full", "sweep"])
def test_pages_that_changed_faster_than_they_could_be_read_are_read_when_they_do_no_more(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path)
    bench.sandbox.world.make_ties(TASKS, 2 * GLIMPSE_SIZE, at=LONG_AGO)
    if kind == "sweep":
        bench.run("teamwork")
    bench.sandbox.before_request.append(lambda request: bench.sandbox.world.make_ties(TASKS, 1, at=LONG_AGO) and None)
    bench.rhythm = Rhythm(POLL, sweep_asked=kind == "sweep")
    bench.reopen()
    with pytest.raises(Unreliable, match="pages keep changing"):
        bench.cycle("teamwork")
    bench.sandbox.before_request.clear()
    bench.rhythm = Rhythm(POLL)
    for _ in range(7):
        bench.reopen()
        bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    assert not [walk for walk in bench.walks(TASKS) if not walk["finished_at"]]
    bench.close()


@pytest.mark.parametrize("answered", [True, False])
def test_a_list_of_short_pages_that_says_nothing_of_more_does_not_end_where_it_goes_on_from_a_task_that_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, answered: bool
) -> None:
    """Be it that its own page tells so, or that this one always fails and the list is read by page numbers."""
    monkeypatch.setattr("syncjob.sandbox.teamwork.paging.MAX_PAGE_SIZE", 8)
    bench = Bench(tmp_path, seed=4, tasks=60, switches=Switches(teamwork_meta=False))
    bench.run("teamwork")
    for key in sorted(bench.sandbox.truth.tasks())[:50]:
        bench.sandbox.world.teamwork.edit_task(int(key), name="edited")
        bench.clock.at += 30
    bench.clock.at += 61
    bench.parts["teamwork"].step()
    while "from" not in bench.walks(TASKS)[-1]["position"]:
        bench.parts["teamwork"].step()
    bench.parts["teamwork"].step()
    position = bench.walks(TASKS)[-1]["position"]
    bench.sandbox.world.teamwork.edit_task(int(position["from"]), name="moved")
    if not answered:
        bench.sandbox.faults.always(rf"/tasks/{position['from']}\.json", Fault("500 html"))
    for _ in range(3):
        with suppress(Transient):
            bench.cycle("teamwork", wait=0)
    assert bench.walks(TASKS)[-1]["complete"]
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("behind", ["empty", "400"])
@pytest.mark.parametrize("order", ["stable", "shuffled"])
def test_a_second_that_holds_more_than_a_server_gives_is_read_whole_though_it_says_nothing_of_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: str, order: str
) -> None:
    monkeypatch.setattr("syncjob.sandbox.teamwork.paging.MAX_PAGE_SIZE", 100)
    bench = Bench(tmp_path, tasks=20, switches=Switches(teamwork_meta=False, teamwork_page_past_end=behind, teamwork_tie_order=order))
    bench.run("teamwork")
    bench.clock.at += 1000
    bench.cycle("teamwork")
    bench.clock.at += 1000
    bench.sandbox.world.make_ties(TASKS, 150)
    bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("count", [99, 100, 200])
def test_a_server_that_shows_its_last_page_for_ever_is_read_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("syncjob.sources.teamwork.PAGE_SIZE", 50)
    bench = Bench(tmp_path, tasks=3, switches=Switches(teamwork_meta=False))
    bench.run("teamwork")
    bench.sandbox.world.make_ties(TASKS, count)
    ask, asked = bench.parts["teamwork"]._ask, []

    def repeating(call: Call, urgency: WalkKind) -> Answer:
        asked.append(call)
        assert len(asked) < 400
        answer, page = ask(call, urgency), int(dict(call.params).get("page", "1"))
        while call.name == "list" and page > 1 and not answer.payload["tasks"]:
            page -= 1
            answer = ask(replace(call, params=tuple({**dict(call.params), "page": str(page)}.items())), urgency)
        return answer

    bench.parts["teamwork"]._ask = repeating
    bench.cycle("teamwork")
    assert bench.differences_of("task") == []
    bench.close()
