"""What SQLite and PostgreSQL do differently, as the port that `sql` writes through."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Column, ColumnElement, Connection, Engine, Table
from sqlalchemy.types import TypeEngine

from syncjob.core.errors import SyncjobError
from syncjob.core.model import Json
from syncjob.core.tables import Kind

LOCK_SECONDS = 5
"""How long to wait for another writer."""


class SqlType(NamedTuple):
    """The type we create for a kind, and the names of all types that hold the kind's values unchanged."""

    create: TypeEngine[Any]
    accept: frozenset[str]


class Found(NamedTuple):
    """A column that a database has."""

    table: str
    column: str
    type: str
    not_null: bool
    has_default: bool
    is_key: bool


class Dialect(Protocol):
    """One kind of database."""

    title: str
    setting: str
    schema: str | None
    types: Mapping[Kind, SqlType]
    key_type: TypeEngine[Any]
    encode: Mapping[Kind, Callable[[Json], Any]]
    decode: Mapping[Kind, Callable[[Any], Json]]
    failure: type[Exception]
    """What its driver raises, if SQLAlchemy does not stand in between."""

    def engine(self) -> Engine:
        """An engine that connects when first used."""

    def exists(self) -> bool:
        """False: connecting would make the database."""

    def begin(self, conn: Connection, *, write: bool) -> None:
        """Set up the transaction. With `write`, nobody else of us writes before it ends; wait LOCK_SECONDS for that."""

    def create_schema(self, conn: Connection) -> None:
        """Make the schema if it is missing."""

    def columns(self, conn: Connection, tables: Sequence[str]) -> Iterable[Found]:
        """The columns of these tables, as far as there are any."""

    def tune(self, conn: Connection, table: Table) -> None:
        """What makes a new table faster, where the server can do it."""

    def among(self, column: Column[Any]) -> ColumnElement[bool]:
        """Is the column's value one of the parameter `keys`, as `bound` makes it? One parameter, however many."""

    def bound(self, keys: Collection[str]) -> Any:
        """The keys as the driver takes them."""

    def shown(self, column: Column[Any]) -> ColumnElement[Any]:
        """The column's value such that `decode` makes JSON of it."""

    def sorting(self, column: Column[Any]) -> ColumnElement[Any]:
        """The column compared and ordered by code point."""

    def upsert(self, conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]], sizes: Sequence[int]) -> None:
        """Insert the rows, whose values are in the table's `order`, or replace those with their key."""

    def error(self, error: Exception) -> SyncjobError:
        """The failure in our words: classified, with a hint, without any value or secret."""


def upsert_sql(conn: Connection, table: Table, values: str) -> str:
    """INSERT ... VALUES `values` ON CONFLICT DO UPDATE, all columns in the order of rendered rows."""
    quote = conn.dialect.identifier_preparer
    key, *others = [quote.format_column(column) for column in table.info["order"]]
    updates = ", ".join(f"{name} = excluded.{name}" for name in others)
    return (
        f"INSERT INTO {quote.format_table(table)} ({', '.join([key, *others])}) VALUES {values} ON CONFLICT ({key}) DO UPDATE SET {updates}"
    )


def original(error: Exception) -> BaseException:
    """The driver's error inside SQLAlchemy's."""
    return getattr(error, "orig", None) or error
