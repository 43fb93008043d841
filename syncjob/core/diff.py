"""What a page does to the mirror: a pure function of the rows it knows and the records it was shown.

The truth table, per record, top to bottom:

    row             record         verdict
    newer           any            unchanged      an older observation never wins over a newer one
    none            gone           out_of_scope   first seen when already gone: makes no row
    none, or empty  without data   out_of_scope   kept as an empty row, so that nobody asks for it again
    none, or empty  live           created
    deleted         gone           unchanged
    live            gone           deleted        applied when the walk ends, if the guard agrees
    deleted         live, proven   restored       proven: by a look-up, or stamped later than the deletion
    deleted         live           unchanged      not enough to bring a row back: see `doubts`
    live            other digest   updated
    live            same digest    unchanged
"""

from collections.abc import Iterable, Mapping

from syncjob.core.digest import digest
from syncjob.core.model import Change, Plan, Record, Row, Verb


def diff(rows: Mapping[tuple[str, str], Row], records: Iterable[Record], *, observed: int) -> Plan:
    """The changes that `records`, seen by request number `observed`, make to `rows`."""
    changes: dict[tuple[str, str], Change] = {}
    verdicts: dict[tuple[str, str], Verb] = {}
    for record in _newest(records):
        where = record.stream, record.key
        row = rows.get(where)
        verb, hashed = judge(row, record, observed=observed)
        verdicts[where] = verb
        if verb == "deleted" and record.gone:
            changes[where] = Change(verb, record, hashed, record.gone.at, record.gone.why)
        elif verb in ("created", "updated", "restored"):
            changes[where] = Change(verb, record, hashed)
        elif _quietly_new(row, record, verb, observed):
            changes[where] = Change(verb, record, hashed, fed=False)
    return Plan(tuple(changes.values()), verdicts)


def judge(row: Row | None, record: Record, *, observed: int) -> tuple[Verb, str]:
    """The verdict on one record, and its digest."""
    if row is not None and row.observed > observed:
        return "unchanged", row.digest
    hashed = digest(record.data, record.body, before=row.digest if row else "")
    if row is None or row.data is None:
        return ("out_of_scope" if record.gone or record.data is None else "created"), hashed
    if record.gone:
        return ("unchanged" if row.deleted_at else "deleted"), hashed
    if record.data is None:
        return "unchanged", row.digest  # in scope once, in scope for good: the row stays and stays current
    if row.deleted_at:
        return ("restored" if is_proven(row, record) else "unchanged"), hashed
    return ("unchanged" if hashed == row.digest else "updated"), hashed


def is_proven(row: Row, record: Record) -> bool:
    """Whether a record that was shown live may bring its deleted row back."""
    later = record.updated_at and row.deleted_at and record.updated_at > row.deleted_at
    return record.proven or bool(later)


def doubts(rows: Mapping[tuple[str, str], Row], records: Iterable[Record]) -> list[Record]:
    """Records shown live while their row is deleted, without proof: a look-up has to decide."""
    pairs = ((rows.get((record.stream, record.key)), record) for record in records if not record.gone)
    return [record for row, record in pairs if row and row.deleted_at and row.data is not None and not is_proven(row, record)]


def _newest(records: Iterable[Record]) -> Iterable[Record]:
    """Each key once: where one page shows a key twice, the later stamp wins, then the later place."""
    best: dict[tuple[str, str], Record] = {}
    for record in records:
        other = best.get((record.stream, record.key))
        if other and other.updated_at and record.updated_at and other.updated_at > record.updated_at:
            continue
        best[record.stream, record.key] = record
    return best.values()


def _quietly_new(row: Row | None, record: Record, verb: Verb, observed: int) -> bool:
    """Whether something changed that no destination shows: a version, a parent, a place out of scope."""
    if record.gone or (row and row.observed > observed):
        return False
    if row is None:
        return verb == "out_of_scope"
    if row.deleted_at and row.data is not None:
        return False
    seen = (record.version or row.version, record.parent or row.parent)
    return seen != (row.version, row.parent) or (
        verb == "unchanged" and row.data is not None and record.updated_at not in (None, row.updated_at)
    )
