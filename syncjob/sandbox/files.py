"""Files behind signed links that expire and change on every read (Missive reference section 9)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from itertools import count
from urllib.parse import quote

from .exchange import Request, Response

SECRET = b"sandbox"


class SignedFiles:
    """Makes links to attachments and serves them. The content of a file is made from its id."""

    def __init__(self, base_url: Callable[[], str], clock: Callable[[], float]) -> None:
        self._base_url = base_url
        self._clock = clock
        self._numbers = count(1)

    def link(self, file_id: str, filename: str, *, seconds: int) -> str:
        """A fresh link, good for so many seconds."""
        expires, nonce = str(int(self._clock()) + seconds), f"K{next(self._numbers)}"
        name = quote(filename.replace("/", "_").encode(errors="replace"), safe="") or "unnamed"
        signature = _sign(file_id, expires, nonce)
        return f"{self._base_url()}/attachments/{file_id}/{name}?Expires={expires}&Signature={signature}&Key-Pair-Id={nonce}"

    def respond(self, request: Request, file_id: str, media_type: str, body: bytes) -> Response:
        """The file, if the link's signature is right and its time has not passed; a request with Authorization is refused."""
        if request.header("Authorization") is not None:
            return _xml(400, "InvalidArgument", "Only one auth mechanism allowed")
        expires, nonce = request.param("Expires") or "", request.param("Key-Pair-Id") or ""
        if not hmac.compare_digest(_sign(file_id, expires, nonce), request.param("Signature") or ""):
            return _xml(403, "AccessDenied", "Access denied")
        if int(expires) < self._clock():
            return _xml(403, "AccessDenied", "Request has expired")
        return Response(200, {"Content-Type": media_type}, body)


def content(file_id: str, size: int) -> bytes:
    """The bytes of a file: made from its id, always the same."""
    block = hashlib.sha256(file_id.encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def _sign(file_id: str, expires: str, nonce: str) -> str:
    return hmac.new(SECRET, f"{file_id} {expires} {nonce}".encode(), "sha256").hexdigest()


def _xml(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(status, {"Content-Type": "text/xml"}, body.encode())
