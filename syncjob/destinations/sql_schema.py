"""The tables in the database: created, checked and migrated."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import sqlalchemy as sa

from syncjob.core.errors import ConfigError
from syncjob.core.tables import Column, Table
from syncjob.destinations.sql_dialect import Dialect, Found

OURS = (Column("deleted", "bool"), Column("deleted_at", "time"), Column("synced_at", "time"), Column("row_hash"))
"""What every table has beside the contract's own columns."""

BOOKKEEPING = ("synced_at", "row_hash")
"""Ours alone: outside equality, and not shown."""

NEVER_NULL: Mapping[str, sa.ColumnElement[bool] | str] = {"deleted": sa.false(), "row_hash": ""}

VERSION = 1
"""Of the set-up as a whole. Missing columns are added without a new one."""

POSITION = Table("syncjob_position", (Column("id"), Column("mirror"), Column("epoch"), Column("seq", "int"), Column("version", "int")))
"""One row: how far this destination has read the feed, and the version of its set-up."""


def sql_table(table: Table, dialect: Dialect, metadata: sa.MetaData, *, ours: Sequence[Column] = OURS) -> sa.Table:
    """The contract's table as this database declares it. Its `info["order"]` is the order of values in a rendered row, and
    `info["shown"]` those of them that others see.

    Bodies come last: SQLite reads a row from its front, so looking up a hash behind them would read them too.
    """
    key = sa.Column(table.key, dialect.key_type, primary_key=True, nullable=False, info={"kind": "text"})
    others = [
        sa.Column(
            column.name,
            dialect.types[column.kind].create,
            nullable=column.name not in NEVER_NULL,
            server_default=NEVER_NULL.get(column.name),
            index=column.name == "email_id",
            info={"kind": column.kind},
        )
        for column in (*table.columns[1:], *ours)
    ]
    columns = [key, *sorted(others, key=lambda column: column.name.startswith("body_"))]
    shown = [column for column in (key, *others) if column.name not in BOOKKEEPING]
    return sa.Table(table.name, metadata, *columns, schema=dialect.schema, info={"order": [key, *others], "shown": shown})


def migrate(conn: sa.Connection, dialect: Dialect, tables: Sequence[sa.Table]) -> bool:
    """Create what is missing. True: something was, so all rows have to be fed again.

    A new column is empty in rows whose hash says that they are equal, so their hash is taken away.
    """
    found = _found(conn, dialect, tables)
    if problems := [problem for table in tables for problem in differences(table, found.get(table.name, {}), dialect)]:
        raise ConfigError(
            f"{dialect.title} has tables that are not syncjob's: " + "; ".join(problems),
            hint=f"rename them, or set {dialect.setting} to a place of its own",
        )
    changed = False
    for table in tables:
        if table.name not in found:
            table.create(conn)
            dialect.tune(conn, table)
            changed = True
        elif missing := [column for column in table.columns if column.name not in found[table.name]]:
            _add(conn, table, missing)
            changed = True
    return changed


def differences(table: sa.Table, found: Mapping[str, Found], dialect: Dialect) -> Iterable[str]:
    """What makes an existing table unfit, in words; nothing for one that is missing."""
    if not found:
        return
    (key,) = table.primary_key.columns
    if [column.column for column in found.values() if column.is_key] != [key.name]:
        yield f"{table.name}: {key.name} is not its primary key"
    for column in found.values():
        ours = table.columns.get(column.column)
        if ours is None and column.not_null and not column.has_default:
            yield f"{table.name}: {column.column} must not be null, and has no default"
        elif ours is not None and ours.nullable and column.not_null:
            yield f"{table.name}: {column.column} must not be null"
        elif ours is not None and column.type not in (accepted := dialect.types[ours.info["kind"]].accept):
            yield f"{table.name}: {column.column} is {column.type}, not {' or '.join(sorted(accepted))}"


def _found(conn: sa.Connection, dialect: Dialect, tables: Sequence[sa.Table]) -> Mapping[str, Mapping[str, Found]]:
    columns = sorted(dialect.columns(conn, [table.name for table in tables]))
    return {name: {column.column: column for column in group} for name, group in groupby(columns, lambda column: column.table)}


def _add(conn: sa.Connection, table: sa.Table, columns: Iterable[sa.Column[object]]) -> None:
    name = conn.dialect.identifier_preparer.format_table(table)
    for column in columns:
        definition = sa.schema.CreateColumn(column).compile(dialect=conn.dialect)
        conn.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {definition}")
    if "row_hash" in table.columns:
        conn.execute(sa.update(table).values(row_hash=""))
