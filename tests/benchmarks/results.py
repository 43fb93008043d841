"""What was measured: kept as JSON, so that cases may run at different times and are still one table."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One step of one contender: seconds, megabytes at the peak, requests (allowed: ours, by the formula), rows written in PostgreSQL."""

    case: str
    contender: str
    rows: int
    wall: float
    cpu: float
    memory: float
    requests: int
    allowed: int | None
    written: int | None


def load(file: Path) -> list[Run]:
    """All runs of a file; none if it is not there yet."""
    return [Run(**run) for run in json.loads(file.read_text())["runs"]] if file.exists() else []


def save(file: Path, runs: Sequence[Run]) -> None:
    """Write them, with what machine they are of."""
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    file.write_text(json.dumps({"machine": machine, "runs": [asdict(run) for run in runs]}, indent=1) + "\n")


def merged(old: Iterable[Run], new: Sequence[Run]) -> list[Run]:
    """The old runs without those that were measured anew, and the new ones."""
    fresh = {(run.case, run.contender) for run in new}
    return [*(run for run in old if (run.case, run.contender) not in fresh), *new]
