"""Deletions that wait for a person's word: how many, how large a share, and which."""

from collections.abc import Mapping, Sequence
from typing import Any

from syncjob.core.errors import Held
from syncjob.core.model import Row
from syncjob.report import number
from syncjob.store import Tx

FIRST = 3
RELEASE = "python -m syncjob once --sweep --allow-deletes"


def held(stream: str, tx: Tx) -> Mapping[str, Any]:
    """The deletions of a stream that are held: their `count`, their `share` of its live rows, and the first `titles`."""
    found = tx.walks.held((stream,))
    rows = tx.mirror.rows(stream, [each.key for each in found[:FIRST]])
    titles = [_title(each.key, rows.get(each.key)) for each in found[:FIRST]]
    live = tx.mirror.live(stream)
    return {"count": len(found), "rows": live, "share": round(len(found) / live, 3) if live else None, "titles": titles}


def told(count: int, live: int, titles: Sequence[str]) -> Held:
    """What a person is told of them."""
    named = ", ".join(map(repr, titles)) + (", ..." if count > len(titles) else "")
    message = f"{number(count)} of {number(live)} rows would be deleted at once, so nothing was: {named}"
    return Held(message, hint=f"if that is meant: {RELEASE}. If not, mend it at the source: what is shown again stays")


def _title(key: str, row: Row | None) -> str:
    data = (row.data if row else None) or {}
    return str(data.get("title") or data.get("subject") or key)[:60]
