"""Cases a, b, c and e: each contender takes its steps one after another, all contenders in turn, again and again."""

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from .contenders import COUNTED, OURS, SQLITE, Command, Contender, environment
from .kinds import Source
from .place import Counts, Place, Stage
from .results import Run

MEASURE = Path(__file__).with_name("measure.py")
POLLS = 3
"""A poll with nothing to do is short, so it is repeated."""
Say = Callable[[str], None]


def take_turns(stage: Stage, contenders: Sequence[Contender], cases: str, repeat: int, say: Say, *, polls: int = POLLS) -> Iterator[Run]:
    """Every run of these cases."""
    for repetition in range(1, repeat + 1):
        for contender in contenders:
            with stage.place() as its:
                for run in _chain(contender, cases, stage.source, its, polls):
                    say(f"{run.case} {repetition}/{repeat} {run.contender}: {run.wall:.2f} s")
                    yield run


def _chain(contender: Contender, cases: str, source: Source, its: Place, polls: int) -> Iterator[Run]:
    """The contender's steps up to the last that is asked for; what they leave must be right each time."""
    counts = Counts(its.site)
    _show(counts, source, None)
    last = max((contender.steps.find(case) for case in cases), default=-1)
    for step in [step for step in contender.steps[: last + 1] if step == contender.steps[0] or step in cases]:
        if step == "c":
            _show(counts, source, time.time())
        for _ in range(polls if step == "e" else 1):
            run = measured(contender, its, step, counts, source)
            if step in cases:
                yield run
        if contender.rows:
            check(contender.name, step, contender.rows(its), source)


def measured(contender: Contender, its: Place, step: str, counts: Counts, source: Source) -> Run:
    """One step, in processes of its own. Raises if it fails."""
    counts.take()
    before = its.written()
    told = took(contender.command(its, step), environment(contender, its), its.folder)
    allowed = source.allowed(step) if contender.name in (OURS, SQLITE) else None
    written = its.written() - before if contender.name in COUNTED else None
    return Run(step, contender.name, source.count, told["wall"], told["cpu"], told["memory"], counts.take(), allowed, written)


def took(commands: Command, env: Mapping[str, str], folder: Path) -> Mapping[str, float]:
    """What programs take that feed each other; the last one prints into the folder's `out`. Raises if one fails."""
    words = [word for command in commands for word in ("--", *command)][1:]
    measure = [sys.executable, "-IS", str(MEASURE), str(folder / "out"), *words]
    told: Mapping[str, float] = json.loads(subprocess.run(measure, env=env, cwd=folder, stdout=subprocess.PIPE, check=True).stdout)
    if told["exit"]:
        raise RuntimeError(f"{commands}: {(folder / 'out.err').read_text()[-3000:]}")
    return told


def check(name: str, step: str, found: Iterable[tuple[str | None, ...]], source: Source) -> None:
    """The same rows, in whatever order."""
    should = digest(tuple(None if row[name] is None else str(row[name]) for name in source.kind.compared) for row in source.rows())
    if (has := digest(found)) != should:
        raise AssertionError(f"{name}, case {step}: {has[0]} rows, not the {should[0]} that the source has, or with other contents")


def digest(rows: Iterable[tuple[str | None, ...]]) -> tuple[int, int]:
    """Their number, and the sum of their hashes."""
    number = total = 0
    for row in rows:
        number += 1
        total += int.from_bytes(blake2b(repr(row).encode(), digest_size=8).digest())
    return number, total


def save_rows(source: Source, file: Path) -> None:
    """The first data set for the floors."""
    kind = source.kind
    file.write_bytes(pickle.dumps((kind.table, kind.columns, [[row[name] for name in kind.columns] for row in source.rows()])))


def _show(counts: Counts, source: Source, changed_at: float | None) -> None:
    source.change(changed_at)
    counts.show(changed_at or 0)
