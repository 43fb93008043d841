"""Who runs: syncjob, its peers, and what no program can do without. Each says how its steps are run and how its rows are read.

A step has the letter of its case: a first load, b the same again, e nothing to do, c one of a hundred changed.
"""

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import psycopg2

from .place import ROOT, SECOND, Place
from .tasks import FLAGS, LIST

Command = Sequence[Sequence[str]]
HERE = Path(__file__).parent
TEXTS = ("title", "description", "status", "progress", "priority", "tasklist_id")
TIMES = ("created_at", "updated_at")
COMPARED = ("task_id", *TEXTS, *TIMES)
"""What every contender must hold alike."""
DLT_NAMES = {"task_id": "id", "title": "name"}
SINGER_NAMES = {**DLT_NAMES, "tasklist_id": '"tasklistId"', "created_at": '"createdAt"', "updated_at": '"updatedAt"'}
FAST = "1000000/1"
OURS, SQLITE, DLT, SINGER = "syncjob, PostgreSQL", "syncjob, SQLite", "dlt", "singer-sdk"
READ, COPY, BARE = "floor: read", "floor: COPY, upsert", "floor: SQLite upsert"


@dataclass(frozen=True, slots=True)
class Contender:
    """How to run a step at a place, and how to read there what it left."""

    name: str
    steps: str
    command: Callable[[Place, str], Command]
    rows: Callable[[Place], Iterator[tuple[str | None, ...]]] | None = None
    env: Callable[[Place], Mapping[str, str]] = field(default=lambda place: {})


def tasks_url(place: Place) -> str:
    """Every task, in order; only the paging is missing."""
    return f"{place.site}{LIST}?{urlencode(FLAGS)}"


def syncjob(name: str, backend: str) -> Contender:
    def command(place: Place, step: str) -> Command:
        return [[sys.executable, "-m", "syncjob", "once", "--quiet", *(["--full-resync"] if step == "b" else [])]]

    def env(place: Place) -> Mapping[str, str]:
        database = {"DB_BACKEND": backend, "PG_DSN": place.dsn, "SQLITE_PATH": str(place.folder / "data.db")}
        source = {"TEAMWORK_BASE_URL": place.site, "TEAMWORK_API_KEY": "tkn_bench", "TEAMWORK_RATE_LIMIT": FAST}
        return {"PYTHONPATH": str(ROOT), "SYNCJOB_STATE_DIR": str(place.folder / "state"), **database, **source}

    def rows(place: Place) -> Iterator[tuple[str | None, ...]]:
        return _sqlite(place, " WHERE NOT deleted") if backend == "sqlite" else _postgres(place, "tasks WHERE NOT deleted", {})

    return Contender(name, "abec", command, rows, env)


def dlt(python: Path) -> Contender:
    how = {"a": "first", "b": "again", "e": "news", "c": "news"}
    return Contender(
        DLT,
        "abec",
        lambda place, step: [[str(python), str(HERE / "peers/dlt_tasks.py"), tasks_url(place), place.dsn, str(place.folder), how[step]]],
        lambda place: _postgres(place, "bench.tasks", DLT_NAMES),
        lambda place: {"RUNTIME__DLTHUB_TELEMETRY": "false", "HOME": str(place.folder)},
    )


def singer(python: Path) -> Contender:
    """A tap of its own that feeds target-postgres; polls get the state that a load left."""

    def command(place: Place, step: str) -> Command:
        config, state = place.folder / "target.json", place.folder / "state.json"
        url = place.dsn.replace("postgresql://", "postgresql+psycopg://")
        config.write_text(json.dumps({"sqlalchemy_url": url, "default_target_schema": "bench", "use_copy": True}))
        if step in "ec":
            state.write_text((place.folder / "out").read_text().splitlines()[-1])
        tap = [str(python), str(HERE / "peers/tap_tasks.py"), tasks_url(place), *(["--state", str(state)] if step in "ec" else [])]
        return [tap, [str(python.with_name("target-postgres")), "--config", str(config)]]

    return Contender(SINGER, "abec", command, lambda place: _postgres(place, "bench.tasks", SINGER_NAMES))


def floors(rows: Path) -> Sequence[Contender]:
    """What takes part in the first two steps, beside everything that reads and writes."""

    def floor(*words: str) -> Command:
        return [[sys.executable, str(HERE / "floors.py"), *words]]

    return [
        Contender(READ, "ab", lambda place, step: floor("read", tasks_url(place))),
        Contender(COPY, "ab", lambda place, step: floor("postgres", str(rows), place.dsn), lambda place: _postgres(place, "tasks", {})),
        Contender(BARE, "ab", lambda place, step: floor("sqlite", str(rows), str(place.folder / "data.db")), _sqlite),
    ]


def environment(contender: Contender, place: Place) -> Mapping[str, str]:
    """All that a contender's process knows."""
    return {"PATH": os.environ["PATH"], "HOME": str(place.folder), "LANG": "C.UTF-8", **contender.env(place)}


def _postgres(place: Place, table: str, names: Mapping[str, str]) -> Iterator[tuple[str | None, ...]]:
    texts = [f"{names.get(name, name)}::text" for name in ("task_id", *TEXTS)]
    times = [f"to_char({names.get(name, name)} AT TIME ZONE 'UTC', '{SECOND}')" for name in TIMES]
    with closing(psycopg2.connect(place.dsn, options="-c timezone=UTC")) as connection, connection.cursor("rows") as cursor:
        cursor.itersize = 5000
        cursor.execute(f"SELECT {', '.join(texts + times)} FROM {table}")
        yield from cursor


def _sqlite(place: Place, condition: str = "") -> Iterator[tuple[str | None, ...]]:
    with closing(sqlite3.connect(place.folder / "data.db")) as connection:
        texts = [f"CAST({name} AS TEXT)" for name in COMPARED]
        yield from connection.execute(f"SELECT {', '.join(texts)} FROM tasks{condition}")
