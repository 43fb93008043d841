"""Hints are signed, bounded, and move nothing but the time of a poll."""

import io
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from syncjob.core.errors import ConfigError
from syncjob.hints import Hints, secrets
from syncjob.sandbox import Sandbox
from syncjob.settings import load
from syncjob.tunnel import ngrok
from tests.cli.job import Job

from .service import running, until
from .webhooks import BODY, SECRETS, SETTINGS, door, hint, signed

KEYS = {"TEAMWORK_BASE_URL": "https://example.com", "TEAMWORK_API_KEY": "k", "MISSIVE_API_TOKEN": "t"}
BOTH = ("teamwork", "missive")


class Door:
    """The application, without a server; notes who was hinted at."""

    def __init__(self, **known: bytes | None) -> None:
        self.hinted: list[str] = []
        self.application = Hints(known or {source: secret.encode() for source, secret in SECRETS.items()}, self.hinted.append)

    def post(self, path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> int:
        told: list[str] = []
        names = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "wsgi.input": io.BytesIO(body), **names}
        self.application(environ, lambda status, headers: told.append(status))
        return int(told[0][:3])


@pytest.mark.parametrize("source", BOTH)
def test_a_signed_hint_is_taken_whatever_it_says(source: str) -> None:
    door = Door()
    for body in (BODY, b"", b"\xff\x00 not JSON at all", b"a=1&b=2"):
        assert door.post(f"/hints/{source}", body, signed(source, body)) == 200
    assert door.hinted == [source] * 4


def test_missives_signature_may_come_without_its_prefix() -> None:
    door = Door()
    bare = signed("missive")["X-Hook-Signature"].removeprefix("sha256=")
    assert door.post("/hints/missive", BODY, {"X-Hook-Signature": bare}) == 200
    assert door.hinted == ["missive"]


@pytest.mark.parametrize("source", BOTH)
@pytest.mark.parametrize("wrong", ["", "0" * 64, "sha256=", "é", "\udcff", "None"])
def test_a_wrong_signature_is_refused(source: str, wrong: str) -> None:
    door = Door()
    name = next(iter(signed(source)))
    assert door.post(f"/hints/{source}", BODY, {name: wrong}) == 401
    assert door.post(f"/hints/{source}", BODY + b" ", signed(source)) == 401
    assert door.post(f"/hints/{source}", BODY, signed(source, secret="another")) == 401
    assert door.hinted == []


def test_an_unsigned_one_is_refused_or_as_missives_trial_answered_and_ignored() -> None:
    door = Door()
    assert door.post("/hints/teamwork", BODY, {}) == 401
    assert door.post("/hints/missive", BODY, {}) == 200
    assert door.hinted == []


def test_there_is_nothing_else_behind_the_door() -> None:
    door = Door(teamwork=b"secret")
    assert door.post("/hints/missive", BODY, signed("missive")) == 404
    assert door.post("/teamwork", BODY, signed("teamwork")) == 404
    assert door.post("teamwork", BODY, signed("teamwork")) == 404
    assert door.post("/hints/teamwork", BODY, signed("teamwork"), method="GET") == 405
    assert door.hinted == []


def test_a_secret_is_needed_unless_nobody_else_can_reach_the_door() -> None:
    bare, one = load(KEYS, cwd=Path("/nowhere")), load({**KEYS, "MISSIVE_WEBHOOK_SECRET": "m-secret"}, cwd=Path("/nowhere"))
    assert secrets(one, BOTH, "8080", insecure=False, public=True) == {"missive": b"m-secret"}
    assert secrets(one, BOTH, "8080", insecure=True, public=False) == {"teamwork": None, "missive": b"m-secret"}
    for settings, where, insecure, public in (
        (bare, "8080", False, False), (bare, "0.0.0.0:8080", True, False), (bare, "8080", True, True), (one, "0:8080", True, False),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            secrets(settings, BOTH, where, insecure=insecure, public=public)


def test_an_unsigned_hint_is_taken_where_that_is_allowed() -> None:
    door = Door(teamwork=None)
    assert door.post("/hints/teamwork", BODY, {}) == 200
    assert door.hinted == ["teamwork"]


def test_hints_bring_news_within_seconds_though_the_next_poll_is_far(job: Job, sandbox: Sandbox) -> None:
    slow = {"POLL_INTERVAL_SECONDS": "3600", "HINT_MIN_INTERVAL_SECONDS": "0"}
    with running(job, "--hints", "0", **slow, **SETTINGS) as service:
        url = door(service)
        service.until_printed("destination=sqlite written")
        until(lambda: job.differences() == [])
        task = next(iter(sandbox.truth.tasks()))
        sandbox.world.teamwork.edit_task(int(task), name="told by a hint")
        assert hint(url, "teamwork", headers={}) == 401
        assert hint(url, "teamwork") == 200
        until(lambda: job.differences() == [])
        sandbox.world.missive.add_conversation(1, subject="told by a hint")
        assert hint(url, "missive") == 200
        until(lambda: job.differences() == [])
        service.stop()
        assert all(secret not in service.out for secret in SECRETS.values())


def test_hints_without_a_secret_do_not_start(job: Job) -> None:
    ran = job.call("run", "--hints", "0")
    assert ran.exit == 2
    assert "WEBHOOK_SECRET" in ran.err


# -- the tunnel

NGROK = f"""#!{sys.executable}
import http.server, json, os, pathlib, sys
assert sys.argv[1] == "http", sys.argv
pathlib.Path(os.environ["NGROK_PID"]).write_text(str(os.getpid()))
answers = [b"starting", json.dumps({{"tunnels": []}}).encode(), json.dumps({{"tunnels": [
    {{"public_url": "https://other.example", "config": {{"addr": "http://localhost:1"}}}},
    {{"public_url": "https://us.example", "config": {{"addr": "http://localhost:" + sys.argv[2]}}}},
]}}).encode()]
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answers.pop(0) if len(answers) > 1 else answers[0])
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["NGROK_PORT"])), Page).serve_forever()
"""


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for ngrok on the path, with a port of its own (two tests may run at once); where it writes its process id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = tmp_path / "ngrok"
    program.write_text(NGROK)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NGROK_PORT", str(port))
    monkeypatch.setenv("NGROK_PID", str(tmp_path / "pid"))
    return tmp_path / "pid"


def test_ngrok_is_asked_where_the_tunnel_is_and_ends_with_the_block(agent: Path) -> None:
    with ngrok(8080, threading.Event(), api=f"http://127.0.0.1:{os.environ['NGROK_PORT']}/api/tunnels") as url:
        assert url == "https://us.example"
        process = Path(f"/proc/{agent.read_text()}")
        assert process.exists()
    assert not process.exists()


def test_without_ngrok_or_without_a_tunnel_it_is_told(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no tunnel"), ngrok(8080, threading.Event(), api="http://127.0.0.1:9", patience=1):
        pass
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="cannot be started"), ngrok(8080, threading.Event()):
        pass
