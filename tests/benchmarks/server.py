"""`python -m tests.benchmarks.server tasks|mails COUNT NOW`: the vendors' answers, by a process of its own, and counted.

It looks up bytes and sends them, so that what is measured is the contender. Tasks answer as Teamwork v3, mails as Missive.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

from .kinds import Source
from .mails import Mails
from .tasks import Tasks

ANSWERS = 512
"""So many are kept ready to send: both walks of 50,000 tasks, by time and by page number."""
CONTROL = "/bench/"
SOURCES: Mapping[str, type[Source]] = {"tasks": Tasks, "mails": Mails}


class Site:
    """What is asked and what is answered, without a socket."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._asked = self._unknown = 0
        self._changed_at: float | None = None
        self._kept = lru_cache(ANSWERS)(self._answer)

    def answer(self, target: str) -> bytes | None:
        """The body for a request; None: there is no such thing."""
        if target.startswith(CONTROL):
            return self._control(target.removeprefix(CONTROL))
        body = self._kept(target, self._changed_at)
        self._asked += 1
        self._unknown += body is None
        return body

    def _control(self, word: str) -> bytes:
        """Show the data set that changed `at/TIME`, the first one `at/0`; either way, how many requests there were since the last word."""
        counts = json.dumps({"requests": self._asked, "unknown": self._unknown}).encode()
        self._asked = self._unknown = 0
        if word.startswith("at/"):
            self._changed_at = float(word.removeprefix("at/")) or None
            self._source.change(self._changed_at)
        return counts

    def _answer(self, target: str, changed_at: float | None) -> bytes | None:
        """What the source shows at that time; it is kept, so that no contender waits for it to be made a second time."""
        parts = urlsplit(target)
        return self._source.answer(unquote(parts.path), dict(parse_qsl(parts.query)))


class Connection(asyncio.Protocol):
    """HTTP/1.1, GET only, kept open."""

    def __init__(self, site: Site) -> None:
        self._site, self._buffer = site, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._send(self._site.answer(head.split(b" ", 2)[1].decode()))

    def _send(self, body: bytes | None) -> None:
        status, date = "404 Not Found" if body is None else "200 OK", formatdate(usegmt=True)
        head = f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {len(body or b'')}\r\n\r\n"
        self._transport.write(head.encode() + (body or b""))


async def serve(site: Site) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(site), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("count", type=int)
    parser.add_argument("now", type=float, help="when the data were made: the same time gives the same ones")
    options = parser.parse_args()
    asyncio.run(serve(Site(SOURCES[options.source](options.count, options.now))))


if __name__ == "__main__":
    main()
