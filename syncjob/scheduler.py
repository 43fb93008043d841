"""`run`: one process that stays up. APScheduler only wakes it; what is due is decided by `core.steps`, as for `once`."""

import random
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from apscheduler.schedulers.background import BackgroundScheduler

from syncjob.build import Choices, Job, build
from syncjob.core.errors import SyncjobError
from syncjob.core.steps import Rest
from syncjob.cycle import SourcePart
from syncjob.health import Health
from syncjob.hints import Hints, secrets
from syncjob.lock import hold
from syncjob.once import run_cycle
from syncjob.report import Report
from syncjob.settings import Settings
from syncjob.systemd import Systemd
from syncjob.tunnel import ngrok
from syncjob.web import serving

WAKE_SECONDS = 0.5
"""How soon a signal is seen, which may not wake anybody itself, and that something is due."""
JITTER = 0.1
MOST_JITTER = timedelta(seconds=5)
"""The share of a wait by which it may become longer, so that not everybody asks in the same second, and how much that is at most."""
STUCK_SECONDS = 1800.0
"""No step takes so long: a request ends after ten minutes, a statement and a batch sooner. Then the watchdog may bark."""


class Ticker:
    """When cycles run: one at a time, and only when something is due. It has neither clock nor thread, so that a test can own the time."""

    def __init__(self, sources: Sequence[SourcePart], cycle: Callable[[], object], poll: timedelta) -> None:
        self._sources, self._cycle, self._poll = sources, cycle, poll
        self._began: datetime | None = None

    def tick(self, now: datetime) -> None:
        """Run a cycle if one is due, however many were missed."""
        if self._began and now < self._began:  # the clock was set back: what was noted by it says nothing any more
            self.poll_now()
        if self.due(now) <= now:
            self._began = now
            self._cycle()

    def due(self, now: datetime) -> datetime:
        """When the next cycle is due: when a source has something to do, and at every interval, for destinations that failed."""
        if self._began is None:
            return now
        rests = [part.rest(now) or Rest(now) for part in self._sources]
        return min([self._began + self._poll, *(rest.until for rest in rests if rest.until)])

    def poll_now(self) -> None:
        """Let every source ask for changes at once."""
        for part in self._sources:
            part.poll_now()

    def hint(self, source: str) -> None:
        """Let a source ask for changes as soon as hints allow."""
        for part in self._sources:
            if part.name == source:
                part.hint()


class Service:
    """The job at work for months."""

    def __init__(self, settings: Settings, job: Job, report: Report, stop: threading.Event, systemd: Systemd) -> None:
        self._settings, self._job, self._report, self._stop, self._systemd = settings, job, report, stop, systemd
        self.health = Health(settings, job, report)
        self._poll = timedelta(seconds=settings.poll_interval_seconds)
        self._ticker = Ticker(job.sources, self._cycle, self._poll)
        self._wake = threading.Event()
        self._due = datetime.now(UTC)
        self._asked = False

    def run(self) -> None:
        """A cycle now and whenever one is due, until a stop is asked for. What fails is tried again."""
        scheduler = BackgroundScheduler(timezone=UTC)
        scheduler.add_job(self._wake.set, "interval", seconds=WAKE_SECONDS, misfire_grace_time=None)
        if self._systemd.watchdog_seconds:
            scheduler.add_job(self._sign_of_life, "interval", seconds=self._systemd.watchdog_seconds / 2, misfire_grace_time=None)
        scheduler.start()
        self._systemd.tell(READY="1", STATUS="started")
        try:
            while not self._stop.is_set():
                self._look()
                self._wake.wait(5 * WAKE_SECONDS)  # were the scheduler to die, we would only be slower
                self._wake.clear()
        finally:
            self._systemd.tell(STOPPING="1")
            scheduler.shutdown(wait=False)

    def hint(self, source: str) -> None:
        """There is news at a source, somebody says."""
        self._ticker.hint(source)
        self._asked = True
        self._wake.set()

    def on_hangup(self, number: int, frame: object) -> None:
        """Poll now. A signal interrupts anything, so it takes no lock."""
        self._ticker.poll_now()
        self._asked = True

    def _cycle(self) -> None:
        began = monotonic()
        ran = run_cycle(self._settings, self._job, self._report, self._stop)
        if not self._stop.is_set():
            self.health.note(ran, monotonic() - began)
            self._systemd.tell(STATUS="; ".join(self.health.ills()) or "all is well")

    def _look(self) -> None:
        """Tick if that is due, or asked for, or if the clock was set back. An error that no part's boundary caught waits an interval."""
        now = datetime.now(UTC)
        if not self._asked and timedelta() < self._due - now <= self._poll + MOST_JITTER:
            return
        self._asked = False
        try:
            self._due = self._report.step("syncjob", self._ticked)
        except SyncjobError as error:
            self._report.problem("syncjob", error)
            self._due = now + self._poll

    def _ticked(self) -> datetime:
        self._ticker.tick(datetime.now(UTC))
        now = datetime.now(UTC)
        wait = max(timedelta(), self._ticker.due(now) - now)
        return now + wait + min(wait * JITTER, MOST_JITTER) * random.random()

    def _sign_of_life(self) -> None:
        if all(monotonic() - since < STUCK_SECONDS for since in list(self._job.under_way.values())):
            self._systemd.tell(WATCHDOG="1")


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the service listens, as `[HOST:]PORT`; None: nowhere."""

    health: str | None = None
    hints: str | None = None
    insecure: bool = False
    tunnel: bool = False


def run_forever(
    settings: Settings, choices: Choices, report: Report, stop: threading.Event, doors: Doors, environ: Mapping[str, str]
) -> int:  # fmt: skip
    """Work until asked to stop; 0 then. Raises SyncjobError when it could not even begin."""
    report.line(f"state folder: {settings.state}")
    with ExitStack() as open_things:
        open_things.enter_context(hold(settings.state / "lock", what="run"))
        job = build(settings, choices, stop)
        open_things.callback(job.close)
        service = Service(settings, job, report, stop, Systemd(environ))
        _open(doors, service, job, settings, report, stop, open_things)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, service.on_hangup)
        service.run()
    return 0


def _open(
    doors: Doors, service: Service, job: Job, settings: Settings, report: Report, stop: threading.Event, open_things: ExitStack
) -> None:  # fmt: skip
    """Listen where that is asked for, and say so."""
    if doors.health:
        where = open_things.enter_context(serving(service.health, doors.health, flag="--health", extra="health"))
        report.line(f"health: {where}/healthz and {where}/metrics")
    if doors.hints:
        names = [part.name for part in job.sources]
        known = secrets(settings, names, doors.hints, insecure=doors.insecure, public=doors.tunnel)
        where = open_things.enter_context(serving(Hints(known, service.hint), doors.hints, flag="--hints", extra="hints"))
        if doors.tunnel:
            where = open_things.enter_context(ngrok(int(where.rpartition(":")[2]), stop))
        for name in known:
            report.line(f"{name.capitalize()} webhook: {where}/hints/{name}")
