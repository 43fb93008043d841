"""Teamwork's error envelope (reference section 8)."""

from __future__ import annotations

from http import HTTPStatus

from ..exchange import Response, json_response


def refusal(status: int, detail: str) -> Response:
    """An error as v3 words it: `{"errors":[{"id","code","title","detail","meta"}]}`."""
    title = HTTPStatus(status).phrase
    return json_response(status, {"errors": [{"id": "sandbox", "code": str(status), "title": title, "detail": detail, "meta": {}}]})
