"""What a field accepts, and what it keeps of it (reference section 3)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from ..exchange import Refused
from ..switches import AirtableSwitches
from .errors import invalid
from .things import COMPUTED, NUMBERS, TEXTS, Field

LONGEST = 100_000  # UTF-16 units in a text
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(slots=True)
class Reader:
    """Turns written values into kept ones. New choices are only noted: nothing is applied before all records are valid."""

    switches: AirtableSwitches
    typecast: bool
    new_choices: list[tuple[Field, str]] = field(default_factory=list)

    def read(self, column: Field, value: Any) -> Any:
        """The kept value; None for an empty cell. Raises `Refused` with a 422."""
        if column.type in COMPUTED:
            raise _unacceptable(column, "a value because the field is computed")
        if value is None:
            return None
        if column.type in TEXTS:
            return self._text(column, value)
        if column.type in NUMBERS:
            return _number(column, value, typecast=self.typecast)
        return _READERS[column.type](self, column, value)

    def _text(self, column: Field, value: Any) -> str | None:
        if self.typecast and isinstance(value, int | float):
            value = str(value)
        if not isinstance(value, str):
            raise _unacceptable(column)
        if self.switches.control_characters == "422" and CONTROL.search(value):
            raise _unacceptable(column)
        units = value.encode("utf-16-le", "surrogatepass")
        if len(units) > 2 * LONGEST:
            if self.switches.long_text == "422":
                raise _unacceptable(column)
            value = units[: 2 * LONGEST].decode("utf-16-le", "ignore")
        return value or None

    def _checkbox(self, column: Field, value: Any) -> bool | None:
        if self.typecast and isinstance(value, str):
            value = value.lower() in ("true", "1", "yes")
        if not isinstance(value, bool):
            raise _unacceptable(column)
        return value or None

    def _date(self, column: Field, value: Any) -> str:
        if isinstance(value, str) and self.switches.time_in_date == "cut":
            value = value[:10]
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise _unacceptable(column)
        return _checked(column, lambda: date.fromisoformat(value).isoformat())

    def _time(self, column: Field, value: Any) -> str:
        if not isinstance(value, str):
            raise _unacceptable(column)
        return _checked(column, lambda: _utc(datetime.fromisoformat(value)))

    def _select(self, column: Field, value: Any) -> str | None:
        if not isinstance(value, str):
            raise _unacceptable(column)
        return self._choice(column, value) if value else None

    def _selects(self, column: Field, value: Any) -> list[str] | None:
        if self.typecast and isinstance(value, str):
            value = [each.strip() for each in value.split(",")]
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise _unacceptable(column)
        return [self._choice(column, each) for each in dict.fromkeys(value)] or None

    def _choice(self, column: Field, name: str) -> str:
        if name not in column.choices and (column, name) not in self.new_choices:
            if not self.typecast or not self.switches.creates_choices or not name.strip():
                raise invalid("INVALID_MULTIPLE_CHOICE_OPTIONS", f'Insufficient permissions to create new select option ""{name}""')
            self.new_choices.append((column, name))
        return name

    def _attachments(self, column: Field, value: Any) -> list[dict[str, Any]] | None:
        """As written: the world gives them ids."""
        if not isinstance(value, list):
            raise _unacceptable(column)
        for each in value:
            keys = set(each) if isinstance(each, dict) else set()
            if keys not in ({"id"}, {"url"}, {"url", "filename"}) or not str(each.get("url", "http:")).startswith(("http:", "https:")):
                raise invalid("INVALID_ATTACHMENT_OBJECT", f'Invalid attachment object for field "{column.name}"')
        return value or None


_READERS: dict[str, Callable[[Reader, Field, Any], Any]] = {
    "checkbox": Reader._checkbox,
    "date": Reader._date,
    "dateTime": Reader._time,
    "singleSelect": Reader._select,
    "multipleSelects": Reader._selects,
    "multipleAttachments": Reader._attachments,
}


def _number(column: Field, value: Any, *, typecast: bool) -> float:
    if typecast and isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _unacceptable(column)
    return value


def _utc(moment: datetime) -> str:
    """Milliseconds in UTC; a naive time is read in the field's zone, which is UTC here."""
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _checked(column: Field, read: Callable[[], str]) -> str:
    try:
        return read()
    except (ValueError, OverflowError):
        raise _unacceptable(column) from None


def _unacceptable(column: Field, what: str = "the provided value") -> Refused:
    return invalid("INVALID_VALUE_FOR_COLUMN", f'Field "{column.name}" cannot accept {what}')
