"""`status`: how far every stream and destination is, from the state folder alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from syncjob.core.errors import ConfigError
from syncjob.core.model import EMAILS, TASKS
from syncjob.report import Report, duration, number
from syncjob.settings import Settings
from syncjob.spool import ASIDE
from syncjob.store import Store, Tx

STREAMS = (TASKS, EMAILS)


@contextmanager
def known_store(settings: Settings) -> Iterator[Store]:
    """The store that runs have left. Raises ConfigError when there is none yet."""
    path = settings.state / "mirror.db"
    if not path.exists():
        raise ConfigError(f"nothing has run in {settings.state} yet", hint="run `python -m syncjob once`, or set SYNCJOB_STATE_DIR")
    store = Store(path)
    try:
        yield store
    finally:
        store.close()


def standing(settings: Settings) -> Mapping[str, Any]:
    """Everything that `status --json` prints. Raises ConfigError when there is no state yet."""
    with known_store(settings) as store, store.read() as tx:
        now = datetime.now(UTC)
        streams = {stream: _stream(stream, tx, now) for stream in STREAMS if tx.walks.stream(stream)["checkpoint"] or tx.walks.open(stream)}
        aside = [str(path) for path in sorted((settings.state / "spool").glob(f"*/*{ASIDE}"))]
        found = {"streams": streams, "destinations": _destinations(settings, tx), "aside": aside}
        return {"version": 1, "state": str(settings.state), **found}


def _stream(stream: str, tx: Tx, now: datetime) -> Mapping[str, Any]:
    known = tx.walks.stream(stream)
    checkpoint = known["checkpoint"]
    return {
        "checkpoint": checkpoint and checkpoint.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "age_seconds": checkpoint and round((now - checkpoint).total_seconds()),
        "rows": known["live"],
        "deleted": tx.mirror.deleted(stream),
        "late_seconds": known["late_seconds"],
        "dead": tx.letters.count(stream.partition(".")[0]),
        "walks": [_walk(tx.walks.details(walk.id), now) for walk in tx.walks.open(stream)],
    }


def _walk(walk: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """A walk under way. Its ETA comes from its own pace so far, where it knows how much there is."""
    spent = (now - walk["started_at"]).total_seconds()
    share = walk["fetched"] / walk["expected"] if walk["expected"] and walk["fetched"] else None
    return {
        "kind": walk["kind"], "requests": walk["requests"], "fetched": walk["fetched"], "expected": walk["expected"] or None,
        "eta_seconds": round(spent / share - spent) if share and share <= 1 else None,
    }  # fmt: skip


def _destinations(settings: Settings, tx: Tx) -> Mapping[str, Any]:
    noted = {found["name"]: found for found in tx.feed.noted()}
    return {
        name: {
            "behind": tx.feed.behind(noted[name]["seq"] if name in noted else 0),
            "dead": tx.letters.count(name),
            "error": noted[name]["error"] if name in noted else None,
        }
        for name in settings.db_backend
    }


def show(found: Mapping[str, Any], report: Report) -> None:
    """`status` for a person."""
    report.line(f"state folder: {found['state']}")
    for stream, known in found["streams"].items():
        age = f", {duration(known['age_seconds'])} ago" if known["checkpoint"] else ""
        rows = f"{number(known['rows'])} rows, {number(known['deleted'])} deleted"
        report.line(f"{stream}: known up to {known['checkpoint'] or 'nothing yet'}{age}; {rows}")
        for walk in known["walks"]:
            of = f" of about {number(walk['expected'])}" if walk["expected"] else ""
            eta = f", about {duration(walk['eta_seconds'])} left" if walk["eta_seconds"] is not None else ""
            report.line(f"  {walk['kind']} walk under way: {number(walk['fetched'])}{of} records, {number(walk['requests'])} requests{eta}")
        if known["dead"]:
            report.line(f"  {number(known['dead'])} records could not be read: `python -m syncjob dead list`")
    for path in found["aside"]:
        report.line(f"an answer that could not be taken in is kept: {path}")
    for name, known in found["destinations"].items():
        behind = "level" if not known["behind"] else f"{number(known['behind'])} rows behind"
        dead = f"; {number(known['dead'])} rows refused: `python -m syncjob dead list`" if known["dead"] else ""
        report.line(f"{name}: {behind}{dead}")
        if known["error"]:
            report.line(f"  last error: {known['error']}")
