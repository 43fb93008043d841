"""Creates, updates and upserts: every record of a request is checked before any of them is written (reference section 2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .cells import Reader
from .errors import invalid
from .things import Base, Record, Table
from .world import AirtableWorld

Matches = dict[tuple[Any, ...], list[Record]]
MOST_RECORDS = 10
BODY = {"records", "fields", "typecast", "performUpsert", "returnFieldsByFieldId"}


@dataclass(slots=True)
class Planned:
    """One record to write: into which one (None: a new one), and its cells by field id."""

    record: Record | None
    cells: dict[str, Any]


def write(world: AirtableWorld, base: Base, table: Table, body: dict[str, Any], *, method: str) -> tuple[list[Record], list[str]]:
    """The records written, in the order of the request, and the ids of the new ones. Raises `Refused` with nothing written."""
    if set(body) - BODY:
        raise invalid("INVALID_REQUEST_UNKNOWN", f"Unknown keys: {', '.join(sorted(set(body) - BODY))}")
    given = body.get("records")
    if not isinstance(given, list) or not 0 < len(given) <= MOST_RECORDS:
        raise invalid("INVALID_RECORDS", f"You must provide an array of up to {MOST_RECORDS} record objects")
    reader = Reader(world.switches, typecast=bool(body.get("typecast")))
    merge = _merge_fields(table, body.get("performUpsert"))
    matches = _by_merge_fields(world, table, merge) if any("id" not in each for each in given if isinstance(each, dict)) else {}
    plans = [_plan(world, table, each, reader, merge, matches, method) for each in given]
    _check_room(world, base, plans)
    if merge and world.switches.twice_in_one == "422":
        _check_twice(plans, merge)
    for field, name in reader.new_choices:
        world.add_choice(field, name)
    written = [_apply(world, table, plan, clear=method == "PUT") for plan in plans]
    return written, [record.id for record, plan in zip(written, plans, strict=True) if plan.record is None]


def _merge_fields(table: Table, upsert: Any) -> Sequence[str]:
    """The ids of the fields to merge on; none without `performUpsert`."""
    if upsert is None:
        return ()
    names = upsert.get("fieldsToMergeOn") if isinstance(upsert, dict) else None
    if not isinstance(names, list) or not 1 <= len(names) <= 3:
        raise invalid("INVALID_REQUEST_UNKNOWN", "fieldsToMergeOn must have one to three fields")
    return [_field(table, name) for name in names]


def _field(table: Table, name: str) -> str:
    found = table.find_field(name)
    if found is None:
        raise invalid("UNKNOWN_FIELD_NAME", f'Unknown field name: "{name}"')
    return found.id


def _by_merge_fields(world: AirtableWorld, table: Table, merge: Sequence[str]) -> Matches:
    """The records by what they have in the fields to merge on."""
    found: Matches = {}
    for record in table.records.values() if merge else ():
        found.setdefault(tuple(_folded(world, record.cells.get(key)) for key in merge), []).append(record)
    return found


def _plan(
    world: AirtableWorld, table: Table, given: Any, reader: Reader, merge: Sequence[str], matches: Matches, method: str
) -> Planned:
    fields = given.get("fields") if isinstance(given, dict) else None
    if not isinstance(fields, dict) or set(given) - {"id", "fields"}:
        raise invalid("INVALID_RECORDS", "A record needs fields, and nothing else but an id")
    cells = {}
    for name, value in fields.items():
        key = _field(table, name)
        column = table.find_field(key)
        assert column
        cells[key] = reader.read(column, value)
    if "id" in given:
        record = table.records.get(given["id"])
        if record is None:
            raise invalid("ROW_DOES_NOT_EXIST", f"Record ID {given['id']} does not exist in this table")
        return Planned(record, cells)
    if method == "POST":
        return Planned(None, cells)
    if not merge:
        raise invalid("INVALID_RECORDS", "An update needs the record's id")
    return Planned(_match(world, cells, merge, matches), cells)


def _match(world: AirtableWorld, cells: dict[str, Any], merge: Sequence[str], matches: Matches) -> Record | None:
    if any(key not in cells for key in merge) or (world.switches.empty_key == "422" and any(cells[key] is None for key in merge)):
        raise invalid("INVALID_RECORDS", "A record lacks a field to merge on")
    found = matches.get(tuple(_folded(world, cells[key]) for key in merge), [])
    if len(found) > 1:
        raise invalid(world.switches.many_matches, "Cannot upsert: more than one record matches")
    return found[0] if found else None


def _folded(world: AirtableWorld, value: Any) -> Any:
    return value.lower() if world.switches.folds_case and isinstance(value, str) else value


def _check_room(world: AirtableWorld, base: Base, plans: Sequence[Planned]) -> None:
    new = sum(plan.record is None for plan in plans)
    if new and world.record_cap is not None and base.size + new > world.record_cap:
        raise invalid(world.switches.full_base, f"This base has reached its limit of {world.record_cap} records")


def _check_twice(plans: Sequence[Planned], merge: Sequence[str]) -> None:
    keys = [tuple(str(plan.cells[key]) for key in merge) for plan in plans if plan.record is None]
    if len(set(keys)) < len(keys):
        raise invalid("INVALID_RECORDS", "Several records of the request have one key")


def _apply(world: AirtableWorld, table: Table, plan: Planned, *, clear: bool) -> Record:
    cells = {**(dict.fromkeys(field.id for field in table.fields) if clear else {}), **plan.cells}
    return world.put_cells(table, plan.record, cells)


def parsed(body: bytes) -> dict[str, Any]:
    """A request's JSON object. Raises `Refused`."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise invalid("INVALID_REQUEST_BODY", "Could not parse request body")
    return found
