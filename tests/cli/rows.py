"""What the databases hold, read without any of our own code, and what the sandbox says they should."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg2

from syncjob.sandbox import Sandbox

Tables = Mapping[str, Mapping[str, Mapping[str, Any]]]

KEYS = {"tasks": "task_id", "emails": "email_id", "attachments": "attachment_id"}
LISTS = {"tags", "assignees", "to_addresses", "cc_addresses", "bcc_addresses", "labels", "source_links"}
DATES = {"start_at", "due_at"}
TIMES = {"created_at", "updated_at", "completed_at", "sent_at", "received_at", "deleted_at", "synced_at"}
BOOLS = {"deleted", "inline"}


def truth(sandbox: Sandbox) -> Tables:
    """What a perfect mirror holds now."""
    found = sandbox.truth
    return {"tasks": found.tasks(), "emails": found.emails(), "attachments": found.attachments()}


def difference(database: Path | str, sandbox: Sandbox) -> list[str]:
    """Every live row and column in which a database differs from the truth; nothing when all is well."""
    found, expected = read(database), truth(sandbox)
    problems = []
    for table, rows in expected.items():
        live = {key: row for key, row in found[table].items() if not row["deleted"]}
        problems += [f"{table} {key}: missing" for key in sorted(rows.keys() - live.keys())]
        problems += [f"{table} {key}: too many" for key in sorted(live.keys() - rows.keys())]
        for key in rows.keys() & live.keys():
            pairs = [(name, live[key].get(name), value) for name, value in rows[key].items()]
            problems += [f"{table} {key}.{name}: {is_!r}, not {should!r}" for name, is_, should in pairs if is_ != should]
    return problems


def read(database: Path | str) -> Tables:
    """All rows by key, `synced_at` and `row_hash` included. A path is SQLite's, a text a DSN; there also `xmin`."""
    if isinstance(database, Path):
        with closing(sqlite3.connect(database)) as connection:
            connection.row_factory = sqlite3.Row
            return {table: _keyed(table, [_decoded(dict(row)) for row in connection.execute(f"SELECT * FROM {table}")]) for table in KEYS}
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        return {table: _keyed(table, _all(cursor, f"SELECT *, xmin::text FROM {table}")) for table in KEYS}


def written(dsn: str) -> Mapping[str, tuple[int, int, int]]:
    """PostgreSQL's own counters: rows inserted, updated and deleted by table, our bookkeeping included."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        found = _all(cursor, "SELECT relname, n_tup_ins i, n_tup_upd u, n_tup_del d FROM pg_stat_user_tables")
        return {row["relname"]: (row["i"], row["u"], row["d"]) for row in found}


def mirror(state: Path) -> Mapping[str, tuple[Any, ...]]:
    """The mirror's rows: digest, seq and deletion by stream and key."""
    with closing(sqlite3.connect(f"file:{state / 'mirror.db'}?mode=ro", uri=True)) as connection:
        return {f"{row[0]} {row[1]}": tuple(row[2:]) for row in connection.execute("SELECT stream, key, digest, seq, deleted_at FROM rows")}


def _all(cursor: Any, query: str) -> list[dict[str, Any]]:
    cursor.execute(query)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _keyed(table: str, rows: list[dict[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    found = {row[KEYS[table]]: row for row in rows}
    assert len(found) == len(rows), f"{table} has a key twice"
    return found


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if name in LISTS:
        return json.loads(value)
    if name in TIMES:
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if name in DATES else bool(value) if name in BOOLS else value
