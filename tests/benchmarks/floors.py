"""`python floors.py tasks|mails URL | postgres ROWS DSN | sqlite ROWS FILE`: what no program can do without, as plainly as it can be."""

import io
import pickle
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg2
import requests
from peers.crawl import mails

BATCH = 1000
IN_ARRAY = str.maketrans({"\\": "\\\\", '"': '\\"'})
IN_COPY = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def read_tasks(url: str) -> None:
    """All pages by their number, parsed."""
    session = requests.Session()
    page, more = 1, True
    while more:
        answer = session.get(f"{url}&page={page}&pageSize=250", timeout=60).json()
        page, more = page + 1, answer["meta"]["page"]["hasMore"]


def read_mails(url: str) -> None:
    """All lists and bodies, parsed."""
    for _ in mails(requests.Session(), url):
        pass


def postgres(file: str, dsn: str) -> None:
    """COPY into a temporary table, then only what differs into the real one."""
    table, columns, rows = _load(file)
    definition = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({definition}, PRIMARY KEY ({next(iter(columns))}))")
        cursor.execute(f"CREATE TEMP TABLE fresh (LIKE {table}) ON COMMIT DROP")
        cursor.copy_expert("COPY fresh FROM STDIN", io.StringIO("".join(map(_copied, rows))))
        cursor.execute(f"INSERT INTO {table} SELECT * FROM fresh {_conflict(table, columns, 'IS DISTINCT FROM')}")


def sqlite(file: str, database: str) -> None:
    """An upsert by row, a thousand to a transaction."""
    table, columns, rows = _load(file)
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)}, PRIMARY KEY ({next(iter(columns))}))")
    upsert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))}) {_conflict(table, columns, 'IS NOT')}"
    values = [[str(value) if isinstance(value, list) else value for value in row] for row in rows]
    for start in range(0, len(values), BATCH):
        with connection:
            connection.executemany(upsert, values[start : start + BATCH])
    connection.close()


def _conflict(table: str, columns: Mapping[str, str], differs: str) -> str:
    """What is to be done about a row that is there already: nothing, unless it differs."""
    key, *others = columns
    old, new = (", ".join(f"{place}.{name}" for name in others) for place in (table, "excluded"))
    return f"ON CONFLICT ({key}) DO UPDATE SET ({', '.join(others)}) = ({new}) WHERE ({old}) {differs} ({new})"


def _load(file: str) -> tuple[str, Mapping[str, str], Sequence[Sequence[Any]]]:
    found: tuple[str, Mapping[str, str], Sequence[Sequence[Any]]] = pickle.loads(Path(file).read_bytes())
    return found


def _copied(row: Sequence[Any]) -> str:
    return "\t".join(map(_cell, row)) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "\\N"
    text = "{" + ",".join(f'"{item.translate(IN_ARRAY)}"' for item in value) + "}" if isinstance(value, list) else str(value)
    return text.translate(IN_COPY)


if __name__ == "__main__":
    {"tasks": read_tasks, "mails": read_mails, "postgres": postgres, "sqlite": sqlite}[sys.argv[1]](*sys.argv[2:])
