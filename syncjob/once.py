"""One run: take every step that is due, and tell how it went."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from syncjob.build import Choices, Job, build
from syncjob.core.errors import SyncjobError, worst
from syncjob.drive import Cycle, Outcome
from syncjob.lock import hold
from syncjob.report import Report, duration, number
from syncjob.settings import Settings

VERDICTS = ("created", "updated", "restored", "deleted", "unchanged", "rejected", "out_of_scope", "inaccessible")


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
                outcome = _Watched(job, report, stop).run()
            return _tell(settings, job, outcome, report)
        finally:
            report.close()
            job.close()


class _Watched:
    """A cycle that shows each finished walk and delivery as it goes."""

    def __init__(self, job: Job, report: Report, stop: threading.Event) -> None:
        self._job, self._report = job, report
        self._cycle = Cycle(job.sources, job.destinations, stop, self._step)
        self._told: dict[str, int] = {}

    def run(self) -> Outcome:
        began = monotonic()
        outcome = self._cycle.run()
        for part in self._job.destinations:
            if part.written:
                self._report.line(f"{part.name}: {number(part.written)} rows written ({duration(monotonic() - began)})")
        return outcome

    def _step(self, name: str, take: Any) -> Any:
        result = self._report.step(name, take)
        for part in self._job.sources:
            if part.name == name:
                for walk in part.finished[self._told.get(name, 0) :]:
                    self._report.line(walk_line(self._job, walk))
                self._told[name] = len(part.finished)
                self._show_progress(part.name)
        return result

    def _show_progress(self, name: str) -> None:
        with self._job.store.read() as tx:
            for part in self._job.sources:
                if part.name == name:
                    for walk in tx.walks.open(part.source.stream):
                        self._report.progress(f"{walk.stream} {walk.kind}", walk.fetched, walk.expected)


def walk_line(job: Job, id_: int) -> str:
    """A finished walk in one line."""
    with job.store.read() as tx:
        walk = tx.walks.details(id_)
    counts = {"fetched": walk["fetched"], **{verb: (walk["verdicts"] or {}).get(verb, 0) for verb in VERDICTS}}
    shown = " ".join(f"{name}={number(count)}" for name, count in counts.items() if count or name == "fetched")
    took = duration((walk["finished_at"] - walk["started_at"]).total_seconds())
    return f"{walk['stream']} {walk['kind']}: {shown} ({number(walk['requests'])} requests, {took})"


def _tell(settings: Settings, job: Job, outcome: Outcome, report: Report) -> Ran:
    """Report what went wrong, and put the run into one document."""
    exits = []
    for name, error in outcome.errors.items():
        if error:
            report.problem(name, error)
            exits.append(error.exit)
    for name, later in outcome.later.items():
        report.line(f"{name}: {later.message}")
    streams: dict[str, dict[str, Any]] = {}
    held: dict[str, int] = {}
    with job.store.read() as tx:
        for part in job.sources:
            stream = part.source.stream
            walks = [tx.walks.details(id_) for id_ in (*part.finished, *(walk.id for walk in tx.walks.open(stream)))]
            exits += [4 if walk["held"] else 3 for walk in walks if walk["error"]]
            streams[stream] = {
                "checkpoint": _time(tx.walks.stream(stream)["checkpoint"]),
                "walks": [_walk(walk, outcome.errors.get(part.name)) for walk in walks],
            }
            held[stream] = sum(walk["held"] for walk in walks)
            for walk in walks:
                if walk["error"]:
                    report.problem(stream, SyncjobError(walk["error"]))
        exits += [3] * any(reader.parked for reader in job.destinations)
        exits += [3] * any(walk["rejected"] for found in streams.values() for walk in found["walks"])
        destinations = {
            reader.name: {
                "written": reader.written,
                "behind": tx.feed.behind(reader.seq),
                "dead": tx.walks.count_dead(reader.name),
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
