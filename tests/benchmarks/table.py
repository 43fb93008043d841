"""One table of everything measured: medians, spread, and how many times longer than syncjob the others take."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import median

from .contenders import OURS
from .results import Run

HEAD = ("case", "contender", "rows", "seconds", "spread", "rows/s", "x", "CPU s", "MB", "requests", "written")


def table(runs: Sequence[Run]) -> str:
    """All runs, one line for each case and contender. `x`: the seconds as a multiple of syncjob's into PostgreSQL."""
    groups = {key: list(found) for key, found in groupby(sorted(runs, key=_key), key=_key)}
    lines = [HEAD, *(_line(found, groups.get((case, OURS))) for (case, _), found in groups.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _key(run: Run) -> tuple[str, str]:
    return run.case, run.contender


def _line(found: Sequence[Run], ours: Sequence[Run] | None) -> tuple[str, ...]:
    one, wall = found[0], _median(run.wall for run in found)
    spread = f"{min(run.wall for run in found):.2f} … {max(run.wall for run in found):.2f}"
    ratio = f"{wall / _median(run.wall for run in ours):.2f}" if ours else ""
    cpu, memory = (_median(getattr(run, name) for run in found) for name in ("cpu", "memory"))
    numbers = (f"{one.rows:,}", f"{wall:.2f}", spread, f"{one.rows / wall:,.0f}", ratio, f"{cpu:.2f}", f"{memory:.0f}")
    counts = (_median(getattr(run, name) for run in found) for name in ("requests", "written"))
    return (one.case, one.contender, *numbers, *(f"{count:,.0f}" for count in counts))


def _median(numbers: Iterable[float]) -> float:
    return median(numbers)
