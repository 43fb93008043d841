"""Whoever looks, by `/healthz`, by `status --max-age` or by waiting for the heartbeat, is told what is not well."""

import json
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from syncjob.core.errors import ConfigError
from syncjob.sandbox import Fault, Kind, Response, Sandbox
from syncjob.settings import Settings, load
from syncjob.status import ills
from syncjob.web import address
from tests.cli.job import Job

from .service import Service, running, until

KEYS = {"TEAMWORK_BASE_URL": "https://example.com", "TEAMWORK_API_KEY": "k", "MISSIVE_API_TOKEN": "t"}
WELL_STREAM = {"age_seconds": 30, "quiet_seconds": 3600, "swept_seconds": 7200}
WELL = {
    "streams": {"teamwork.tasks": WELL_STREAM, "missive.emails": WELL_STREAM},
    "destinations": {"sqlite": {"behind_seconds": None, "error": None}},
}


class Watcher:
    """Who waits for the heartbeat; counts its beats."""

    def __init__(self) -> None:
        watcher = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                watcher.beats += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.beats = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/ping/0123456789"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    yield watcher
    watcher.server.shutdown()
    watcher.server.server_close()


def settings(**more: str) -> Settings:
    return load({**KEYS, **more}, cwd=Path("/nowhere"))


def changed(where: str, part: str, **values: Any) -> dict[str, Any]:
    """The well standing, but for one part."""
    return {**WELL, where: {**WELL[where], part: {**WELL[where][part], **values}}}


def door(service: Service) -> str:
    """Where its health can be asked for."""
    service.until_printed("/metrics")
    found = re.search(r"health: (http://\S+)/healthz", service.out)
    assert found
    return found[1]


def asked(url: str) -> tuple[int, Any]:
    found = requests.get(f"{url}/healthz", timeout=10)
    return found.status_code, found.json()


# -- what is ill


def test_well_is_what_nothing_speaks_against() -> None:
    assert ills(WELL, settings()) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (changed("streams", "teamwork.tasks", age_seconds=901), "teamwork.tasks: known only up to 15 m 1 s ago"),
        (changed("streams", "missive.emails", age_seconds=None), "missive.emails: nothing is known yet"),
        (changed("streams", "missive.emails", quiet_seconds=259_201), "missive.emails: asked and answered, but nothing new for 3 d 0 h"),
        (changed("streams", "teamwork.tasks", swept_seconds=86_401), "teamwork.tasks: not swept for 1 d 0 h"),
        (changed("destinations", "sqlite", behind_seconds=1000, error="full"), "sqlite: behind for 16 m 40 s (full)"),
    ],
)  # fmt: skip
def test_each_ill_is_told(found: dict[str, Any], told: str) -> None:
    assert ills(found, settings()) == [told]


def test_limits_are_the_users() -> None:
    old = changed("streams", "teamwork.tasks", age_seconds=5000)
    assert ills(old, settings(STALE_AFTER_SECONDS="5001")) == []
    assert ills(old, settings(POLL_INTERVAL_SECONDS="1700")) == [], "three polls may go by"
    assert ills(old, settings(), max_age=5001) == []
    assert ills(WELL, settings(), max_age=29)
    assert ills(WELL, settings(QUIET_AFTER_SECONDS="3599"))


def test_only_sources_that_are_asked_are_judged() -> None:
    old = changed("streams", "missive.emails", age_seconds=5000)
    assert ills(old, settings(), sources=["teamwork"]) == []
    assert ills(old, settings(MISSIVE_API_TOKEN="")) == []


def test_airtable_may_be_behind_as_long_as_it_is_meant_to_be() -> None:
    late = {**WELL, "destinations": {"airtable": {"behind_seconds": 4000, "error": None}}}
    assert ills(late, settings())
    assert ills(late, settings(AIRTABLE_DELIVER_SECONDS="3600")) == []


# -- who is told


def test_a_stream_that_silently_stops_moving_is_told_by_all_three(job: Job, sandbox: Sandbox, watcher: Watcher) -> None:
    limits = {"QUIET_AFTER_SECONDS": "10", "HEARTBEAT_URL": watcher.url}
    with running(job, "--health", "0", **limits) as service:
        url = door(service)
        stop = keep_busy(sandbox)
        until(lambda: asked(url)[0] == 200)
        until(lambda: watcher.beats)
        assert job.call("status", "--max-age", "15m", **limits).exit == 0
        freeze(sandbox, "missive")
        until(lambda: "missive.emails: asked and answered, but nothing new" in str(asked(url)))
        assert asked(url)[0] == 503
        time.sleep(1)
        beats = watcher.beats
        ran = job.call("status", "--max-age", "15m", **limits)
        assert ran.exit == 3
        assert "missive.emails: asked and answered, but nothing new" in ran.err
        polls = len(sandbox.requests("missive"))
        until(lambda: len(sandbox.requests("missive")) > polls + 4)
        assert watcher.beats == beats
        assert "stream=missive.emails kind=changes" in service.out, "and yet every run went well"
        stop.set()
        service.stop()
        assert service.process.returncode == 0


