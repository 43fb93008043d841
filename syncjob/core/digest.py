"""Content hashes: canonical JSON, missing values and empty lists dropped, the version first.

Dropping them means that a column which joins later does not touch old digests. An empty text is none of them: it is what the
source said. A digest has two halves, `2-<data>-<body>`, so that a record observed without its body is compared by its data alone.
"""

import hashlib
import json
from collections.abc import Mapping

from syncjob.core.model import Json

VERSION = "2"
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


def digest(data: Mapping[str, Json] | None, body: Mapping[str, Json] | None, *, before: str = "") -> str:
    """The digest of a record; a missing body keeps that half of the digest `before`."""
    kept = before.rpartition("-")[2]
    return f"{VERSION}-{fingerprint(data)}-{kept if body is None else fingerprint(body)}"


def fingerprint(value: Mapping[str, Json] | None) -> str:
    """A short hash of JSON values that does not depend on the order of keys nor on what is not there."""
    if value is None:
        return ""
    filled = {name: item for name, item in value.items() if item or item in (0, "")}  # False is 0, too
    return hashlib.blake2b(_canonical(filled).encode("ascii"), digest_size=12).hexdigest()
