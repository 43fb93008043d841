"""How many requests may still be sent, agreed between all processes that use one key.

No library does this. pyrate-limiter and limits share windows between processes (SQLite, Redis), but know neither
shares of a window by urgency, nor a vendor's "not before", nor the vendor changing the limit, all decided in one step.
"""

import fcntl
import io
import json
import os
import re
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from syncjob.core.errors import Unwritable
from syncjob.core.model import WalkKind
from syncjob.core.ports import Clock

SHARES: Mapping[WalkKind, float] = {"changes": 0.90, "sweep": 0.85, "full": 0.80}
"""How much of a window each walk may fill. The rest is for other users of the key, and for the journey: requests
that we send a whole window apart may arrive a little closer together."""
WHOLE: Mapping[WalkKind, float] = dict.fromkeys(SHARES, 1.0)
"""For whom nothing is left to others; then a request has to count from when it was `answered`."""

SLICE_SECONDS = 30
"""Longer waits end a step (see `api`), so long walks are spread such that their own pace never asks for one."""

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` requests in any `seconds`."""

    limit: int
    seconds: int


def parse_windows(text: str) -> tuple[Window, ...]:
    """The windows in a setting like `300/60 900/900`."""
    pairs = [re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", word) for word in text.split()]
    if not pairs or None in pairs:
        raise ValueError(f"{text!r} is not requests/seconds, such as 150/60, or several of them such as 300/60 900/900")
    return tuple(Window(int(pair[1]), int(pair[2])) for pair in pairs if pair)


@dataclass
class _Log:
    """What the processes share: when it was written, the vendor's words, every recent request. Times are whole
    microseconds since 1970, so that nothing is rounded."""

    at: int = 0
    not_before: int = 0
    learned: int = 0
    times: list[int] = field(default_factory=list)

    def settle(self, now: int, keep: int) -> None:
        """Forget what is older than `keep`. A clock that was set back takes the whole log back with it."""
        if (back := self.at - now) > 0:
            self.not_before -= back
            self.times = [time - back for time in self.times]
        self.at = now
        del self.times[: bisect_right(self.times, now - keep)]


class Limiter:
    """Every request of the longest window, by time, so that no window is ever exceeded wherever it begins.

    The log is kept at `path`, or in memory. With `learns`, the vendor's word replaces the limit of the only window.
    """

    def __init__(
        self, windows: Sequence[Window], shares: Mapping[WalkKind, float], clock: Clock, path: Path | None = None, *, learns: bool = False
    ) -> None:
        if learns and len(windows) != 1:
            raise ValueError("only a single window can be learned")
        self._windows, self._shares, self._clock, self._path, self._learns = windows, shares, clock, path, learns
        self._memory = io.BytesIO()
        self._lock = threading.Lock()
        self._booked = 0

    def reserve(self, urgency: WalkKind) -> float:
        """Book a request and return 0.0, or return the seconds after which to ask again.

        Booked before it is sent: a crash in between costs one request of the budget, never one too many.
        """
        with self._log() as log:
            caps = self._caps(urgency, log.learned)
            free_at = [log.times[-count] + seconds * SECOND for count, seconds in caps if len(log.times) >= count]
            wait = max(log.not_before, *free_at, log.at) - log.at
            if not wait:
                log.times.append(log.at)
                self._booked = log.at
            return wait / SECOND

    def answered(self) -> None:
        """Count the request that was booked last from now on: it arrived before its answer came, so that the window holds over
        there too, however long a journey takes. One that is overtaken by a crash counts from when it was booked."""
        with self._log() as log:
            if self._booked in log.times:
                log.times.remove(self._booked)
            log.times.append(log.at)

    def left(self) -> Mapping[Window, int]:
        """How many requests each window still allows now, to whomever."""
        with self._log() as log:
            counts = {window: len(log.times) - bisect_right(log.times, log.at - window.seconds * SECOND) for window in self._windows}
            return {window: max(0, self._limit(window, log.learned) - count) for window, count in counts.items()}

    def not_before(self, until: datetime) -> None:
        """Hold every request, of any process, until then: the vendor asked for it."""
        with self._log() as log:
            log.not_before = max(log.not_before, _microseconds(until))

    def learn(self, limit: int) -> None:
        """Take over the limit that the vendor's headers name, if the user set none. 0: they name none."""
        if self._learns and limit > 0:
            with self._log() as log:
                log.learned = limit

    def _limit(self, window: Window, learned: int) -> int:
        return learned if self._learns and learned else window.limit

    def _caps(self, urgency: WalkKind, learned: int) -> Iterator[tuple[int, int]]:
        """The rules as (count, seconds): no more than so many requests, whatever they were for, in any so many seconds."""
        for window in self._windows:
            share = self._limit(window, learned) * self._shares[urgency]
            yield max(1, int(share)), window.seconds
            if urgency != "changes" and window.seconds > SLICE_SECONDS:
                yield max(1, int(share * SLICE_SECONDS / window.seconds)), SLICE_SECONDS

    @contextmanager
    def _log(self) -> Iterator[_Log]:
        """The log, settled, this process's alone until it is written back."""
        try:
            with self._lock, self._open() as file:
                now = _microseconds(self._clock.now())  # read under the lock, so that times in the log only ever rise
                log = self._read(file, now)
                log.settle(now, max(window.seconds for window in self._windows) * SECOND)
                yield log
                _write(file, log)
        except OSError as error:
            hint = "free some disk space, or mend its rights; nothing is lost"
            raise Unwritable(f"cannot write {self._path}: {error.strerror}", hint=hint) from None

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self._path is None:
            yield self._memory
            return
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed, if need be by the kernel
            yield file

    def _read(self, file: IO[bytes], now: int) -> _Log:
        """The log as written. A missing one is empty; behind a damaged one there may be requests that we cannot know, so
        the shortest window is waited out. Longer ones may then be exceeded once: a 429, which is obeyed."""
        file.seek(0)
        text = file.read()
        if not text:
            return _Log()
        try:
            kept = json.loads(text.partition(b"\n")[0])
            return _Log(int(kept["at"]), int(kept["not_before"]), int(kept["learned"]), sorted(map(int, kept["times"])))
        except (ValueError, TypeError, KeyError, OverflowError):
            return _Log(not_before=now + min(window.seconds for window in self._windows) * SECOND)


def _microseconds(time: datetime) -> int:
    return (time - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


def _write(file: IO[bytes], log: _Log) -> None:
    """One line, in place, then the rest cut off; a process killed in between leaves a tail that nobody reads.

    No fsync: what a power cut takes from the log is younger than the minute that the machine needs to come back, and a
    429 would say so.
    """
    file.seek(0)
    file.write(json.dumps(vars(log)).encode() + b"\n")
    file.truncate()
