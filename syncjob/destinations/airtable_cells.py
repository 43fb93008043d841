"""Values as cells of a field's real type, and cells as values again. Nothing is sent yet."""

import re
from collections.abc import Mapping
from hashlib import blake2b

from syncjob.core.errors import Rejected
from syncjob.core.model import FeedRow, Json
from syncjob.core.tables import SQL_TABLES, Kind
from syncjob.destinations.airtable_fields import KINDS, ONE_LINE, TEXT
from syncjob.destinations.sql_rows import render
from syncjob.destinations.text import dump

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LINE_END = re.compile(r"\s*[\r\n\u2028\u2029]+\s*")
MOST_LONG, MOST_LINE = 100_000, 10_000
"""What a long text holds, in UTF-16 units, and what one line is good for."""

CUT = " […]"
MIDNIGHT = "T00:00:00.000Z"

Types = Mapping[str, str]
"""A table as it is: the type of the field of each column that it shows."""


def cells(row: FeedRow, types: Types) -> dict[str, Json]:
    """The cells of a row by column; None is an empty one. Raises Rejected, without naming the value, for what no table holds."""
    table = SQL_TABLES[row.stream]
    rendered = render(table, row.key, row.data, row.deleted_at)
    names = [*(column.name for column in table.columns), "deleted", "deleted_at"]
    kinds = KINDS[row.stream]
    found = {name: _cell(kinds[name], types[name], value) for name, value in zip(names, rendered.values, strict=True) if name in types}
    if found[table.key] != row.key:
        raise Rejected(f"{table.name} {row.key!r}: an id that Airtable cannot hold")
    return found


def shown(stream: str, found: Mapping[str, Json], types: Types) -> dict[str, Json]:
    """Cells, as sent or as read back, as JSON values of their columns; an empty cell is None, an unticked box False."""
    return {name: _value(KINDS[stream][name], type_, found.get(name)) for name, type_ in types.items()}


def hashed(found: Mapping[str, Json]) -> str:
    """A hash that is equal for equal cells alone."""
    return blake2b(dump(dict(found)).encode(), digest_size=16).hexdigest()


def _cell(kind: Kind, type_: str, value: Json) -> Json:
    if value is None:
        return None
    if type_ in TEXT:
        return _text(kind, value, one_line=type_ in ONE_LINE) or None
    if type_ == "singleSelect":
        return _label(str(value)) or None
    if type_ == "multipleSelects":
        return [label for label in dict.fromkeys(map(_label, value)) if label] or None
    if type_ == "date":
        return value[:10]
    if type_ == "dateTime":
        return value + MIDNIGHT if kind == "date" else value.removesuffix("Z") + ".000Z"
    return value / 100 if type_ == "percent" else value


def _text(kind: Kind, value: Json, *, one_line: bool) -> str:
    if kind == "json":
        value = value.get("web") if isinstance(value, dict) else None
    text = "\n".join(map(_label, value)) if kind == "list" else CONTROL.sub("", str(value or "" if kind == "json" else value))
    return _cut(LINE_END.sub(" ", text), MOST_LINE) if one_line else _cut(text, MOST_LONG)


def _label(text: str) -> str:
    """A name as Airtable matches it: on one line, without white space that nobody sees."""
    return " ".join(CONTROL.sub("", text).split())


def _cut(text: str, most: int) -> str:
    """The text, or as much of it as is allowed, with a mark. The whole is in the mirror."""
    if 2 * len(text) <= most or len(units := text.encode("utf-16-le")) <= 2 * most:
        return text
    return units[: 2 * (most - len(CUT))].decode("utf-16-le", "ignore") + CUT


def _value(kind: Kind, type_: str, cell: Json) -> Json:
    if kind == "bool":
        return bool(cell)
    if cell in (None, "", []):
        return None
    if kind == "list":
        return cell if type_ == "multipleSelects" else cell.split("\n")
    if kind == "json":
        return {"web": cell}
    if kind == "int":
        return _number(type_, cell)
    if type_ in TEXT or kind not in ("date", "time"):
        return cell.rstrip("\n") if type_ == "richText" else cell  # Airtable ends it with a line end of its own
    return cell[:10] if kind == "date" else cell[:10] + "T00:00:00Z" if type_ == "date" else cell[:19] + "Z"


def _number(type_: str, cell: Json) -> Json:
    if type_ == "percent":
        return round(cell * 100)
    return int(cell) if type_ == "number" else cell
