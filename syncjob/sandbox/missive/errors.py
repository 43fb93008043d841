"""Missive's error body (reference section 7)."""

from __future__ import annotations

from typing import Any

from ..exchange import Response, json_response


def refusal(status: int, message: str, **params: Any) -> Response:
    """`{"error": {"message": …}}`, with `params` where the vendor adds some."""
    error: dict[str, Any] = {"message": message}
    if params:
        error["params"] = params
    return json_response(status, {"error": error})
