"""Statements that are compiled once and go straight to the driver.

What SQLAlchemy does at every execution takes several times as long as SQLite itself, and a step executes thirty of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVarTuple, overload

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.selectable import TypedReturnsRows

from syncjob.core import codec

DIALECT = sqlite.dialect(paramstyle="named", json_serializer=codec.written, json_deserializer=codec.read)
Columns = TypeVarTuple("Columns")
Change = Callable[[Any], Any]
Values = Mapping[str, Any]


class Found(list[tuple[Any, ...]]):
    """The rows of a result, with what SQLAlchemy's results are asked here."""

    def __init__(self, rows: Iterable[tuple[Any, ...]], names: Sequence[str]) -> None:
        super().__init__(rows)
        self._names = names

    def all(self) -> "Found":
        return self

    def first(self) -> tuple[Any, ...] | None:
        return self[0] if self else None

    def scalar(self) -> Any:
        return self[0][0] if self else None

    def scalars(self) -> list[Any]:
        return [row[0] for row in self]

    def mapping(self) -> dict[str, Any] | None:
        """The first row by column."""
        return dict(zip(self._names, self[0], strict=True)) if self else None


class Ready:
    """A statement with named parameters. An insert names the `columns` that it fills."""

    def __init__(self, statement: Any, columns: Sequence[str] | None = None) -> None:
        self._statement, self._columns = statement, columns

    def run(self, cursor: Any, values: Values | Sequence[Values]) -> Found:
        """Execute it, once for each of several values."""
        if not isinstance(values, Mapping):
            sql, encoded = self._compiled
            cursor.executemany(sql, map(encoded, values))
            return Found((), ())
        return Found(self.each(cursor, values), self._shown[0])

    def each(self, cursor: Any, values: Values) -> Iterator[tuple[Any, ...]]:
        """Execute it, and fetch the rows of its result one by one."""
        sql, encoded = self._compiled
        return map(self._shown[1], cursor.execute(sql, encoded(values)))

    @cached_property
    def _compiled(self) -> tuple[str, Callable[[Values], Values]]:
        """For SQLite, and how its values become the driver's."""
        compiled = self._statement.compile(dialect=DIALECT, column_keys=self._columns)
        constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        changes = [(name, change) for name, bind in compiled.binds.items() if (change := _encoder(bind.type))]

        def encoded(values: Values) -> Values:
            found = {**constants, **values}
            for name, change in changes:
                found[name] = change(found[name])
            return found

        return str(compiled), encoded

    @cached_property
    def _shown(self) -> tuple[Sequence[str], Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
        """The names of its result's columns, and how the driver's rows become ours."""
        columns = self._statement.selected_columns if isinstance(self._statement, sa.SelectBase) else ()
        changes = [(place, change) for place, column in enumerate(columns) if (change := _decoder(column.type))]

        def decoded(row: tuple[Any, ...]) -> tuple[Any, ...]:
            found = list(row)
            for place, change in changes:
                found[place] = change(found[place])
            return tuple(found)

        return [column.name for column in columns], decoded if changes else tuple


class Connection:
    """A connection of SQLAlchemy that also takes statements that are ready."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._cursor = connection.connection.cursor()

    @overload
    def execute(self, statement: Ready, values: Any = None) -> Found: ...
    @overload
    def execute(self, statement: TypedReturnsRows[*Columns], values: Any = None, **options: Any) -> sa.CursorResult[*Columns]: ...
    @overload
    def execute(self, statement: sa.Executable, values: Any = None, **options: Any) -> sa.CursorResult[*tuple[Any, ...]]: ...
    def execute(self, statement: Any, values: Any = None, **options: Any) -> Any:
        """The result. A statement that is ready takes one mapping of values, or several."""
        if isinstance(statement, Ready):
            return statement.run(self._cursor, {} if values is None else values)
        return self._connection.execute(statement, values, **options)

    def each(self, statement: Ready, values: Values) -> Iterator[tuple[Any, ...]]:
        """The rows of a result that may be too large to hold. Other statements may be executed meanwhile."""
        return statement.each(self._connection.connection.cursor(), values)


def _encoder(type_: Any) -> Change | None:
    found: Change | None = type_.dialect_impl(DIALECT).bind_processor(DIALECT)
    return found


def _decoder(type_: Any) -> Change | None:
    found: Change | None = type_.dialect_impl(DIALECT).result_processor(DIALECT, None)
    return found
