"""`status`: how far every stream and destination is, from the state folder alone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from syncjob.core.errors import ConfigError
from syncjob.core.model import EMAILS, TASKS
from syncjob.held import held, told
from syncjob.report import Report, duration, number
from syncjob.report import account as in_words
from syncjob.settings import Settings
from syncjob.spool import ASIDE
from syncjob.store import Store, Tx

STREAMS = (TASKS, EMAILS)
SWEEPS_MISSED = 4
"""A sweep may take hours; several that did not end tell that none will."""


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
        return standing_in(tx, settings, datetime.now(UTC))


def standing_in(tx: Tx, settings: Settings, now: datetime) -> Mapping[str, Any]:
    """The same, as it stands in a transaction."""
    wanted = [stream for stream in STREAMS if stream.partition(".")[0] in settings.sources]
    known = [stream for stream in STREAMS if tx.walks.stream(stream)["checkpoint"] or tx.walks.open(stream)]
    streams = {stream: _stream(stream, tx, now) for stream in STREAMS if stream in (*wanted, *known)}
    aside = [str(path) for path in sorted((settings.state / "spool").glob(f"*/*{ASIDE}"))]
    found = {"streams": streams, "destinations": _destinations(settings, tx, now), "files": tx.files.counts(), "aside": aside}
    return {"version": 1, "state": str(settings.state), "overlap_seconds": settings.backfill_overlap_seconds, **found}


def _stream(stream: str, tx: Tx, now: datetime) -> Mapping[str, Any]:
    known = tx.walks.stream(stream)
    checkpoint, waiting = known["checkpoint"], held(stream, tx)
    return {
        "checkpoint": checkpoint and checkpoint.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "age_seconds": _seconds(checkpoint, now),
        "quiet_seconds": _seconds(known["news_at"], now),
        "swept_seconds": _seconds(known["swept_at"], now),
        "rows": known["live"],
        "deleted": tx.mirror.deleted(stream),
        "late_seconds": known["late_seconds"],
        "dead": tx.letters.count(stream.partition(".")[0]),
        "held": waiting["count"],
        "held_share": waiting["share"],
        "held_titles": waiting["titles"],
        "last": {walk["kind"]: _account(walk) for walk in tx.walks.last(stream)},
        "walks": [_walk(tx.walks.details(walk.id), now) for walk in tx.walks.open(stream)],
    }


def _account(walk: Mapping[str, Any]) -> Mapping[str, Any]:
    """A finished walk: what became of every record that it met. `fetched` is counted by itself: the rest must add up to it."""
    ended = walk["finished_at"].strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = {"complete": walk["complete"], "error": walk["error"]}
    return {"finished_at": ended, "fetched": walk["fetched"], **(walk["verdicts"] or {}), **kept}


def _seconds(since: datetime | None, now: datetime) -> int | None:
    return round((now - since).total_seconds()) if since else None


def _walk(walk: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """A walk under way. Its ETA comes from its own pace so far, where it knows how much there is."""
    spent = (now - walk["started_at"]).total_seconds()
    share = walk["fetched"] / walk["expected"] if walk["expected"] and walk["fetched"] else None
    return {
        "kind": walk["kind"], "requests": walk["requests"], "fetched": walk["fetched"], "expected": walk["expected"] or None,
        "eta_seconds": round(spent / share - spent) if share and share <= 1 else None,
    }  # fmt: skip


def _destinations(settings: Settings, tx: Tx, now: datetime) -> Mapping[str, Any]:
    noted = {found["name"]: found for found in tx.feed.noted()}
    return {
        name: {
            "behind": tx.feed.behind(noted[name]["seq"] if name in noted else 0),
            "dead": tx.letters.count(name),
            "behind_seconds": _seconds(noted[name]["behind_since"], now) if name in noted else None,
            "error": noted[name]["error"] if name in noted else None,
        }
        for name in settings.db_backend
    }


def ills(found: Mapping[str, Any], settings: Settings, max_age: float | None = None, sources: Sequence[str] = ()) -> list[str]:
    """What is not well in what `standing` found, a line each, however well every run went. No `sources`: all that are configured."""
    wanted = [stream for stream in found["streams"] if stream.partition(".")[0] in (sources or settings.sources)]
    limit = max_age or max(settings.stale_after_seconds, 3 * settings.poll_interval_seconds)
    told = [ill for stream in wanted for ill in _ills(stream, found["streams"][stream], settings, limit)]
    for name, known in found["destinations"].items():
        patience = limit + (settings.airtable_deliver_seconds if name == "airtable" else 0)
        if (known["behind_seconds"] or 0) > patience:
            told.append(f"{name}: behind for {duration(known['behind_seconds'])}" + (f" ({known['error']})" if known["error"] else ""))
    return told


def _ills(stream: str, known: Mapping[str, Any], settings: Settings, limit: float) -> Iterator[str]:
    age, quiet, swept = known["age_seconds"], known["quiet_seconds"] or 0, known["swept_seconds"] or 0
    if age is None:
        yield f"{stream}: nothing is known yet"
    elif age > limit:
        yield f"{stream}: known only up to {duration(age)} ago"
    if quiet > settings.quiet_after_seconds:
        yield f"{stream}: asked and answered, but nothing new for {duration(quiet)}"
    if swept > SWEEPS_MISSED * settings.sweep_interval_seconds:
        yield f"{stream}: not swept for {duration(swept)}"


def show(found: Mapping[str, Any], report: Report) -> None:
    """`status` for a person."""
    report.line(f"state folder: {found['state']}")
    for stream, known in found["streams"].items():
        age = f", {duration(known['age_seconds'])} ago" if known["checkpoint"] else ""
        rows = f"{number(known['rows'])} rows, {number(known['deleted'])} deleted"
        report.line(f"{stream}: known up to {known['checkpoint'] or 'nothing yet'}{age}; {rows}")
        for kind, account in known["last"].items():
            counts = {name: count for name, count in account.items() if isinstance(count, int) and not isinstance(count, bool)}
            report.line(f"  last {kind} walk {account['finished_at']}: {in_words(counts)}{'' if account['complete'] else ' (incomplete)'}")
        if known["late_seconds"] > found["overlap_seconds"]:
            late = duration(known["late_seconds"])
            report.line(f"  a change was shown {late} late, and found by a sweep: BACKFILL_OVERLAP_SECONDS should be more than that")
        if known["held"]:
            report.problem(stream, told(known["held"], known["rows"], known["held_titles"]))
        for walk in known["walks"]:
            of = f" of about {number(walk['expected'])}" if walk["expected"] else ""
            eta = f", about {duration(walk['eta_seconds'])} left" if walk["eta_seconds"] is not None else ""
            report.line(f"  {walk['kind']} walk under way: {number(walk['fetched'])}{of} records, {number(walk['requests'])} requests{eta}")
        if known["dead"]:
            report.line(f"  {number(known['dead'])} could not be read: `python -m syncjob dead list`")
    for path in found["aside"]:
        report.line(f"an answer that could not be taken in is kept: {path}")
    for name, known in found["destinations"].items():
        behind = "level" if not known["behind"] else f"{number(known['behind'])} rows behind"
        dead = f"; {number(known['dead'])} rows refused: `python -m syncjob dead list`" if known["dead"] else ""
        report.line(f"{name}: {behind}{dead}")
        if known["error"]:
            report.line(f"  last error: {known['error']}")
    if found["files"]["known"]:
        report.line("attachments: " + ", ".join(f"{number(count)} {name}" for name, count in found["files"].items() if count))
