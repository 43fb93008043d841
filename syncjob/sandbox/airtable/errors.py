"""Airtable's error bodies, in each of their shapes (reference section 8)."""

from __future__ import annotations

from ..exchange import Refused, Response, json_response


def refusal(status: int, type_: str, message: str = "", *, shape: str = "error") -> Response:
    """`{"error": {"type", "message"}}`, or the plural form of real 429s."""
    if shape == "errors":
        return json_response(status, {"errors": [{"error": type_, "message": message}]})
    return json_response(status, {"error": {"type": type_, **({"message": message} if message else {})}})


def not_found() -> Response:
    """What an unknown route gets: a bare word."""
    return json_response(404, {"error": "NOT_FOUND"})


def invalid(type_: str, message: str = "") -> Refused:
    """A 422."""
    return Refused(refusal(422, type_, message))
