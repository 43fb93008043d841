"""The benchmarks do what they say: every contender's rows are right in the end, and the table tells what was measured. Nothing is timed."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from .chains import check, save_rows, take_turns
from .contenders import BARE, COMPARED, COPY, OURS, READ, SQLITE, floors, syncjob
from .place import staged
from .results import Run, load, merged, save
from .table import table
from .tasks import Tasks


def test_every_contender_holds_the_same_rows_after_every_step(tmp_path: Path) -> None:
    with staged(120) as stage:
        save_rows(stage.tasks, tmp_path / "rows")
        contenders = [*floors(tmp_path / "rows"), syncjob(OURS, "postgres"), replace(syncjob(SQLITE, "sqlite"), steps="a")]
        runs = list(take_turns(stage, contenders, "abec", 1, print, polls=1))
    found = {(run.contender, run.case): (run.requests, run.written) for run in runs}
    assert found[OURS, "a"] == (2, 120)
    assert found[OURS, "b"] == (3, 0), "nothing changed, so nothing is written"
    assert found[OURS, "e"] == (2, 0)
    assert found[OURS, "c"] == (2, 2), "two of 120 have changed"
    assert found[READ, "a"] == (1, 0)
    assert found[COPY, "a"] == (0, 120)
    assert found[COPY, "b"] == found[BARE, "b"] == (0, 0)
    assert {run.contender for run in runs} == {READ, COPY, BARE, OURS, SQLITE}


def test_a_row_too_few_or_with_another_title_is_noticed() -> None:
    tasks = Tasks(30, time.time())
    right = [tuple(None if row[name] is None else str(row[name]) for name in COMPARED) for row in tasks.rows()]
    check("right", "a", reversed(right), tasks.rows())
    for wrong in (right[1:], [(*right[0][:1], "other", *right[0][2:]), *right[1:]], [*right, right[0]]):
        with pytest.raises(AssertionError, match="wrong, case a"):
            check("wrong", "a", wrong, tasks.rows())


def test_cases_measured_at_different_times_are_one_table(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    ours, theirs = Run("a", OURS, 1000, 2.0, 1.5, 70, 5, 1000), Run("a", "dlt", 1000, 9.0, 8.0, 200, 4, 3000)
    save(file, merged(load(file), [ours, theirs]))
    save(file, merged(load(file), [Run("a", OURS, 1000, 3.0, 1.5, 70, 5, 1000), Run("e", OURS, 1000, 0.3, 0.3, 60, 2, 0)]))
    shown = table(load(file)).splitlines()
    assert [line.split()[0] for line in shown] == ["case", "a", "a", "e"]
    assert shown[1].split()[:6] == ["a", "dlt", "1,000", "9.00", "9.00", "…"]
    assert "3.00  " in shown[1], "dlt took three times as long"
