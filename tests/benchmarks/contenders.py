"""Who runs: syncjob, its peers, and what no program can do without. Each says how its steps are run and how its rows are read.

A step has the letter of its case: a first load (d: of mails), b the same again, e nothing to do, c one of a hundred changed.
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

from .kinds import EMAILS, TASKS, Kind
from .place import ROOT, Place
from .tasks import FLAGS, LIST

Command = Sequence[Sequence[str]]
Read = Callable[[Place], Iterator[tuple[str | None, ...]]]
HERE = Path(__file__).parent
FAST = "1000000/1"
OURS, SQLITE, DLT, SINGER = "syncjob, PostgreSQL", "syncjob, SQLite", "dlt", "singer-sdk"
READ, COPY, BARE, START = "floor: read", "floor: COPY, upsert", "floor: SQLite upsert", "floor: start"
COUNTED = (OURS, DLT, SINGER, COPY)
"""Who writes to PostgreSQL."""
SECOND = 'YYYY-MM-DD"T"HH24:MI:SS"Z"'

DLT_TASKS = {"task_id": "id", "title": "name"}
DLT_EMAILS = {"email_id": "id", "thread_id": "(conversation->>'id')", "message_type": "type", "body_html": "body"}
DLT_EMAILS |= {"internet_message_id": "email_message_id"}
SINGER_TASKS = {**DLT_TASKS, "tasklist_id": '"tasklistId"', "created_at": '"createdAt"', "updated_at": '"updatedAt"'}


@dataclass(frozen=True, slots=True)
class Contender:
    """How to run a step at a place, and how to read there what it left."""

    name: str
    steps: str
    command: Callable[[Place, str], Command]
    rows: Read | None = None
    env: Callable[[Place], Mapping[str, str]] = field(default=lambda place: {})


def syncjob(name: str, backend: str, kind: Kind) -> Contender:
    """`python -m syncjob once`, with its limits raised."""

    def env(place: Place) -> Mapping[str, str]:
        database = {"DB_BACKEND": backend, "PG_DSN": place.dsn, "SQLITE_PATH": str(place.folder / "data.db")}
        teamwork = {"TEAMWORK_BASE_URL": place.site, "TEAMWORK_API_KEY": "tkn_bench", "TEAMWORK_RATE_LIMIT": FAST}
        missive = {"MISSIVE_BASE_URL": mails_url(place), "MISSIVE_API_TOKEN": "missive_pat-bench", "MISSIVE_RATE_LIMIT": FAST}
        state = {"PYTHONPATH": str(ROOT), "SYNCJOB_STATE_DIR": str(place.folder / "state")}
        return {**state, **database, **(teamwork if kind is TASKS else missive)}

    def command(place: Place, step: str) -> Command:
        return [[sys.executable, "-m", "syncjob", "once", "--quiet", *(["--full-resync"] if step == "b" else [])]]

    read = _sqlite if backend == "sqlite" else _postgres
    return Contender(name, _steps(kind), command, read(kind, f"{kind.table} WHERE NOT deleted"), env)


def dlt(python: Path, kind: Kind) -> Contender:
    """Its pipeline's state stays with the place."""
    how = {"a": ["first"], "b": ["again"], "e": ["news"], "c": ["news"], "d": []}
    script, table, names = ("dlt_tasks.py", "bench.tasks", DLT_TASKS) if kind is TASKS else ("dlt_mails.py", "bench.messages", DLT_EMAILS)

    def command(place: Place, step: str) -> Command:
        return [[str(python), str(HERE / "peers" / script), _url(place, kind), place.dsn, str(place.folder), *how[step]]]

    return Contender(DLT, _steps(kind), command, _postgres(kind, table, names), lambda place: {"RUNTIME__DLTHUB_TELEMETRY": "false"})


def singer(python: Path) -> Contender:
    """A tap of its own that feeds target-postgres; polls get the state that a load left."""

    def command(place: Place, step: str) -> Command:
        config, state = place.folder / "target.json", place.folder / "state.json"
        url = place.dsn.replace("postgresql://", "postgresql+psycopg://")
        config.write_text(json.dumps({"sqlalchemy_url": url, "default_target_schema": "bench", "use_copy": True}))
        tap = [str(python), str(HERE / "peers/tap_tasks.py"), tasks_url(place)]
        if step in "ec":
            state.write_text((place.folder / "out").read_text().splitlines()[-1])
            tap.append(str(state))
        return [tap, [str(python.with_name("target-postgres")), "--config", str(config)]]

    return Contender(SINGER, _steps(TASKS), command, _postgres(TASKS, "bench.tasks", SINGER_TASKS))


def floors(kind: Kind, rows: Path) -> Sequence[Contender]:
    """What takes part in first loads and their repetition; of tasks also in polls, which take little more than a start."""
    steps = _steps(kind)[:2]
    read = "tasks" if kind is TASKS else "mails"

    def floor(*words: str) -> Command:
        return [[sys.executable, str(HERE / "floors.py"), *words]]

    return [
        Contender(READ, steps, lambda place, step: floor(read, _url(place, kind))),
        Contender(COPY, steps, lambda place, step: floor("postgres", str(rows), place.dsn), _postgres(kind, kind.table)),
        Contender(BARE, steps, lambda place, step: floor("sqlite", str(rows), str(place.folder / "data.db")), _sqlite(kind, kind.table)),
        *([Contender(START, "ec", lambda place, step: [[sys.executable, str(HERE / "start.py")]])] if kind is TASKS else []),
    ]


def tasks_url(place: Place) -> str:
    """Every task, in order; only the paging is missing."""
    return f"{place.site}{LIST}?{urlencode(FLAGS)}"


def mails_url(place: Place) -> str:
    """Missive's API."""
    return f"{place.site}/v1"


def environment(contender: Contender, place: Place) -> Mapping[str, str]:
    """All that a contender's process knows."""
    return {"PATH": os.environ["PATH"], "HOME": str(place.folder), "LANG": "C.UTF-8", **contender.env(place)}


def _url(place: Place, kind: Kind) -> str:
    return tasks_url(place) if kind is TASKS else mails_url(place)


def _steps(kind: Kind) -> str:
    return "d" if kind is EMAILS else "abec"


def _postgres(kind: Kind, source: str, names: Mapping[str, str] | None = None) -> Read:
    """How to read what is compared from PostgreSQL, where columns have these names."""
    named = {name: (names or {}).get(name, name) for name in kind.compared}
    texts = [f"{named[name]}::text" for name in (kind.key, *kind.texts)]
    times = [f"to_char({named[name]} AT TIME ZONE 'UTC', '{SECOND}')" for name in kind.times]

    def read(place: Place) -> Iterator[tuple[str | None, ...]]:
        with closing(psycopg2.connect(place.dsn, options="-c timezone=UTC")) as connection, connection.cursor("rows") as cursor:
            cursor.itersize = 500
            cursor.execute(f"SELECT {', '.join(texts + times)} FROM {source}")
            yield from cursor

    return read


def _sqlite(kind: Kind, source: str) -> Read:
    texts = [f"CAST({name} AS TEXT)" for name in kind.compared]

    def read(place: Place) -> Iterator[tuple[str | None, ...]]:
        with closing(sqlite3.connect(place.folder / "data.db")) as connection:
            yield from connection.execute(f"SELECT {', '.join(texts)} FROM {source}")

    return read
