"""Health for machines: `/healthz`, `/metrics` and the heartbeat, from what `status` finds in the state folder."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import requests

from syncjob.build import Job
from syncjob.core.errors import SyncjobError
from syncjob.http.answers import host
from syncjob.once import VERDICTS, Ran
from syncjob.report import Report, log
from syncjob.settings import Settings
from syncjob.status import ills, standing, standing_in
from syncjob.web import Environ, StartResponse, answer

PING_SECONDS = 5.0


class Health:
    """What a service knows of itself: where the job stands, and what its cycles did since it was started."""

    def __init__(self, settings: Settings, job: Job, report: Report) -> None:
        self._settings, self._job, self._report = settings, job, report
        self._rows: Counter[tuple[str, str]] = Counter()
        self._cycles: Counter[tuple[str]] = Counter()
        self._seconds = 0.0
        self._pinging: threading.Thread | None = None

    def note(self, ran: Ran, seconds: float) -> None:
        """Count what a cycle did; if all was well, tell the heartbeat's watcher."""
        self._cycles[(str(ran.exit),)] += 1
        self._seconds = seconds
        for stream, found in ran.document["streams"].items():
            for walk in found["walks"]:
                self._rows.update({(stream, verb): walk[verb] for verb in VERDICTS})
        if ran.exit == 0 and not (self._pinging and self._pinging.is_alive()) and not self.ills():
            self._pinging = threading.Thread(target=_ping, args=(self._settings,), daemon=True)
            self._pinging.start()

    def ills(self) -> list[str]:
        """What is not well now."""
        return ills(self._standing(), self._settings, sources=[part.name for part in self._job.sources])

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """The WSGI application."""
        page = {"/healthz": self._healthz, "/metrics": self._metrics}.get(environ["PATH_INFO"])
        if page is None or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return answer(start, "404 Not Found", "there are /healthz and /metrics\n")
        return page(start)

    def _healthz(self, start: StartResponse) -> list[bytes]:
        try:
            told = self._report.step("health", self.ills)
        except SyncjobError as error:
            told = [error.message]
        status = "503 Service Unavailable" if told else "200 OK"
        text = json.dumps({"well": not told, "ills": [self._report.redact(ill) for ill in told]}, ensure_ascii=False)
        return answer(start, status, text + "\n", "application/json")

    def _metrics(self, start: StartResponse) -> list[bytes]:
        try:
            from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
        except ImportError:
            return answer(start, "501 Not Implemented", "/metrics needs a package: pip install 'syncjob[health]'\n")
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Families(self._measured))
        try:
            return answer(start, "200 OK", self._report.step("metrics", lambda: generate_latest(registry)).decode(), CONTENT_TYPE_LATEST)
        except SyncjobError as error:
            return answer(start, "503 Service Unavailable", f"{error.message}\n")

    def _standing(self) -> Mapping[str, Any]:
        with self._job.store.read() as tx:
            return standing_in(tx, self._settings, datetime.now(UTC))

    def _measured(self) -> Iterator["Measure"]:
        found, apis = self._standing(), self._job.apis
        yield "gauge", "healthy", "1 if all is well", (), {(): not self.ills()}
        for label, gauges in (("stream", STREAM_GAUGES), ("destination", DESTINATION_GAUGES)):
            parts = found[f"{label}s"]
            for name, key, text in gauges:
                yield "gauge", name, text, (label,), {(part,): known[key] or 0 for part, known in parts.items()}
        yield "counter", "rows", "records that walks met, by verdict", ("stream", "verb"), self._rows
        yield "counter", "cycles", "cycles, by what their exit code would be", ("exit",), self._cycles
        yield "gauge", "cycle_seconds", "how long the last cycle took", (), {(): self._seconds}
        yield "counter", "requests", "requests sent", ("source",), {(name,): api.requests for name, api in apis}
        yield "counter", "requests_refused", "requests over the limit (429)", ("source",), {(name,): api.refused for name, api in apis}
        left = {(name, f"{window.limit}/{window.seconds}"): n for name, api in apis for window, n in api.budget_left().items()}
        yield "gauge", "budget_left", "requests that a window still allows", ("source", "window"), left


Measure = tuple[str, str, str, Sequence[str], Mapping[Any, float]]
"""Its kind, name, meaning, labels, and the value for each choice of labels."""

STREAM_GAUGES = (
    ("age_seconds", "age_seconds", "how long ago everything was known last"),
    ("quiet_seconds", "quiet_seconds", "how long ago there was something new"),
    ("swept_seconds", "swept_seconds", "how long ago the last sweep ended"),
    ("live_rows", "rows", "live rows in the mirror"),
    ("held_deletions", "held", "deletions that wait for a person's word"),
    ("unreadable_records", "dead", "dead letters: records that could not be read"),
)
DESTINATION_GAUGES = (
    ("feed_lag_rows", "behind", "rows not delivered yet"),
    ("behind_seconds", "behind_seconds", "for how long it has been behind"),
    ("refused_rows", "dead", "dead letters: rows that it refused"),
)


class _Families:
    """Measures as prometheus_client collects them."""

    def __init__(self, measured: Callable[[], Iterator[Measure]]) -> None:
        self._measured = measured

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        kinds = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
        for kind, name, text, labels, values in self._measured():
            family = kinds[kind](f"syncjob_{name}", text, labels=labels)
            for chosen, value in values.items():
                family.add_metric(chosen, float(value))
            yield family


def beat(settings: Settings) -> None:
    """After a run that went well: tell the heartbeat's watcher, if all is well."""
    if settings.heartbeat_url and not ills(standing(settings), settings):
        _ping(settings)


def _ping(settings: Settings) -> None:
    """Tell the watcher at HEARTBEAT_URL, if there is one. It hears of any failure by hearing nothing."""
    if settings.heartbeat_url:
        url = settings.heartbeat_url.get_secret_value()
        try:
            requests.get(url, timeout=PING_SECONDS, stream=True).close()
        except requests.RequestException as error:
            log.info("the heartbeat did not reach %s (%s)", host(url), type(error).__name__)
