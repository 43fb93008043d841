"""The user's own ngrok, started and ended with the service: a public address for hints, without a server of one's own."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from syncjob.core.errors import ConfigError

API = "http://127.0.0.1:4040/api/tunnels"
"""Where ngrok tells of itself: https://ngrok.com/docs/agent/api"""
PATIENCE_SECONDS = 20.0


@contextmanager
def ngrok(port: int, stop: threading.Event, *, api: str = API, patience: float = PATIENCE_SECONDS) -> Iterator[str]:
    """A tunnel to a port of this machine for the length of a `with`, which gets its public address. Raises ConfigError."""
    nothing = subprocess.DEVNULL
    try:
        process = subprocess.Popen(["ngrok", "http", str(port)], stdin=nothing, stdout=nothing, stderr=nothing)
    except OSError as error:
        hint = "install it from https://ngrok.com, or leave --tunnel out"
        raise ConfigError(f"ngrok cannot be started ({error.strerror})", hint=hint) from None
    try:
        yield _public(process, port, stop, api, patience)
    finally:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _public(process: subprocess.Popen[bytes], port: int, stop: threading.Event, api: str, patience: float) -> str:
    """The address that the world sees, as soon as there is one."""
    for _ in range(round(patience / 0.2)):
        if process.poll() is not None or stop.wait(0.2):
            break
        for tunnel in _tunnels(api):
            if str(tunnel["config"]["addr"]).endswith(f":{port}") and tunnel["public_url"].startswith("https://"):
                return str(tunnel["public_url"])
    raise ConfigError("ngrok has opened no tunnel", hint=f"see what it says to: ngrok http {port}")


def _tunnels(api: str) -> list[Any]:
    try:
        return list(requests.get(api, timeout=2).json()["tunnels"])
    except (requests.RequestException, ValueError, KeyError):
        return []
