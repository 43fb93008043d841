"""Requests and responses as plain values, so that a face answers with or without a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. A parameter given several times is a list."""

    method: str
    path: str
    params: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def read(cls, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Request:
        """The request behind an HTTP request line such as `GET /v1/users?limit=2`, or behind a whole URL."""
        parts = urlsplit(target)
        given = parse_qs(parts.query, keep_blank_values=True)
        params = {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        return cls(method, unquote(parts.path), params, dict(headers), body)

    def param(self, name: str) -> str | None:
        """The parameter's last value."""
        value = self.params.get(name)
        return value if value is None or isinstance(value, str) else value[-1]

    def header(self, name: str) -> str | None:
        """The header's value; names are case-insensitive."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Response:
    """What a face answers. `pace` and `repeat` describe a sick server: seconds between bytes, how often the body is sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    pace: float = 0.0
    repeat: int = 1

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class ConnectionReset(Exception):
    """The connection breaks: nothing arrives, or only the first `sent` bytes of `response`'s body after its headers."""

    def __init__(self, response: Response | None = None, sent: int = 0) -> None:
        super().__init__(f"connection reset after {sent} bytes of the body")
        self.response = response
        self.sent = sent


class Hang(Exception):
    """The connection stays open and nothing ever arrives."""


class Refused(Exception):
    """A face cannot serve this request; the response says why."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status}")
        self.response = response


def json_response(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A response with `value` as JSON."""
    return Response(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, _json_bytes(value))


def _json_bytes(value: Any) -> bytes:
    """UTF-8; half a surrogate pair, which has none, travels as the JSON escape that `backslashreplace` happens to write."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
