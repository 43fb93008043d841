"""Parts in motion: every part has its own thread, shares nothing but the store, and stops at a durable point."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from syncjob.core.errors import Later, SyncjobError
from syncjob.cycle import SourcePart
from syncjob.delivery import DestinationPart

STOP_SECONDS = 4.0
"""How long a stop waits for parts to reach a durable point. One that still waits for an answer then is left: the answer
of a request that was overtaken by a stop is not looked at, and a transaction is whole or not at all."""
RETRY_SECONDS = 30.0
"""How long a destination that failed is left alone while sources are still at work."""


class WallClock:
    """`core.ports.Clock` on the machine's own clock; `stop` ends every wait."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def wait(self, seconds: float) -> bool:
        return self.stop.wait(seconds)


@dataclass(slots=True)
class Outcome:
    """How each part ended: its error, or None. `later`: parts that have to wait longer than a run does."""

    errors: dict[str, SyncjobError | None] = field(default_factory=dict)
    later: dict[str, Later] = field(default_factory=dict)


class Cycle:
    """One pass of every part, until no step is due."""

    def __init__(
        self, sources: Sequence[SourcePart], destinations: Sequence[DestinationPart], stop: threading.Event, guarded: "Guarded"
    ) -> None:
        self._sources, self._destinations, self._stop, self._guarded = sources, destinations, stop, guarded
        self._news = threading.Condition()
        self._version = 0
        self._sources_left = len(sources)
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Take steps until none is due, or until a stop is asked for."""
        threads = [_thread(self._run_source, part) for part in self._sources]
        threads += [_thread(self._run_destination, part) for part in self._destinations]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not self._stop.is_set():
                thread.join(0.1)
        leave = monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, leave - monotonic()))
        return self.outcome

    def _run_source(self, part: SourcePart) -> None:
        try:
            self.outcome.errors[part.name] = None
            while not self._stop.is_set():
                if self._guarded(part.name, part.step) is not None:
                    break
                self._tell()
        except Later as later:
            self.outcome.later[part.name] = later
        except SyncjobError as error:
            self.outcome.errors[part.name] = error
        finally:
            with self._news:
                self._sources_left -= 1
            self._tell()

    def _run_destination(self, part: DestinationPart) -> None:
        """Deliver what there is; then wait for more until the sources are done. A failure waits and tries again."""
        while True:
            with self._news:
                version, last = self._version, self._sources_left == 0
            error = self._deliver_all(part)
            self.outcome.errors[part.name] = error
            if last or self._stop.is_set():
                return
            with self._news:
                if error:
                    self._news.wait_for(lambda: self._sources_left == 0 or self._stop.is_set(), timeout=RETRY_SECONDS)
                else:
                    self._news.wait_for(lambda seen=version: self._version != seen or self._stop.is_set(), timeout=1.0)  # type: ignore[misc]

    def _deliver_all(self, part: DestinationPart) -> SyncjobError | None:
        try:
            while not self._stop.is_set() and self._guarded(part.name, part.step) is None:
                pass
        except Later as later:
            part.failed(later)
            self.outcome.later[part.name] = later
        except SyncjobError as error:
            part.failed(error)
            return error
        return None

    def _tell(self) -> None:
        with self._news:
            self._version += 1
            self._news.notify_all()


def _thread(work: Callable[[Any], None], part: SourcePart | DestinationPart) -> threading.Thread:
    return threading.Thread(target=work, args=(part,), name=part.name, daemon=True)


Guarded = Callable[[str, Callable[[], object]], object]
"""Calls a part's step and turns what nobody foresaw into a SyncjobError: the boundary of `report.step`."""
