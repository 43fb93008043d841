"""Text and JSON as every database can store them."""

import json

from syncjob.core.model import Json
from syncjob.core.text import clean

dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
"""Canonical JSON: equal values give equal text."""


def clean_json(value: Json) -> Json:
    """The value with all text in it cleaned, names of members included."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(name): clean_json(item) for name, item in value.items()}
    return value


def canonical(values: list[Json]) -> tuple[list[Json], bytes]:
    """The values cleaned, and their canonical JSON.

    Dirty text is rare, so the dump that the hash needs anyway finds it: NUL shows as an escape, a lone
    surrogate does not encode. (A backslash followed by u0000 looks the same; cleaning it changes nothing.)
    """
    try:
        raw = dump(values).encode()
        if b"\\u0000" not in raw:
            return values, raw
    except UnicodeEncodeError:
        pass
    values = clean_json(values)
    return values, dump(values).encode()
