"""A base's tables as they are: whether they fit the contract, and what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncjob.core.errors import ConfigError
from syncjob.core.model import EMAILS, Json
from syncjob.destinations.airtable_fields import FIELDS, FILES, Field, accepts

INIT = "python -m syncjob init airtable"


@dataclass(frozen=True, slots=True)
class Shape:
    """One table as it is: its id, the name, the type and the id of the field of each column."""

    table: str
    names: Mapping[str, str]
    types: Mapping[str, str]
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """What `init` makes: fields in a table, or (without an id) the whole table."""

    name: str
    table: str | None
    fields: Sequence[Field] = field(default_factory=tuple)


def shapes(tables: Sequence[Json], names: Mapping[str, str], *, files: bool) -> dict[str, Shape]:
    """The shape of each stream's table. Raises ConfigError that names all that does not fit. `files`: attachments are wanted."""
    found, problems = {}, []
    for stream, name in names.items():
        table = _table(tables, name)
        problems += _problems(stream, name, table, files=files)
        if table:
            found[stream] = _shape(stream, table)
    if problems:
        raise ConfigError(
            "Airtable's tables do not fit: " + "; ".join(problems),
            hint=f"mend them in Airtable, or let `{INIT}` make what is missing; nothing was written",
        )
    return found


def missing(tables: Sequence[Json], names: Mapping[str, str], *, files: bool) -> list[Missing]:
    """What has to be made so that every documented table and field is there. Raises ConfigError for a field of a wrong type."""
    found = []
    for stream, name in names.items():
        table = _table(tables, name)
        there = _fields(table) if table else {}
        fields = [each for each in documented(stream, files=files) if each.name not in there]
        wrong = [problem for problem in _problems(stream, name, table, files=files) if " is " in problem and table]
        if wrong:
            raise ConfigError("Airtable's tables do not fit: " + "; ".join(wrong), hint="change the type of the field, or rename it")
        if fields:
            found.append(Missing(table["name"] if table else name, table["id"] if table else None, fields))
    return found


def documented(stream: str, *, files: bool) -> list[Field]:
    """The fields that a stream's table must have."""
    extra = [FILES] if files and stream == EMAILS else []
    return [each for each in FIELDS[stream] if each.documented] + extra


def _shape(stream: str, table: Json) -> Shape:
    types = _fields(table)
    known = [each for each in FIELDS[stream] if each.name in types and accepts(stream, each, types[each.name])]
    id_of = {each["name"]: each["id"] for each in table["fields"]}
    names, kinds = {each.column: each.name for each in known}, {each.column: types[each.name] for each in known}
    return Shape(table["id"], names, kinds, {column: id_of[name] for column, name in names.items()})


def _problems(stream: str, name: str, table: Json, *, files: bool) -> list[str]:
    if table is None:
        return [f"there is no table {name}"]
    fields = _fields(table)
    wanted = [*documented(stream, files=files), *(each for each in FIELDS[stream] if not each.documented)]
    problems = []
    for each in wanted:
        if each.name not in fields:
            problems += [f"{name} has no field {each.name}"] if each.documented else []
        elif not accepts(stream, each, fields[each.name]) and each.documented:
            problems.append(f"{name}: {each.name} is {fields[each.name]}, not {each.type}")
    return problems


def _table(tables: Sequence[Json], name: str) -> Json:
    return next((each for each in tables if name in (each["id"], each["name"])), None)


def _fields(table: Json) -> dict[str, str]:
    return {each["name"]: each["type"] for each in table["fields"]}
