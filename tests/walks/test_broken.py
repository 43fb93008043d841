"""An answer that breaks its reader, or that it cannot read at all, never stops its source for ever."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncjob.core.errors import Unforeseen
from syncjob.core.model import EMAILS, TASKS, Page
from syncjob.sources import missive, tasks, teamwork

from .bench import Bench

BAD = "breaks its reader"


def breaking(reader: Callable[..., Any], text: Callable[..., str | None]) -> Callable[..., Any]:
    """A reader with a bug: it dies of a certain text."""

    def read(*args: Any, **kwargs: Any) -> Any:
        if BAD in (text(*args) or ""):
            raise ZeroDivisionError
        return reader(*args, **kwargs)

    return read


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, tasks=30, conversations=4)
    bench.run()
    return bench


def letters(bench: Bench) -> dict[str, str]:
    with bench.store.read() as tx:
        return {letter.key: letter.error for letter in tx.letters.find()}


def break_tasks(bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    keys = sorted(map(int, bench.sandbox.truth.tasks()))[:number]
    for key in keys:
        bench.sandbox.world.teamwork.edit_task(key, name=BAD)
    monkeypatch.setattr(teamwork, "record", breaking(tasks.record, lambda task, *_: task.name))
    return keys


@pytest.mark.parametrize("others", [0, 3])
def test_a_task_that_breaks_its_reader_is_put_aside_at_once_and_the_rest_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    (bad,) = break_tasks(bench, monkeypatch, 1)
    for key in sorted(map(int, bench.sandbox.truth.tasks()))[1 : 1 + others]:
        bench.sandbox.world.teamwork.edit_task(key, name="well")
    bench.cycle("teamwork")
    (walk,) = [walk for walk in bench.walks(TASKS) if walk["kind"] == "changes"][-1:]
    assert (walk["complete"], walk["fetched"], walk["verdicts"]["rejected"]) == (True, others + 1, 1)
    assert list(letters(bench)) == [str(bad)]
    assert letters(bench)[str(bad)].startswith("unexpected ZeroDivisionError at sources/teamwork.py:")
    assert sum(row["title"] == "well" for row in bench.held(TASKS).values()) == others

    monkeypatch.undo()
    bench.sandbox.world.teamwork.edit_task(bad, name="mended")
    bench.cycle("teamwork")
    assert letters(bench) == {}
    assert bench.differences() == []
    bench.close()


def test_a_page_of_which_every_record_breaks_its_reader_waits_for_three_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = break_tasks(bench, monkeypatch, 3)
    for _ in range(2):
        bench.clock.at += 61
        with pytest.raises(Unforeseen):
            bench.run("teamwork")
        assert letters(bench) == {}
        bench.reopen()
    bench.cycle("teamwork")
    assert list(letters(bench)) == [str(key) for key in bad]
    bench.close()


def test_a_message_that_breaks_its_reader_is_asked_alone_and_given_up_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = breaking(missive.email_record, lambda message, *_, **__: message.subject)
    monkeypatch.setattr(missive, "email_record", broken)
    threads = sorted({row["thread_id"] for row in bench.held(EMAILS).values()})
    bad = bench.sandbox.world.missive.add_message(threads[0], subject=BAD)
    for number in range(12):
        bench.clock.at += 3600
        good = bench.sandbox.world.missive.add_message(threads[1], subject=f"well {number}")
        try:
            bench.run("missive")
        except Unforeseen:
            bench.reopen()
    assert good in bench.held(EMAILS)
    assert list(letters(bench)) == [bad]
    assert list((bench.folder / "spool" / "missive").iterdir()) == []
    bench.close()


def test_a_page_that_breaks_its_reader_for_no_record_is_set_aside_and_the_source_gets_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench.store.read() as tx:
        checkpoint = tx.walks.stream(TASKS)["checkpoint"]

    def broken(*_: object) -> Page:
        raise ZeroDivisionError

    with monkeypatch.context() as bug:
        bug.setattr(teamwork.Teamwork, "read", broken)
        bench.clock.at += 61
        for _ in range(2):
            with pytest.raises(Unforeseen):
                bench.run("teamwork")
            bench.reopen()
        assert bench.parts["teamwork"].step() is None
    part = bench.parts["teamwork"]
    (aside,) = part.aside
    assert aside.suffix == ".aside"
    assert json.loads(aside.read_bytes().partition(b"\n")[0])["version"] == 1
    assert part.step() is None  # the walk ends
    (walk,) = [walk for walk in bench.walks(TASKS) if walk["error"]]
    assert (walk["kind"], walk["complete"], "set aside" in walk["error"]) == ("changes", False, True)
    with bench.store.read() as tx:
        assert tx.walks.stream(TASKS)["checkpoint"] == checkpoint
    bench.cycle("teamwork")
    assert bench.differences() == []
    bench.close()
