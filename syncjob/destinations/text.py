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
    """The values cleaned, and bytes that are equal for equal values alone.

    Texts stand behind the JSON of the rest, each after a NUL, which no clean text holds: escaping bodies would
    cost more than hashing them. Unclean text is rare, and shows here: as one NUL too many, as an escaped one
    in the JSON, or because a lone surrogate does not encode.
    """
    rest, *texts = parts = _parts(values)
    joined = "\0".join(parts)
    try:
        if joined.count("\0") == len(texts) and "\\u0000" not in rest:
            return values, joined.encode()
    except UnicodeEncodeError:
        pass
    values = clean_json(values)
    return values, "\0".join(_parts(values)).encode()


def _parts(values: list[Json]) -> list[str]:
    texts = [value for value in values if isinstance(value, str)]
    return [dump(["" if isinstance(value, str) else value for value in values]), *texts]
