"""The vendors' rate limits, enforced on a sliding window: per credential (Teamwork section 7, Missive section 7), per base (Airtable)."""

from __future__ import annotations

import math
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from typing import Protocol

from .airtable.errors import refusal as airtable_refusal
from .exchange import Request, Response
from .missive.errors import refusal as missive_refusal
from .switches import AirtableSwitches, Switches
from .teamwork.errors import refusal as teamwork_refusal


@dataclass(frozen=True, slots=True)
class Window:
    """So many requests in any so many seconds."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What each vendor allows. Without windows there is no limit, and no header that tells one."""

    teamwork: tuple[Window, ...] = ()
    missive: tuple[Window, ...] = ()
    missive_concurrent: int | None = None
    airtable: tuple[Window, ...] = ()
    airtable_lockout: float = 30.0  # seconds that nothing passes after one request too many

    @classmethod
    def off(cls) -> Limits:
        """As many requests as a client likes."""
        return cls()

    @classmethod
    def documented(cls) -> Limits:
        """What the vendors write."""
        return cls((Window(150, 60),), (Window(300, 60), Window(900, 900)), 5, (Window(5, 1),))

    def scaled(self, factor: float) -> Limits:
        """The same numbers in windows that pass `factor` times as fast."""

        def faster(windows: tuple[Window, ...]) -> tuple[Window, ...]:
            return tuple(replace(window, seconds=window.seconds / factor) for window in windows)

        lockout = self.airtable_lockout / factor
        return replace(
            self, teamwork=faster(self.teamwork), missive=faster(self.missive), airtable=faster(self.airtable), airtable_lockout=lockout
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, and the headers that its answer carries because of the limit."""

    refusal: Response | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Gate(Protocol):
    """The limit of one face."""

    def enter(self, request: Request, now: float) -> Verdict:
        """Count a request."""

    def leave(self) -> None:
        """The request has been answered."""


class Meter:
    """Counts one credential's requests in every window."""

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self._times: list[tuple[Window, deque[float]]] = [(window, deque()) for window in windows]

    def is_full(self, now: float) -> bool:
        """Whether one more is too many."""
        for window, times in self._times:
            while times and times[0] <= now - window.seconds:
                times.popleft()
        return any(len(times) >= window.requests for window, times in self._times)

    def count(self, now: float) -> None:
        """One more."""
        for _, times in self._times:
            times.append(now)

    def tightest(self, now: float) -> tuple[Window, int, float]:
        """The window with the least left: what it allows, how much remains, in how many seconds a place is free again."""
        window, times = min(self._times, key=lambda entry: entry[0].requests - len(entry[1]))
        free_in = times[0] + window.seconds - now if times else 0.0
        return window, max(0, window.requests - len(times)), max(0.0, free_in)


class NoGate:
    """No limit."""

    def enter(self, request: Request, now: float) -> Verdict:
        return Verdict()

    def leave(self) -> None:
        pass


class TeamworkGate:
    """Headers on every answer; a rejected request counts too, so that only a full pause helps."""

    def __init__(self, limits: Limits, switches: Switches) -> None:
        self._meters: dict[str, Meter] = defaultdict(lambda: Meter(limits.teamwork))
        self._switches = switches
        self._lock = threading.Lock()

    def enter(self, request: Request, now: float) -> Verdict:
        with self._lock:
            meter = self._meters[request.header("Authorization") or ""]
            full = meter.is_full(now)
            meter.count(now)
            window, remaining, _ = meter.tightest(now)
        headers = self._headers(window, 0 if full else remaining, now)
        return Verdict(self._refusal() if full else None, headers)

    def leave(self) -> None:
        pass

    def _headers(self, window: Window, remaining: int, now: float) -> dict[str, str]:
        spelling = self._switches.teamwork_limit_headers
        if spelling == "none":
            return {}
        names = [f"{spelling}-{part}" for part in ("limit", "remaining", "reset")]
        values = [str(window.requests), str(remaining)]
        if self._switches.teamwork_limit_reset == "seconds":
            values.append(str(math.ceil(window.seconds)))
        if self._switches.teamwork_limit_reset == "epoch":
            values.append(str(math.ceil(now + window.seconds)))
        return dict(zip(names, values, strict=False))

    def _refusal(self) -> Response:
        text = "You have exceeded your rate limit. Please try again in a little while."
        how = self._switches.teamwork_limit_signal
        if how == "429 empty":
            return Response(429)
        if how == "429 text":
            return Response(429, {"Content-Type": "text/plain"}, text.encode())
        return teamwork_refusal(400 if how == "400" else 429, text)


class MissiveGate:
    """Three limits at once; headers only on the 429, unless switched to always."""

    def __init__(self, limits: Limits, switches: Switches) -> None:
        self._meters: dict[str, Meter] = defaultdict(lambda: Meter(limits.missive))
        self._most = limits.missive_concurrent
        self._switches = switches
        self._inside = 0
        self._lock = threading.Lock()

    def enter(self, request: Request, now: float) -> Verdict:
        with self._lock:
            self._inside += 1
            meter = self._meters[request.header("Authorization") or ""]
            full = meter.is_full(now)
            crowded = self._most is not None and self._inside > self._most
            if not full and not crowded:
                meter.count(now)
            window, remaining, free_in = meter.tightest(now)
        wait = max(1, math.ceil(free_in)) if full else 1
        headers = self._headers(window, remaining, now + wait)
        if full or crowded:
            return Verdict(self._refusal(wait), {"Retry-After": str(wait), **headers})
        return Verdict(None, headers if self._switches.missive_limit_headers_always else {})

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1

    def _headers(self, window: Window, remaining: int, reset: float) -> dict[str, str]:
        values = {"Limit": window.requests, "Remaining": remaining, "Reset": math.ceil(reset)}
        return {f"X-RateLimit-{name}": str(value) for name, value in values.items()}

    def _refusal(self, wait: int) -> Response:
        if self._switches.missive_limit_body == "empty":
            return Response(429)
        return missive_refusal(429, "Rate limit exceeded", retry_after=wait)


class AirtableGate:
    """One window per base; a request too many locks the base for a while, without saying for how long."""

    def __init__(self, limits: Limits, switches: AirtableSwitches) -> None:
        self._meters: dict[str, Meter] = defaultdict(lambda: Meter(limits.airtable))
        self._locked: dict[str, float] = {}
        self._lockout, self._switches = limits.airtable_lockout, switches
        self._lock = threading.Lock()

    def enter(self, request: Request, now: float) -> Verdict:
        parts = request.path.removeprefix("/v0/meta/bases/").removeprefix("/v0/").split("/")
        with self._lock:
            meter, locked = self._meters[parts[0]], self._locked.get(parts[0], 0.0) > now
            full = meter.is_full(now)
            if full or (locked and self._switches.lockout_extends):
                self._locked[parts[0]] = now + self._lockout
            if not full and not locked:
                meter.count(now)
                return Verdict()
        message = "You have made too many requests in a short time. Please retry your request later"
        return Verdict(airtable_refusal(429, "RATE_LIMIT_REACHED", message, shape=self._switches.limit_body))

    def leave(self) -> None:
        pass


def gates(limits: Limits, switches: Switches, airtable: AirtableSwitches) -> dict[str, Gate]:
    """The gate of each face, by name."""
    return {
        "airtable": AirtableGate(limits, airtable) if limits.airtable else NoGate(),
        "files": NoGate(),
        "teamwork": TeamworkGate(limits, switches) if limits.teamwork else NoGate(),
        "missive": MissiveGate(limits, switches) if limits.missive else NoGate(),
    }
