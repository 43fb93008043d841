"""One run: take every step that is due, and tell how it went."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from syncjob.build import Choices, Job, build
from syncjob.core.errors import Rejected, SyncjobError, worst
from syncjob.cycle import SourcePart
from syncjob.drive import Cycle, Outcome
from syncjob.held import held as held_in
from syncjob.held import told
from syncjob.lock import hold
from syncjob.report import Report, duration, number
from syncjob.settings import Settings

VERDICTS = ("created", "updated", "restored", "deleted", "unchanged", "rejected", "out_of_scope", "inaccessible")

ASIDE = "it is of another version, or shows a bug in syncjob: keep it for its makers. Nothing is lost, it is asked for again"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run did, as its `--json` document, and its exit code."""

    exit: int
    document: Mapping[str, Any]


def run_once(settings: Settings, choices: Choices, report: Report, stop: threading.Event) -> Ran:
    """Hold the lock, run every part until none has anything due, report. Raises SyncjobError when nothing could run."""
    report.line(f"state folder: {settings.state}")
    with hold(settings.state / "lock", what="once"):
        job = build(settings, choices, stop)
        try:
            with _at_most(settings.once_max_seconds, stop):
                return run_cycle(settings, job, report, stop)
        finally:
            report.close()
            job.close()


def run_cycle(settings: Settings, job: Job, report: Report, stop: threading.Event) -> Ran:
    """Take every step that is due, and report."""
    began = datetime.now(UTC)
    job.store.tidy(began, timedelta(days=settings.history_days))
    for source in job.sources:
        source.new_cycle()
    for destination in job.destinations:
        destination.new_cycle()
    if job.files:
        job.files.new_cycle()
    outcome = _Watched(job, report, stop).run()
    return _tell(settings, job, outcome, report, began)


class _Watched:
    """A cycle that shows each finished walk and delivery as it goes."""

    def __init__(self, job: Job, report: Report, stop: threading.Event) -> None:
        self._job, self._report = job, report
        self._cycle = Cycle(job.sources, job.destinations, stop, self._step, job.files)
        self._told: dict[str, int] = {}

    def run(self) -> Outcome:
        began = monotonic()
        outcome = self._cycle.run()
        for part in self._job.destinations:
            if part.written:
                self._report.delivery(part.name, part.written, seconds=monotonic() - began)
        if (files := self._job.files) and files.done:
            self._report.line(f"{files.name}: files={number(files.done)} ({duration(monotonic() - began)})")
        return outcome

    def _step(self, name: str, take: Any) -> Any:
        self._job.under_way[name] = monotonic()
        try:
            result = self._report.step(name, take)
        finally:
            del self._job.under_way[name]
        for part in self._job.sources:
            if part.name == name:
                self._show(part)
        return result

    def _show(self, part: SourcePart) -> None:
        """Lines for the walks that ended with this step, progress for those under way."""
        with self._job.store.read() as tx:
            for id_ in part.finished[self._told.get(part.name, 0) :]:
                walk = tx.walks.details(id_)
                self._report.finished(f"{walk['stream']} {walk['kind']}")
                counts = {"fetched": walk["fetched"], **(walk["verdicts"] or {})}
                seconds = (walk["finished_at"] - walk["started_at"]).total_seconds()
                self._report.walk(walk["stream"], walk["kind"], counts, requests=walk["requests"], seconds=seconds)
            self._told[part.name] = len(part.finished)
            for under_way in tx.walks.open(part.source.stream):
                self._report.progress(f"{under_way.stream} {under_way.kind}", under_way.fetched, under_way.expected or None)


def _tell(settings: Settings, job: Job, outcome: Outcome, report: Report, began: datetime) -> Ran:
    """Report what went wrong, and put the run into one document."""
    exits = []
    for name, error in outcome.errors.items():
        if error:
            report.problem(name, error)
            exits.append(error.exit)
    for part in job.sources:
        for path in part.aside:
            report.problem(part.name, SyncjobError(f"an answer that could not be taken in was set aside: {path}", hint=ASIDE))
            exits.append(3)
    for name, later in outcome.later.items():
        report.line(f"{name}: {later.message}")
    streams: dict[str, dict[str, Any]] = {}
    held: dict[str, int] = {}
    with job.store.read() as tx:
        for part in job.sources:
            stream = part.source.stream
            walks = [tx.walks.details(id_) for id_ in (*part.finished, *(walk.id for walk in tx.walks.open(stream)))]
            exits += [3 for walk in walks if walk["error"]]
            streams[stream] = {
                "checkpoint": _time(tx.walks.stream(stream)["checkpoint"]),
                "walks": [_walk(walk, outcome.errors.get(part.name)) for walk in walks],
            }
            waiting = held_in(stream, tx)
            held[stream] = waiting["count"]
            if waiting["count"]:
                report.problem(stream, told(waiting["count"], waiting["rows"], waiting["titles"]))
            for error in dict.fromkeys(walk["error"] for walk in walks if walk["error"]):
                report.problem(stream, SyncjobError(error))
        exits += [4] * any(held.values())
        exits += [3] * _tell_dead(tx.letters.new(began), report)
        destinations = {
            reader.name: {
                "written": reader.written,
                "behind": tx.feed.behind(reader.seq),
                "dead": tx.letters.count(reader.name),
                "error": _message(outcome.errors.get(reader.name)),
            }
            for reader in job.destinations
        }
    exit_ = worst(exits)
    document = {
        "version": 1, "exit": exit_, "state": str(settings.state), "streams": streams, "destinations": destinations,
        "requests": {name: api.requests for name, api in job.apis}, "held": held,
    }  # fmt: skip
    return Ran(exit_, document)


def _tell_dead(new: Mapping[str, int], report: Report) -> bool:
    """Say which parts gave up on records for the first time; whether there were any."""
    for part, count in new.items():
        what = "1 record or list was" if count == 1 else f"{number(count)} records or lists were"
        report.problem(part, Rejected(f"{what} put aside", hint="to see why: python -m syncjob dead list"))
    return bool(new)


def _walk(walk: Mapping[str, Any], error: SyncjobError | None) -> Mapping[str, Any]:
    verdicts = walk["verdicts"] or {}
    told = walk["error"] or (None if walk["complete"] or not error else error.message)
    kept = {name: walk[name] for name in ("kind", "complete", "requests", "fetched")}
    return {**kept, **{verb: verdicts.get(verb, 0) for verb in VERDICTS}, "error": told}


def _message(error: SyncjobError | None) -> str | None:
    return error.message if error else None


def _time(time: Any) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


class _at_most:
    """Asks for a stop after some seconds, unless the block ends before."""

    def __init__(self, seconds: float | None, stop: threading.Event) -> None:
        self._timer = threading.Timer(seconds, stop.set) if seconds else None

    def __enter__(self) -> None:
        if self._timer:
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer:
            self._timer.cancel()
