"""Cases a, b, c and e: each contender takes its steps one after another, all contenders in turn, again and again."""

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from .contenders import COMPARED, Contender, environment
from .floors import COLUMNS
from .place import Counts, Place, Stage
from .results import Run
from .tasks import Row, Tasks

MEASURE = Path(__file__).with_name("measure.py")
POLLS = 3
"""A poll with nothing to do is short, so it is repeated."""
Say = Callable[[str], None]


def take_turns(stage: Stage, contenders: Sequence[Contender], cases: str, repeat: int, say: Say, *, polls: int = POLLS) -> Iterator[Run]:
    """Every run of these cases."""
    for repetition in range(1, repeat + 1):
        for contender in contenders:
            with stage.place() as its:
                for run in _chain(contender, cases, stage.tasks, its, polls):
                    say(f"{run.case} {repetition}/{repeat} {run.contender}: {run.wall:.2f} s")
                    yield run


def _chain(contender: Contender, cases: str, tasks: Tasks, its: Place, polls: int) -> Iterator[Run]:
    """The contender's steps up to the last that is asked for; what they leave must be right each time."""
    counts = Counts(its.site)
    _show(counts, tasks, None)
    last = max((contender.steps.find(case) for case in cases), default=-1)
    for step in [step for step in contender.steps[: last + 1] if step == "a" or step in cases]:
        if step == "c":
            _show(counts, tasks, time.time())
        for _ in range(polls if step == "e" else 1):
            run = measured(contender, its, step, counts, tasks.count)
            if step in cases:
                yield run
        if contender.rows:
            check(contender.name, step, contender.rows(its), tasks.rows())


def measured(contender: Contender, its: Place, case: str, counts: Counts, rows: int) -> Run:
    """One step, in processes of its own. Raises if it fails."""
    counts.take()
    before, out = its.written(), its.folder / "out"
    words = [word for command in contender.command(its, case) for word in ("--", *command)][1:]
    measure = [sys.executable, "-IS", str(MEASURE), str(out), *words]
    told = json.loads(subprocess.run(measure, env=environment(contender, its), cwd=its.folder, stdout=subprocess.PIPE, check=True).stdout)
    if told["exit"]:
        raise RuntimeError(f"{contender.name}, case {case}: {out.with_suffix('.err').read_text()[-3000:]}")
    return Run(case, contender.name, rows, told["wall"], told["cpu"], told["memory"], counts.take(), its.written() - before)


def check(name: str, step: str, found: Iterable[tuple[str | None, ...]], expected: Iterable[Row]) -> None:
    """The same rows, in whatever order."""
    should = digest(tuple(None if row[column] is None else str(row[column]) for column in COMPARED) for row in expected)
    if (has := digest(found)) != should:
        raise AssertionError(f"{name}, case {step}: {has[0]} rows, not the {should[0]} that the source has, or with other contents")


def digest(rows: Iterable[tuple[str | None, ...]]) -> tuple[int, int]:
    """Their number, and the sum of their hashes."""
    number = total = 0
    for row in rows:
        number += 1
        total += int.from_bytes(blake2b(repr(row).encode(), digest_size=8).digest())
    return number, total


def save_rows(tasks: Tasks, file: Path) -> None:
    """The first data set for the floors."""
    with file.open("wb") as out:
        pickle.dump([[row[name] for name in COLUMNS] for row in tasks.rows()], out)


def _show(counts: Counts, tasks: Tasks, changed_at: float | None) -> None:
    tasks.change(changed_at)
    counts.show(changed_at or 0)