def freeze(sandbox: Sandbox, face: str) -> None:
    """From now on it answers 200 with what it knew, under a fresh Date: its world moves on unseen."""
    old: dict[tuple[str, str], Response] = {}
    live = sandbox._faces[face].respond

    def respond(request: Any) -> Response:
        key = (request.path, str(sorted(request.params.items())))
        if key not in old:
            with sandbox.world.lock:
                old[key] = live(request)
        return old[key]

    sandbox._faces[face].respond = respond  # type: ignore[method-assign]


def keep_busy(sandbox: Sandbox) -> threading.Event:
    """Teamwork's world goes on: a task changes every second."""
    stop, task = threading.Event(), int(next(iter(sandbox.truth.tasks())))

    def work() -> None:
        while not stop.wait(1):
            sandbox.world.teamwork.edit_task(task, name=f"at {time.monotonic()}")

    threading.Thread(target=work, daemon=True).start()
    return stop


def test_once_beats_only_after_a_run_in_which_all_was_well(job: Job, sandbox: Sandbox, watcher: Watcher) -> None:
    assert job.once(HEARTBEAT_URL=watcher.url).exit == 0
    assert watcher.beats == 1
    sandbox.faults.always(".*", Fault(Kind.ERROR_EMPTY), face="missive")
    assert job.once(HEARTBEAT_URL=watcher.url).exit == 3
    assert watcher.beats == 1
    sandbox.faults.clear()
    with closing(sqlite3.connect(job.state / "mirror.db")) as connection, connection:
        long_ago = (datetime.now(UTC) - timedelta(days=4)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        connection.execute("UPDATE streams SET news_at = ?", [long_ago])
    assert job.once(HEARTBEAT_URL=watcher.url).exit == 0
    assert watcher.beats == 1


def test_a_watcher_that_cannot_be_reached_spoils_no_run_and_is_not_named_with_its_secret(job: Job) -> None:
    ran = job.once(HEARTBEAT_URL="http://127.0.0.1:9/ping/0123456789")
    assert ran.exit == 0
    assert "127.0.0.1:9" in ran.err
    assert "0123456789" not in ran.all


def test_metrics_say_what_was_done_and_what_is_left(job: Job, sandbox: Sandbox) -> None:
    with running(job, "--health", "127.0.0.1:0", MISSIVE_RATE_LIMIT="5000/60 9000/900") as service:
        url = door(service)
        service.until_printed("destination=sqlite written")
        until(lambda: asked(url)[0] == 200 and job.differences() == [])
        until(lambda: "syncjob_cycles_total" in requests.get(f"{url}/metrics", timeout=10).text)
        found = dict(line.rsplit(" ", 1) for line in requests.get(f"{url}/metrics", timeout=10).text.splitlines() if line[0] != "#")
        service.stop()
    assert found["syncjob_healthy"] == "1.0"
    assert float(found['syncjob_rows_total{stream="teamwork.tasks",verb="created"}']) == len(sandbox.truth.tasks())
    assert float(found['syncjob_live_rows{stream="missive.emails"}']) == len(sandbox.truth.emails())
    assert 0 < float(found['syncjob_requests_total{source="teamwork"}']) <= len(sandbox.requests("teamwork"))
    assert 8000 < float(found['syncjob_budget_left{source="missive",window="9000/900"}']) < 9000
    assert float(found['syncjob_feed_lag_rows{destination="sqlite"}']) == 0
    assert {
        "syncjob_cycle_seconds",
        'syncjob_age_seconds{stream="teamwork.tasks"}',
        'syncjob_refused_rows{destination="sqlite"}',
    } <= found.keys()


def test_the_door_does_nothing_else(job: Job) -> None:
    with running(job, "--health", "0") as service:
        url = door(service)
        assert requests.get(f"{url}/", timeout=10).status_code == 404
        assert requests.post(f"{url}/healthz", timeout=10).status_code == 404
        service.stop()


@pytest.mark.parametrize("text", ["", "x", "127.0.0.1:", "70000", "-1", "1.2.3.4:x"])
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="not an address"):
        address(text, "--health")


def test_an_address_is_on_loopback_unless_it_says_otherwise() -> None:
    assert address("8080", "--health") == ("127.0.0.1", 8080)
    assert address("0.0.0.0:80", "--health") == ("0.0.0.0", 80)
    assert address("[::1]:80", "--health") == ("::1", 80)


def test_a_port_that_is_taken_ends_the_start(job: Job) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = job.call("run", "--health", str(taken.getsockname()[1]))
    assert ran.exit == 2
    assert "--health: cannot listen" in ran.err


def test_status_with_a_max_age_makes_one_document_too(job: Job) -> None:
    job.once()
    time.sleep(1.6)
    ran = job.call("status", "--json", "--max-age", "1s")
    assert ran.exit == 3
    assert len(json.loads(ran.out)["ills"]) == 2
