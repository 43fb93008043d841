"""Parts in motion: every part has its own thread, shares nothing but the store, and stops at a durable point."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

from syncjob.core.errors import Later, SyncjobError
from syncjob.cycle import SourcePart
from syncjob.delivery import DestinationPart
from syncjob.files import FilesPart

STOP_SECONDS = 1.5
"""How long a stop waits for parts to reach a durable point. One that still waits for an answer then is left: the answer
of a request that was overtaken by a stop is not looked at, and a transaction is whole or not at all."""
LOOK_SECONDS = 1.0
"""How often a part that has nothing to do looks whether something fell due, while others are still at work."""
RETRY_SECONDS = 30.0
"""How long a destination that failed is left alone while sources are still at work."""


POLLING, RESTED, ENDED = range(3)
"""Some source is still at its first pass; each has had one, and only goes on beside others; all are done."""


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
    """One pass of every part, until no step is due. Meanwhile a part that is done goes on at its own pace: what is slow or
    fails, such as a backfill of hours, keeps nobody waiting."""

    def __init__(
        self, sources: Sequence[SourcePart], destinations: Sequence[DestinationPart], stop: threading.Event, guarded: "Guarded",
        files: FilesPart | None = None,
    ) -> None:  # fmt: skip
        self._sources, self._destinations, self._stop, self._guarded = sources, destinations, stop, guarded
        self._files = [files] if files else []
        self._readers: Sequence[DestinationPart | FilesPart] = [*destinations, *self._files]
        names = [*(part.name for part in sources), *(part.name for part in self._readers)]
        self._news = threading.Condition()
        self._version = 0
        self._busy = set(names)
        self._left = {part.name for part in sources}
        self.outcome = Outcome(errors=dict.fromkeys(names))

    def run(self) -> Outcome:
        """Take steps until none is due, or until a stop is asked for."""
        threads = [_thread(self._run_source, part) for part in self._sources]
        threads += [_thread(self._run_destination, part) for part in self._readers]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive() and not self._stop.is_set():
                thread.join(0.1)
        self._tell()
        leave = monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, leave - monotonic()))
        return self.outcome

    def _run_source(self, part: SourcePart) -> None:
        """Poll; then, as long as other parts are at work, poll again whenever that falls due."""
        try:
            while not self._stop.is_set():
                self._poll(part)
                self._rests(part.name)
                if self._wait_for(lambda: not self._busy, LOOK_SECONDS):
                    break
        finally:
            self._left.discard(part.name)
            self._rests(part.name)

    def _poll(self, part: SourcePart) -> None:
        """Take a source's steps until it rests. Where it has none, what it said last still holds."""
        took_one = False
        try:
            while not self._stop.is_set() and self._guarded(part.name, part.step) is None:
                took_one = True
                self._tell()
        except Later as later:
            self.outcome.later[part.name] = later
            part.failed(later)
        except SyncjobError as error:
            self.outcome.errors[part.name] = error
            part.failed(error)
        else:
            if took_one:
                self.outcome.errors[part.name] = None
                self.outcome.later.pop(part.name, None)

    def _run_destination(self, part: DestinationPart | FilesPart) -> None:
        """Deliver what there is; then wait for more until the sources are done. A failure waits and tries again."""
        while True:
            version, phase, fed = self._version, self._phase(), self._is_fed(part)
            error = self._deliver_all(part)
            self.outcome.errors[part.name] = error
            if phase > POLLING and not fed:
                self._rests(part.name)
            if phase == ENDED:
                return
            moved_on = partial(self._moved_on, part, (phase, fed), None if error else version)
            self._wait_for(moved_on, RETRY_SECONDS if error else LOOK_SECONDS)
            if self._stop.is_set() or (self._version == version and self._phase() == ENDED):
                return

    def _is_fed(self, part: DestinationPart | FilesPart) -> bool:
        """Whether something is still to come for it: files go into what destinations have written."""
        return part in self._files and bool(self._busy & {each.name for each in self._destinations})

    def _deliver_all(self, part: DestinationPart | FilesPart) -> SyncjobError | None:
        try:
            while not self._stop.is_set() and self._guarded(part.name, part.step) is None:
                if part in self._files:
                    self._tell()  # destinations hear of files as they do of a source's changes
        except Later as later:
            part.failed(later)
            self.outcome.later[part.name] = later
        except SyncjobError as error:
            return self._noted(part, error)
        return None

    def _noted(self, part: DestinationPart | FilesPart, error: SyncjobError) -> SyncjobError:
        """Let the part note its failure; the error to tell, which is another one if even that could not be kept."""
        try:
            self._guarded(part.name, partial(part.failed, error))
        except SyncjobError as worse:
            return worse
        return error

    def _phase(self) -> int:
        """How far the sources are together."""
        return ENDED if not self._left else POLLING if self._busy & self._left else RESTED

    def _moved_on(self, part: DestinationPart | FilesPart, where: tuple[int, bool], version: int | None) -> bool:
        """Whether those before this part are further, together or, unless `version` is None, by as much as a step."""
        return (self._phase(), self._is_fed(part)) != where or version not in (None, self._version)

    def _rests(self, name: str) -> None:
        """A part has done what it had to do."""
        with self._news:
            self._busy.discard(name)
            self._news.notify_all()

    def _wait_for(self, happens: Callable[[], bool], seconds: float) -> bool:
        """Wait until something happens, a stop is asked for, or the time is up; whether it has happened."""
        with self._news:
            return self._news.wait_for(lambda: happens() or self._stop.is_set(), timeout=seconds)

    def _tell(self) -> None:
        with self._news:
            self._version += 1
            self._news.notify_all()


def _thread(work: Callable[[Any], None], part: SourcePart | DestinationPart | FilesPart) -> threading.Thread:
    return threading.Thread(target=work, args=(part,), name=part.name, daemon=True)


Guarded = Callable[[str, Callable[[], object]], object]
"""Calls a part's step and turns what nobody foresaw into a SyncjobError: the boundary of `report.step`."""
