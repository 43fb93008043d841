"""One table of everything measured: medians, spread, and how many times longer than syncjob the others take."""

from collections.abc import Sequence
from itertools import groupby
from statistics import median

from .contenders import OURS
from .results import Run

HEAD = ("case", "contender", "rows", "seconds", "from … to", "rows/s", "x", "CPU s", "MB", "requests", "formula", "written")
NUMBERS = 2
"""From this column on they are numbers, aligned to the right."""


def table(runs: Sequence[Run]) -> str:
    """All runs in Markdown, a line for each case, contender and size. `x`: the seconds as a multiple of syncjob's into PostgreSQL."""
    groups = {key: list(found) for key, found in groupby(sorted(runs, key=_key), key=_key)}
    lines = [HEAD, *(_line(found, groups.get((case, OURS, rows))) for (case, _, rows), found in groups.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * (width - 1) + (":" if column >= NUMBERS else "-") for column, width in enumerate(widths)]
    return "\n".join(_row(line, widths) for line in (lines[0], rule, *lines[1:]))


def _key(run: Run) -> tuple[str, str, int]:
    return run.case, run.contender, run.rows


def _line(found: Sequence[Run], ours: Sequence[Run] | None) -> Sequence[str]:
    case, contender, rows = _key(found[0])
    walls = [run.wall for run in found]
    wall = median(walls)
    ratio = f"{wall / median(run.wall for run in ours):.2f}" if ours else ""
    cpu, memory, requests = (median(getattr(run, name) for run in found) for name in ("cpu", "memory", "requests"))
    written = [run.written for run in found if run.written is not None]
    times = (f"{wall:.2f}", f"{min(walls):.2f} … {max(walls):.2f}", f"{rows / wall:,.0f}", ratio, f"{cpu:.2f}")
    allowed = found[0].allowed
    counts = (f"{memory:.0f}", f"{requests:,.0f}", "" if allowed is None else f"{allowed:,}")
    return (case, contender, f"{rows:,}", *times, *counts, f"{median(written):,.0f}" if written else "")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = enumerate(zip(cells, widths, strict=True))
    padded = [cell.rjust(width) if column >= NUMBERS else cell.ljust(width) for column, (cell, width) in pairs]
    return f"| {' | '.join(padded)} |"
