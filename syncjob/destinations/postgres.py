"""PostgreSQL as a destination, through psycopg2."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import psycopg2
from psycopg2.extras import execute_values
from sqlalchemy import URL, Column, ColumnElement, Connection, Engine, Table, any_, bindparam, create_engine, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateSchema
from sqlalchemy.types import BigInteger, Boolean, Date, Text

from syncjob.core.errors import ConfigError, Rejected, SyncjobError, Transient
from syncjob.core.model import Json
from syncjob.core.tables import Kind
from syncjob.destinations.dsn import QUOTING
from syncjob.destinations.sql_dialect import LOCK_SECONDS, Dialect, Found, SqlType, original, upsert_sql
from syncjob.destinations.text import dump

STATEMENT_BYTES = 1_000_000
STATEMENT_ROWS = 500
STATEMENT_SECONDS = 120
CONNECT = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "client_encoding": "utf8", "application_name": "syncjob",
}  # fmt: skip
TYPES: Mapping[Kind, SqlType] = {
    "text": SqlType(Text(), frozenset({"text", "character varying"})),
    "int": SqlType(BigInteger(), frozenset({"bigint", "integer"})),
    "bool": SqlType(Boolean(), frozenset({"boolean"})),
    "date": SqlType(Date(), frozenset({"date"})),
    "time": SqlType(TIMESTAMP(timezone=True), frozenset({"timestamp with time zone"})),
    "list": SqlType(ARRAY(Text()), frozenset({"text[]", "character varying[]"})),
    "json": SqlType(JSONB(), frozenset({"jsonb", "json"})),
}
ENCODE: Mapping[Kind, Callable[[Json], Any]] = {"json": dump}
DECODE: Mapping[Kind, Callable[[Any], Json]] = {}

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
           a.attnotnull, a.atthasdef OR a.attidentity <> '', coalesce(a.attnum = ANY (i.indkey), false)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE n.nspname = %s AND c.relname = ANY (%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

LOGIN = ("refused the user or the password of PG_DSN", "correct PG_DSN; " + QUOTING)
DATABASE = ("does not have the database of PG_DSN", "create it (createdb NAME), or correct PG_DSN")
OPTION = ("cannot be used with the options of PG_DSN", "correct what follows the ? in PG_DSN")
RIGHTS = ("does not let the user of PG_DSN do this", "grant it CREATE and USAGE on the schema, or set PG_SCHEMA to one it owns")
CONFIG = {"28": LOGIN, "3D": DATABASE, "3F": ("does not have the schema of PG_SCHEMA", "create it, or correct PG_SCHEMA"), "42501": RIGHTS}
TRANSIENT = {
    "53100": ("has no disk space left", "free some space; the next run tries again"),
    "53300": ("has no free connection", "the next run tries again"),
    "55P03": ("is in use: another program is writing", "look for another syncjob, or a long transaction; the next run tries again"),
    "57014": (f"took more than {STATEMENT_SECONDS} s for a statement", "the next run tries again"),
    "25006": ("is read-only at the moment", "is PG_DSN the address of a replica? The next run tries again"),
    "42": ("had a table changed meanwhile", "the next run prepares the tables again"),
}
REJECTED = ("22", "23", "54", "P0001")
"""SQLSTATEs that speak of a row: data, constraints, limits, and a trigger that the user wrote."""
CLASSES = re.compile("0[012389ABFLPZ]|10|2[0-8BDF]|3[489BDF]|4[024]|5[34578]|72|F0|HV|P0|XX")
"""PostgreSQL's own: https://www.postgresql.org/docs/current/errcodes-appendix.html. A trigger made up any other one, about its row."""

UNCONNECTED = (
    (r"authentication failed|no password supplied|pg_hba\.conf|role \".*\" does not exist", LOGIN),
    (r"database \".*\" does not exist", DATABASE),
    (r"permission denied for database", RIGHTS),
    (r"invalid (dsn|connection option|\S+ value)|server does not support SSL|certificate", OPTION),
)
"""A failed connection has no SQLSTATE, only libpq's words."""


