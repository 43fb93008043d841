"""The cases, and who takes part in them.

a: first load of tasks. b: the same again. c: one of a hundred changed. d: first load of mails. e: nothing to do. f: memory, by the number
of tasks. g: requests of these against the formulas. h: rows written in them. i: rows per second into Airtable.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .airtable import deliver
from .chains import Say, save_rows, take_turns
from .contenders import OURS, SQLITE, Contender, dlt, floors, singer, syncjob
from .kinds import EMAILS, TASKS, Kind
from .place import staged
from .results import Run

CASES = "abcdefghi"
LOADS = "abec"
MEMORY = (0.2, 2, 20)
"""As multiples of `rows`: 10,000, 100,000 and 1,000,000 by default."""
MAILS, AIRTABLE = 0.4, 0.03
LEAST = 100
"""With fewer rows a rate means nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """How much, how often, and with which peers (the Python of their environment)."""

    rows: int = 50_000
    repeat: int = 3
    peers: Path | None = None
    polls: int = 3


def measure(cases: str, options: Options, say: Say) -> Iterator[Run]:
    """Every run of these cases. Requests and written rows are counted in a, b, c and e."""
    wanted = {*cases, *(LOADS if {"g", "h"} & {*cases} else "")}
    if loads := "".join(case for case in LOADS if case in wanted):
        yield from _turns("tasks", options.rows, TASKS, loads, options, say)
    if "d" in wanted:
        yield from _turns("mails", round(options.rows * MAILS), EMAILS, "d", options, say)
    if "f" in wanted:
        for share in MEMORY:
            yield _memory(round(options.rows * share), say)
    if "i" in wanted:
        yield deliver(max(LEAST, round(options.rows * AIRTABLE)))


def _turns(source: str, number: int, kind: Kind, cases: str, options: Options, say: Say) -> Iterator[Run]:
    with staged(source, number) as stage:
        save_rows(stage.source, stage.folder / "rows")
        contenders = [*floors(kind, stage.folder / "rows"), *_ours(kind), *_peers(kind, options.peers)]
        yield from take_turns(stage, contenders, cases, options.repeat, say, polls=options.polls)


def _ours(kind: Kind) -> Sequence[Contender]:
    return syncjob(OURS, "postgres", kind), syncjob(SQLITE, "sqlite", kind)


def _peers(kind: Kind, python: Path | None) -> Sequence[Contender]:
    if python is None:
        return ()
    return (dlt(python, kind), singer(python)) if kind is TASKS else (dlt(python, kind),)


def _memory(rows: int, say: Say) -> Run:
    """A first load, told as case f."""
    with staged("tasks", rows) as stage:
        (run,) = take_turns(stage, _ours(TASKS)[:1], "a", 1, say)
        return replace(run, case="f")
