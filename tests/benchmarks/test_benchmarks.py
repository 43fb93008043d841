"""The benchmarks do what they say: every contender's rows are right in the end, and the table tells what was measured. Nothing is timed."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from .chains import check, save_rows, take_turns
from .contenders import BARE, COPY, OURS, READ, SQLITE, START, floors, syncjob
from .kinds import EMAILS, TASKS
from .place import staged
from .results import Run, load, merged, save
from .table import table
from .targets import verdicts
from .tasks import Tasks


def test_every_contender_holds_the_same_tasks_after_every_step() -> None:
    with staged("tasks", 120) as stage:
        save_rows(stage.source, stage.folder / "rows")
        ours = [syncjob(OURS, "postgres", TASKS), replace(syncjob(SQLITE, "sqlite", TASKS), steps="a")]
        runs = list(take_turns(stage, [*floors(TASKS, stage.folder / "rows"), *ours], "abec", 1, print, polls=1))
    found = {(run.contender, run.case): (run.requests, run.written) for run in runs}
    assert found[OURS, "a"] == (2, 120)
    assert found[OURS, "b"] == (3, 0), "nothing changed, so nothing is written"
    assert found[OURS, "e"] == (2, 0)
    assert found[OURS, "c"] == (2, 2), "two of 120 have changed"
    assert found[READ, "a"] == (1, None)
    assert found[COPY, "a"] == (0, 120)
    assert found[COPY, "b"] == (0, 0)
    assert {run.contender for run in runs} == {READ, COPY, BARE, START, OURS, SQLITE}
    assert [line for line in verdicts(runs) if line.startswith("MISSED") and " a: " not in line] == []


def test_every_contender_holds_the_same_mails() -> None:
    with staged("mails", 40) as stage:
        save_rows(stage.source, stage.folder / "rows")
        runs = list(take_turns(stage, [*floors(EMAILS, stage.folder / "rows"), syncjob(OURS, "postgres", EMAILS)], "d", 1, print))
    assert all(run.rows == stage.source.count >= 40 for run in runs)
    assert [run.contender for run in runs if run.allowed is not None and run.requests <= run.allowed] == [OURS]


def test_a_row_too_few_or_with_another_title_is_noticed() -> None:
    tasks = Tasks(30, time.time())
    right = [tuple(None if row[name] is None else str(row[name]) for name in TASKS.compared) for row in tasks.rows()]
    check("right", "a", reversed(right), tasks)
    for wrong in (right[1:], [(*right[0][:1], "other", *right[0][2:]), *right[1:]], [*right, right[0]]):
        with pytest.raises(AssertionError, match="wrong, case a"):
            check("wrong", "a", wrong, tasks)


def test_cases_measured_at_different_times_are_one_table(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    ours, theirs = Run("a", OURS, 1000, 2.0, 1.5, 70, 5, 6, 1000), Run("a", "dlt", 1000, 12.0, 8.0, 200, 4, None, 3000)
    save(file, merged(load(file), [ours, theirs]))
    save(file, merged(load(file), [replace(ours, wall=3.0), replace(ours, wall=5.0), replace(ours, case="e", written=0)]))
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(load(file)).splitlines()]
    assert [line[:7] for line in shown[2:]] == [
        ["a", "dlt", "1,000", "12.00", "12.00 … 12.00", "83", "3.00"],
        ["a", OURS, "1,000", "4.00", "3.00 … 5.00", "250", "1.00"],
        ["e", OURS, "1,000", "2.00", "2.00 … 2.00", "500", "1.00"],
    ]
    assert [line.split()[0] for line in verdicts(load(file)) if "dlt" in line] == ["reached"]


def test_a_target_is_told_beside_what_the_floors_alone_would_be() -> None:
    took = {OURS: 4.0, "dlt": 12.0, READ: 1.0, COPY: 2.0}
    runs = [Run("b", name, 1000, wall, 1.5, 70, 0, None, None) for name, wall in took.items()]
    assert next(verdicts(runs)) == "MISSED   b: rows/s as a multiple of dlt's: 3 (target 20; the floors alone: 4)"
