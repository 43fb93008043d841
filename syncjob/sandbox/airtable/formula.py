"""The few formulas that a sync needs: `{Field}='text'`, alone or several inside OR(…)."""

from __future__ import annotations

import re

from .errors import invalid
from .things import Record, Table

TERM = re.compile(r"\{((?:[^{}\\]|\\.)+)\}='((?:[^'\\]|\\.)*)'")


def matches(formula: str, table: Table) -> list[Record]:
    """The records that the formula is true for. Raises `Refused`."""
    inner = formula.removeprefix("OR(").removesuffix(")") if formula.startswith("OR(") else formula
    terms = TERM.findall(inner)
    if re.sub(r"[, ]", "", TERM.sub("", inner)) or not terms:
        raise invalid("INVALID_FILTER_BY_FORMULA", f"The formula for filtering records is invalid: {formula[:80]}")
    wanted: dict[str, set[str]] = {}
    for name, text in terms:
        field = table.find_field(_plain(name))
        if field is None:
            raise invalid("INVALID_FILTER_BY_FORMULA", f"The formula for filtering records is invalid: Unknown field names: {name.lower()}")
        wanted.setdefault(field.id, set()).add(_plain(text))
    return [record for record in table.records.values() if any(str(record.cells.get(key, "")) in texts for key, texts in wanted.items())]


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