class Postgres(Dialect):
    """The `Dialect` of PostgreSQL, in one schema.

    Time-outs are set per transaction, not per session, so that a pooler in between (PgBouncer) does no harm.
    """

    title = "PostgreSQL"
    setting = "PG_SCHEMA"
    types = TYPES
    key_type = Text(collation="C")  # ordered by code point, as Python does
    encode = ENCODE
    decode = DECODE
    failure = psycopg2.Error

    def __init__(self, url: URL, schema: str) -> None:
        self._url = url
        self.schema = schema
        self._lock = int.from_bytes(blake2b(f"syncjob {schema}".encode(), digest_size=8).digest(), signed=True)

    def engine(self) -> Engine:
        options = {name: value for name, value in CONNECT.items() if name not in self._url.query}
        return create_engine(self._url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True, connect_args=options)

    def exists(self) -> bool:
        return True

    def begin(self, conn: Connection, *, write: bool) -> None:
        conn.exec_driver_sql(
            f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; "
            "SET LOCAL timezone = 'UTC'" + (f"; SELECT pg_advisory_xact_lock({self._lock})" if write else "")
        )

    def create_schema(self, conn: Connection) -> None:
        """Make the schema if it is missing: IF NOT EXISTS would ask for the right to create even if it exists."""
        if conn.exec_driver_sql("SHOW server_encoding").scalar_one() != "UTF8":
            raise ConfigError(
                "The PostgreSQL database cannot hold every text: its encoding is not UTF8",
                hint="make another one: createdb --encoding=UTF8 --template=template0 NAME",
            )
        if not conn.exec_driver_sql("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self.schema,)).first():
            conn.execute(CreateSchema(str(self.schema)))

    def columns(self, conn: Connection, tables: Sequence[str]) -> Iterable[Found]:
        return [Found(*row) for row in conn.exec_driver_sql(COLUMNS, (self.schema, list(tables)))]

    def tune(self, conn: Connection, table: Table) -> None:
        """Compress bodies with lz4: 2.5 times faster than the default. Servers before 14, or built without it, do not know it."""
        for column in table.columns:
            if column.name.startswith("body_"):
                try:
                    with conn.begin_nested():
                        name = conn.dialect.identifier_preparer.format_table(table)
                        conn.exec_driver_sql(f"ALTER TABLE {name} ALTER COLUMN {column.name} SET COMPRESSION lz4")
                except DBAPIError as error:
                    if getattr(error.orig, "pgcode", None) not in ("0A000", "42601"):
                        raise

    def among(self, column: Column[Any]) -> ColumnElement[bool]:
        return column == any_(bindparam("keys", type_=ARRAY(Text())))

    def bound(self, keys: Collection[str]) -> Any:
        return list(keys)

    def shown(self, column: Column[Any]) -> ColumnElement[Any]:
        """Times as text made by the server, which shows also those that Python cannot hold."""
        kind = column.info["kind"]
        if kind == "time":
            return func.to_char(column, 'YYYY-MM-DD"T"HH24:MI:SS"Z"').label(column.name)
        return func.to_char(column, "YYYY-MM-DD").label(column.name) if kind == "date" else column

    def sorting(self, column: Column[Any]) -> ColumnElement[Any]:
        return column.collate("C")

    def upsert(self, conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]], sizes: Sequence[int]) -> None:
        sql = upsert_sql(conn, table, "%s")
        cursor: Any = conn.connection.cursor()
        for part in statements(rows, sizes):
            execute_values(cursor, sql, part, page_size=len(part))

    def error(self, error: Exception) -> SyncjobError:
        cause = original(error)
        server = f"PostgreSQL at {self._url.host or 'the local socket'}"
        if isinstance(cause, ValueError | OverflowError):
            return Rejected("refused by PostgreSQL: a value that it cannot hold")
        code, words = getattr(cause, "pgcode", None) or "", _condition(cause)
        if code.startswith(REJECTED) or (code and not CLASSES.match(code)):
            return Rejected(f"refused by PostgreSQL: {code} {words}")
        if not code and isinstance(cause, psycopg2.Error):
            found = next((told for pattern, told in UNCONNECTED if re.search(pattern, str(cause))), None)
            if found:
                return ConfigError(f"{server} {found[0]}", hint=found[1])
            return Transient(f"{server} cannot be reached", hint="is it running, and is PG_DSN right? The next run tries again")
        if told := CONFIG.get(code) or CONFIG.get(code[:2]):
            return ConfigError(f"{server} {told[0]} ({code} {words})", hint=told[1])
        what, hint = TRANSIENT.get(code) or TRANSIENT.get(code[:2]) or ("did not answer as it should", "the next run tries again")
        return Transient(f"{server} {what} ({code} {words})", hint=hint)


def statements(rows: Sequence[tuple[Any, ...]], sizes: Sequence[int]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows in parts for one statement each: at most 500 rows and 1 MB, a larger row alone."""
    start = total = 0
    for end, size in enumerate(sizes):
        if end > start and (end - start == STATEMENT_ROWS or total + size > STATEMENT_BYTES):
            yield rows[start:end]
            start, total = end, 0
        total += size
    if rows:
        yield rows[start:]


def _condition(cause: BaseException) -> str:
    """The name of the condition, in words: `unique violation`. The server's message may hold values, this never does."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(cause).__name__).lower()
