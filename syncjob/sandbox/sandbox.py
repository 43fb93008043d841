"""The sandbox: one world, its faces, what goes wrong on the way, and a record of every request."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Self

from .airtable import AirtableFace
from .exchange import ConnectionReset, Hang, Request, Response
from .faults import Faults, is_refusal, spoil
from .files import SignedFiles
from .limits import Limits, gates
from .missive import MissiveFace
from .server import Server
from .switches import AirtableSwitches, Switches
from .teamwork import TeamworkFace
from .truth import Truth
from .world import World

UNSTARTED_URL = "http://sandbox.test"
REMEMBERED_PAGES = 8  # the newest good answers, for the fault that repeats one
NO_ANSWER = 0  # the status in the log when nothing arrived


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of the log."""

    at: float
    face: str
    method: str
    path: str
    params: Mapping[str, object]
    status: int


class Sandbox:
    """Teamwork, Missive and Airtable on this machine: in process through `respond`, or over HTTP between `start` and `stop`."""

    def __init__(
        self,
        seed: int = 1,
        tasks: int = 200,
        conversations: int = 100,
        *,
        messages_per_conversation: int = 3,
        switches: Switches | None = None,
        airtable: AirtableSwitches | None = None,
        clock: Callable[[], float] = time.time,
        limits: Limits | None = None,
        world: World | None = None,
    ) -> None:
        self.switches = world.switches if world is not None else switches or Switches()
        self.world = world or World.seeded(
            seed,
            tasks=tasks,
            conversations=conversations,
            messages_per_conversation=messages_per_conversation,
            clock=clock,
            switches=self.switches,
            airtable=airtable,
        )
        self.limits = limits or Limits.off()
        self.faults = Faults()
        self.before_request: list[Callable[[Request], None]] = []
        self.log: list[Exchange] = []
        self.counts: Counter[tuple[str, int]] = Counter()  # (face, status) -> requests
        self._files = SignedFiles(lambda: self.url, self.world.clock)
        missive = MissiveFace(self.world.missive, self._files)
        self._faces: dict[str, TeamworkFace | MissiveFace | AirtableFace] = {
            "teamwork": TeamworkFace(self.world.teamwork),
            "missive": missive,
            "files": missive,  # the storage behind Missive's links: a host of its own, without limits
            "airtable": AirtableFace(self.world.airtable),
        }
        self.world.airtable.fetch = self._fetch_for_airtable
        self._gates = gates(self.limits, self.switches, self.world.airtable.switches)
        self._pages: dict[tuple[str, str], Response] = {}
        self._log_lock = threading.Lock()  # not the world's: a refused request does not wait for the world
        self._server: Server | None = None

    # --- answering ---

    def respond(self, request: Request) -> Response:
        """The answer to a request. Raises `ConnectionReset` or `Hang` when a fault says that none arrives."""
        for hook in self.before_request:
            hook(request)
        face = face_of(request.path)
        status = NO_ANSWER
        try:
            response = self._answer(face, request)
            status = response.status
            return response
        finally:
            with self._log_lock:
                self.log.append(Exchange(self.world.clock(), face, request.method, request.path, dict(request.params), status))
                self.counts[face, status] += 1

    def _answer(self, face: str, request: Request) -> Response:
        gate = self._gates[face]
        verdict = gate.enter(request, self.world.clock())
        try:
            if verdict.refusal is not None:
                return self._dressed(verdict.refusal, verdict.headers)
            fault = self.faults.next(face, request)
            with self.world.lock:
                answer = Response(200) if fault and is_refusal(fault, face) else self._faces[face].respond(request)
                good = self._dressed(answer, verdict.headers)
                previous = self._remember(face, request, good)
            return good if fault is None else spoil(fault, face, good, previous, self.world.clock())
        finally:
            gate.leave()

    def _fetch_for_airtable(self, url: str) -> tuple[str, bytes] | None:
        """A link that somebody wrote into a cell: only files of this sandbox can be had."""
        if not url.startswith(self.url):
            return None
        try:
            answer = self.respond(Request.read("GET", url, {}))
        except (ConnectionReset, Hang):
            return None
        return (answer.headers["Content-Type"], answer.body) if answer.status == 200 else None

    def _dressed(self, response: Response, headers: Mapping[str, str]) -> Response:
        date = formatdate(self.world.clock(), usegmt=True)
        return replace(response, headers={"Date": date, **headers, **response.headers})

    def _remember(self, face: str, request: Request, good: Response) -> Response | None:
        """Keep the answer for a while; returns the one before it on the same path."""
        key = (face, request.path)
        previous = self._pages.pop(key, None)
        self._pages[key] = good
        for old in list(self._pages)[:-REMEMBERED_PAGES]:
            del self._pages[old]
        return previous

    def forget_pages(self) -> None:
        """From here on, no page of before can come again."""
        self._pages.clear()

    # --- looking ---

    def requests(self, face: str) -> list[Exchange]:
        """The log of one face."""
        return [exchange for exchange in self.log if exchange.face == face]

    @property
    def truth(self) -> Truth:
        """What a perfect mirror holds now."""
        return Truth(self.world, self.teamwork_url)

    # --- over HTTP ---

    def start(self, port: int = 0) -> Self:
        """Serve on the loopback interface; port 0 takes a free one."""
        self._server = Server(self.respond, port)
        return self

    def stop(self) -> None:
        """Close every connection and free the port."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self if self._server is not None else self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the sandbox answers; a made-up host while it is not started."""
        return UNSTARTED_URL if self._server is None else self._server.url

    @property
    def teamwork_url(self) -> str:
        """Teamwork's base URL: the site."""
        return self.url

    @property
    def missive_url(self) -> str:
        """Missive's base URL: ends in /v1."""
        return f"{self.url}/v1"

    @property
    def airtable_token(self) -> str:
        """The first access token; further ones go into `world.airtable.tokens`."""
        return next(iter(self.world.airtable.tokens))

    @property
    def teamwork_key(self) -> str:
        """The first API key; further ones go into `world.teamwork.keys`."""
        return next(iter(self.world.teamwork.keys))

    @property
    def missive_token(self) -> str:
        """The first API token; further ones go into `world.missive.tokens`."""
        return next(iter(self.world.missive.tokens))

    def settings(self) -> dict[str, str]:
        """Environment variables that point syncjob at this sandbox, as fast as its limits allow."""
        settings = {
            "TEAMWORK_BASE_URL": self.teamwork_url,
            "TEAMWORK_API_KEY": self.teamwork_key,
            "MISSIVE_BASE_URL": self.missive_url,
            "MISSIVE_API_TOKEN": self.missive_token,
            "AIRTABLE_BASE_URL": self.url,
            "AIRTABLE_API_KEY": self.airtable_token,
            "AIRTABLE_BASE_ID": self.world.airtable.base.id,
        }
        for face, windows in (("TEAMWORK", self.limits.teamwork), ("MISSIVE", self.limits.missive), ("AIRTABLE", self.limits.airtable)):
            rates = [f"{window.requests}/{window.seconds:g}" for window in windows]
            settings[f"{face}_RATE_LIMIT"] = " ".join(rates) or "1000000/1"
        return settings


def face_of(path: str) -> str:
    """Which vendor a path belongs to."""
    starts = (("/v1/", "missive"), ("/attachments/", "files"), ("/v0/", "airtable"))
    return next((face for start, face in starts if path.startswith(start)), "teamwork")
