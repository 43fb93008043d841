"""What we want to be, as ratios within one table, and whether we are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

from .airtable import AIRTABLE, ROWS_PER_SECOND
from .contenders import COPY, DLT, OURS, READ, SQLITE, START
from .results import Run

FLOORS = {"a": (READ, COPY), "b": (READ, COPY), "c": (START,), "d": (READ, COPY), "e": (START,)}
"""What a case cannot do without, one after the other."""
Found = Mapping[tuple[str, str], Sequence[Run]]


def verdicts(runs: Sequence[Run]) -> Iterator[str]:
    """A line for each target that the runs can tell about."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.case, run.contender), []).append(run)
    for case, times in (("a", 3), ("b", 20), ("c", 10), ("d", 3)):
        yield from _against(found, case, DLT, times)
    yield from _floors(found)
    yield from _idle(found)
    yield from _flat(found)
    yield from _counts(found)
    yield from _airtable(found)


def _against(found: Found, case: str, peer: str, times: float) -> Iterator[str]:
    if both := _both(found, (case, OURS), (case, peer)):
        ours, theirs = (_median(runs, "wall") for runs in both)
        floor = _floor(found, case, "wall")
        yield _told(f"{case}: rows/s as a multiple of {peer}'s", theirs / ours, times, theirs / ours >= times, floor and theirs / floor)


def _floors(found: Found) -> Iterator[str]:
    if (runs := found.get(("a", OURS))) and (floor := _floor(found, "a", "wall")):
        ratio = _median(runs, "wall") / floor
        yield _told("a: seconds as a multiple of the floors' sum", ratio, 3, ratio <= 3)


def _idle(found: Found) -> Iterator[str]:
    for name, unit, most in (("wall", "seconds", 0.5), ("memory", "memory", 0.8)):
        if both := _both(found, ("e", OURS), ("e", DLT)):
            ours, theirs = (_median(runs, name) for runs in both)
            floor = _floor(found, "e", name)
            what = f"e: {unit} of an idle poll as a share of {DLT}'s"
            yield _told(what, ours / theirs, most, ours / theirs <= most, floor and floor / theirs)


def _flat(found: Found) -> Iterator[str]:
    runs = sorted(found.get(("f", OURS), ()), key=lambda run: run.rows)
    for before, after in pairwise(runs[1:]):
        growth = after.memory / before.memory
        yield _told(f"f: memory with {after.rows:,} tasks as a multiple of that with {before.rows:,}", growth, 1.15, growth <= 1.15)
    for run in runs[-1:]:
        yield _told(f"f: MB with {run.rows:,} tasks", run.memory, 120, run.memory < 120)


def _counts(found: Found) -> Iterator[str]:
    ours = [run for (_, name), runs in found.items() if name in (OURS, SQLITE) for run in runs]
    if ours:
        over = sum(run.requests > (run.allowed or 0) for run in ours)
        yield _told("g: runs with more requests than the formula", over, 0, not over)
    if quiet := [run.written for run in ours if run.case in "be" and run.written is not None]:
        yield _told("h: rows written where nothing changed", max(quiet), 0, not max(quiet))


def _airtable(found: Found) -> Iterator[str]:
    for run in found.get(("i", AIRTABLE), ()):
        share = run.rows / run.wall / ROWS_PER_SECOND
        yield _told(f"i: rows/s into Airtable as a share of {ROWS_PER_SECOND}", share, 0.95, share >= 0.95)


def _both(found: Found, *keys: tuple[str, str]) -> Sequence[Sequence[Run]]:
    """The runs of each, if all were measured."""
    return [found[key] for key in keys] if all(key in found for key in keys) else ()


def _floor(found: Found, case: str, name: str) -> float | None:
    """What the floors of a case take together; None: not all were measured."""
    return sum(_median(runs, name) for runs in _both(found, *((case, floor) for floor in FLOORS[case]))) or None


def _median(runs: Iterable[Run], name: str) -> float:
    return median(getattr(run, name) for run in runs)


def _told(what: str, is_: float, target: float, reached: bool, floor: float | None = None) -> str:
    beside = f"; the floors alone: {floor:.3g}" if floor else ""
    return f"{'reached' if reached else 'MISSED '}  {what}: {is_:.3g} (target {target:g}{beside})"
