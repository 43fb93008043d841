"""`python floors.py read URL | postgres ROWS DSN | sqlite ROWS FILE`: what no program can do without, written as plainly as it can be."""

import io
import pickle
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2
import requests

COLUMNS = (
    "task_id", "project_id", "project_name", "tasklist_id", "tasklist_name", "title", "description", "status", "priority", "progress",
    "tags", "assignees", "parent_task_id", "start_at", "due_at", "created_at", "updated_at", "completed_at",
)  # fmt: skip
TYPES = {"progress": "bigint", "tags": "text[]", "assignees": "text[]", "start_at": "date", "due_at": "date"}
TYPES |= dict.fromkeys(("created_at", "updated_at", "completed_at"), "timestamptz")
BATCH = 1000
IN_ARRAY = str.maketrans({"\\": "\\\\", '"': '\\"'})
IN_COPY = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def read(url: str) -> None:
    """All pages by their number, parsed."""
    session = requests.Session()
    page, more = 1, True
    while more:
        answer = session.get(f"{url}&page={page}&pageSize=250", timeout=60).json()
        page, more = page + 1, answer["meta"]["page"]["hasMore"]


def postgres(rows: str, dsn: str) -> None:
    """COPY into a temporary table, then only what differs into the real one."""
    definition = ", ".join(f"{name} {TYPES.get(name, 'text')}" for name in COLUMNS)
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS tasks ({definition}, PRIMARY KEY (task_id))")
        cursor.execute("CREATE TEMP TABLE fresh (LIKE tasks) ON COMMIT DROP")
        cursor.copy_expert("COPY fresh FROM STDIN", io.StringIO("".join(map(_copied, _load(rows)))))
        cursor.execute(f"INSERT INTO tasks SELECT * FROM fresh ON CONFLICT (task_id) {_update('IS DISTINCT FROM')}")


def sqlite(rows: str, file: str) -> None:
    """An upsert by row, a thousand to a transaction."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"CREATE TABLE IF NOT EXISTS tasks ({', '.join(COLUMNS)}, PRIMARY KEY (task_id)) WITHOUT ROWID")
    upsert = f"INSERT INTO tasks VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT (task_id) {_update('IS NOT')}"
    values = [[str(value) if isinstance(value, list) else value for value in row] for row in _load(rows)]
    for start in range(0, len(values), BATCH):
        with connection:
            connection.executemany(upsert, values[start : start + BATCH])
    connection.close()


def _update(differs: str) -> str:
    """What is to be done about a row that is there already: nothing, unless it differs."""
    old, new = (", ".join(f"{table}.{name}" for name in COLUMNS[1:]) for table in ("tasks", "excluded"))
    return f"DO UPDATE SET ({', '.join(COLUMNS[1:])}) = ({new}) WHERE ({old}) {differs} ({new})"


def _load(file: str) -> Sequence[Sequence[Any]]:
    return pickle.loads(Path(file).read_bytes())


def _copied(row: Sequence[Any]) -> str:
    return "\t".join(map(_cell, row)) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "\\N"
    text = "{" + ",".join(f'"{item.translate(IN_ARRAY)}"' for item in value) + "}" if isinstance(value, list) else str(value)
    return text.translate(IN_COPY)


if __name__ == "__main__":
    {"read": read, "postgres": postgres, "sqlite": sqlite}[sys.argv[1]](*sys.argv[2:])
