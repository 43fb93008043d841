"""An answer that breaks its reader: a bug of ours that meets a record nobody foresaw. It must not stop its source for ever.

The records that do it become dead letters and the rest of the page is taken in. Where no record is to blame, the page is
tried in three runs, then set aside, and its walk gets on without it: incomplete, with its checkpoint unmoved.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from syncjob.absorb import absorb, take_in
from syncjob.core.errors import SyncjobError
from syncjob.core.model import CONVERSATIONS, TASKS, Json, Rejection
from syncjob.core.ports import Source
from syncjob.report import foreseen, log
from syncjob.sources.payload import rejection
from syncjob.spool import Leaf, Spool
from syncjob.store.store import Store

LISTS: Mapping[str, str] = {"tasks": TASKS, "conversations": CONVERSATIONS}
"""The lists whose records can be told apart, and their streams. A question is asked again with fewer keys instead."""
TRIES = 3
KEPT_APART = "a page of this walk broke its reader in three runs and was set aside"


class _TakenBack(Exception):
    """Ends a transaction that was only a try."""


def absorb_together(leaves: Sequence[Leaf], source: Source, store: Store, spool: Spool, now: datetime) -> bool:
    """Take several leaves into the mirror, all or nothing. False: nothing; which of them cannot be shows when each comes by itself."""
    try:
        with store.begin() as tx:
            if any(take_in(leaf, source, tx, now) for leaf in leaves):
                raise _TakenBack
    except Exception:  # noqa: BLE001  as below: what it was is told then
        return False
    for leaf in leaves:
        spool.drop(leaf)  # a crash before this line: as with a single one, see `absorb`
    return True


def absorb_or_set_aside(leaf: Leaf, source: Source, store: Store, spool: Spool, now: datetime) -> Path | None:
    """Take a leaf into the mirror, without the records that cannot be; where it was set aside, if it had to be.

    Raises what `absorb` raises, and SyncjobError when the next run shall try again.
    """
    try:
        absorb(leaf, source, store, spool, now)
        return None
    except (SyncjobError, OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  the boundary around what a vendor may send
        log.debug("%s: an answer broke its reader", source.name, exc_info=True)
        failure = foreseen(error)
    leaf = spool.failed(leaf)
    last = leaf.tries >= TRIES
    sifted, is_likely = _sifted(leaf, lambda some: _breaks(some, source, store, now), failure.message)
    if sifted and (last or is_likely or _are_known(sifted, source, store)):
        absorb(sifted, source, store, spool, now)
        return None
    if last:
        return _give_up(leaf, store, spool)
    raise failure


def _sifted(leaf: Leaf, breaks: Callable[[Leaf], bool], why: str) -> tuple[Leaf | None, bool]:
    """The leaf without the records that break its reader, None where there is no telling which those are; and whether it
    is likely that they are to blame. When every single one of several does it, the API may have changed."""
    found = leaf.answer.payload or {}
    name = next((name for name in LISTS if isinstance(found.get(name), list)), None)
    if name is None:
        return None, False

    def holding(rows: Sequence[Json], rejected: Sequence[Rejection] = ()) -> Leaf:
        body = json.dumps({**found, name: rows}).encode()
        return replace(leaf, answer=replace(leaf.answer, body=body), rejected=tuple(rejected))

    rows = found[name]
    bad = _breaking(range(len(rows)), lambda places: breaks(holding([rows[place] for place in places])))
    good = [row for place, row in enumerate(rows) if place not in bad]
    sifted = holding(good, [rejection(LISTS[name], rows[place], why) for place in bad])
    return None if breaks(sifted) else sifted, bool(good) or len(bad) == 1


def _breaking(places: Sequence[int], breaks: Callable[[Sequence[int]], bool]) -> Sequence[int]:
    """Which of these break the reader on their own, found by halving."""
    if not places or not breaks(places):
        return []
    if len(places) == 1:
        return list(places)
    middle = len(places) // 2
    return [*_breaking(places[:middle], breaks), *_breaking(places[middle:], breaks)]


def _are_known(sifted: Leaf, source: Source, store: Store) -> bool:
    with store.read() as tx:
        return all(tx.letters.find(source.name, each.key) for each in sifted.rejected)


def _breaks(leaf: Leaf, source: Source, store: Store, now: datetime) -> bool:
    """Whether taking in a leaf meets what nobody foresaw; tried in a transaction that is taken back."""
    try:
        with store.begin() as tx:
            take_in(leaf, source, tx, now)
            raise _TakenBack
    except (_TakenBack, SyncjobError):
        return False
    except Exception:  # noqa: BLE001  as above
        return True


def _give_up(leaf: Leaf, store: Store, spool: Spool) -> Path:
    """Set a leaf aside. Its walk would only ask for it again: a changes walk ends its list here, others wait behind it."""
    with store.begin() as tx:
        walk = tx.walks.get(leaf.walk) if leaf.walk else None
        if walk and walk.kind == "changes":
            tx.walks.update(walk.id, listed=True, wrong=KEPT_APART)
    return spool.set_aside(leaf.path)
