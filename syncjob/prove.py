"""`verify` and `replay`: prove that the destinations are what the mirror says, and make them so."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from syncjob.build import chosen_destinations, destinations
from syncjob.core.errors import SyncjobError, worst
from syncjob.core.model import Position
from syncjob.core.ports import Destination
from syncjob.delivery import DestinationPart
from syncjob.drive import WallClock
from syncjob.kept import findings, want_again
from syncjob.lock import hold
from syncjob.report import Report, number
from syncjob.settings import Settings
from syncjob.status import known_store
from syncjob.store import Store
from syncjob.verify import DIFFERENT, STRETCH_BYTES, Comparison, Finding, weight

FILES = "files"
NAMED_IN_TEXT, NAMED_IN_JSON = 20, 1000
"""How many rows of a stream are named; all are counted."""
PORTION_ROWS = 500
"""How many rows are tallied, and mended, at a time."""

WORDS: Mapping[str, str] = {
    "equal": "equal", "missing": "missing", "extra": "extra", "differs": "different", "behind": "behind the feed", "waiting": "not fed yet",
    "refused": "refused by the destination", "unproven": "live, but not known to the mirror yet",
}  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What was found in one stream of a destination: all counted, the first different rows named."""

    counts: Counter[str] = field(default_factory=Counter)
    named: list[Finding] = field(default_factory=list)
    repaired: int = 0

    @property
    def different(self) -> int:
        return sum(self.counts[verdict] for verdict in DIFFERENT)

    def add(self, findings: Sequence[Finding]) -> None:
        self.counts.update(finding.verdict for finding in findings)
        room = NAMED_IN_JSON - len(self.named)
        self.named += [replace(finding, remedy=None) for finding in findings if finding.verdict in DIFFERENT][:room]

    def document(self) -> Mapping[str, Any]:
        rows = [{"key": each.key, "verdict": each.verdict, "columns": list(each.columns)} for each in self.named]
        return {verdict: self.counts[verdict] for verdict in WORDS} | {"repaired": self.repaired, "rows": rows}

    def lines(self, what: str, mended: str) -> Iterator[str]:
        """Its lines, the first of which begins with `what` was compared. `mended`: what became of those that were repaired."""
        found = ", ".join(f"{number(self.counts[verdict])} {word}" for verdict, word in WORDS.items() if self.counts[verdict])
        yield f"{what}: {found or 'no rows'}"
        for each in self.named[:NAMED_IN_TEXT]:
            yield f"  {each.key}: " + (f"differs in {', '.join(each.columns)}" if each.columns else each.verdict)
        if self.different > NAMED_IN_TEXT:
            yield f"  and {number(self.different - NAMED_IN_TEXT)} more"
        if self.repaired:
            yield f"  {number(self.repaired)} of them {mended}"


class Check:
    """One destination compared with the mirror, stream by stream; with `repair` what differs is delivered again."""

    def __init__(self, destination: Destination, store: Store, clock: WallClock, report: Report, *, repair: bool) -> None:
        self.name, self._destination = destination.name, destination
        self._store, self._clock, self._report = store, clock, report
        self._part = DestinationPart(destination, store, clock, by_content=True) if repair else None
        self._tallies: dict[str, Tally] = {}
        self._behind = 0
        self._error: SyncjobError | None = None

    @property
    def exit(self) -> int:
        if self._error:
            return self._error.exit
        return 3 * any(tally.different > tally.repaired for tally in self._tallies.values())

    def run(self) -> None:
        """Compare, and say what was found."""
        try:
            self._report.step(self.name, self._compare)
        except SyncjobError as error:
            self._error = error
        finally:
            self._report.finished(self.name)
            self._destination.close()
        self._tell()

    def document(self) -> Mapping[str, Any]:
        streams = {stream: tally.document() for stream, tally in self._tallies.items()}
        return {"streams": streams, "behind": self._behind, "error": self._error.message if self._error else None}

    def _compare(self) -> None:
        position = _fed(self._part, self._clock) if self._part else self._destination.position()
        with self._store.read() as tx:
            trusted = tx.feed.trusts(position)
            self._behind = tx.feed.behind(position.seq if position and trusted else 0)
        if position and trusted:
            comparison = Comparison(self._destination, self._store, position, self._clock.now())
            for stream in self._destination.streams:
                self._tallies[stream] = tally = Tally()
                self._compare_stream(comparison.findings(stream), tally)

    def _compare_stream(self, findings: Iterator[Finding], tally: Tally) -> None:
        for portion in _portions(findings):
            tally.add(portion)
            remedies = [finding.remedy for finding in portion if finding.remedy]
            if self._part and remedies:
                tally.repaired += self._part.repair(remedies)
            self._report.progress(self.name, sum(sum(each.counts.values()) for each in self._tallies.values()), None)
            if self._clock.wait(0):
                return

    def _tell(self) -> None:
        for stream, tally in self._tallies.items():
            for line in tally.lines(f"{self.name} {stream}", "repaired"):
                self._report.line(line)
        if self._behind:
            self._report.line(f"{self.name}: {number(self._behind)} rows behind the feed, which the next run delivers")
        if problem := self._error or self._left():
            self._report.problem(self.name, problem)

    def _left(self) -> SyncjobError | None:
        """What is still different, as a problem."""
        left = sum(tally.different - tally.repaired for tally in self._tallies.values())
        hint = "`python -m syncjob dead list` says why" if self._part else "`python -m syncjob verify --repair` makes them right"
        return SyncjobError(f"{number(left)} rows are not what the mirror says", hint=hint) if left else None


class FilesCheck:
    """The kept files of attachments, read whole; with `repair` the next run downloads anew those that are not what they were."""

    def __init__(self, folder: Path, store: Store, clock: WallClock, report: Report, *, repair: bool) -> None:
        self._folder, self._store, self._clock, self._report, self._repair = folder, store, clock, report, repair
        self._tally = Tally()
        self._error: SyncjobError | None = None

    @property
    def exit(self) -> int:
        return self._error.exit if self._error else 3 * (self._tally.different > self._tally.repaired)

    def run(self) -> None:
        """Compare, and say what was found."""
        try:
            self._report.step(FILES, self._compare)
        except SyncjobError as error:
            self._error = error
        finally:
            self._report.finished(FILES)
        if not self._error:
            for line in self._tally.lines(FILES, "are downloaded anew by the next run"):
                self._report.line(line)
        if problem := self._error or self._left():
            self._report.problem(FILES, problem)

    def document(self) -> Mapping[str, Any]:
        return {**self._tally.document(), "error": self._error.message if self._error else None}

    def _compare(self) -> None:
        for portion in _portions(findings(self._store, self._folder)):
            self._tally.add(portion)
            lost = [finding.key for finding in portion if finding.verdict in DIFFERENT]
            if self._repair and lost:
                want_again(self._store, lost)
                self._tally.repaired += len(lost)
            self._report.progress(FILES, sum(self._tally.counts.values()), None)
            if self._clock.wait(0):
                return

    def _left(self) -> SyncjobError | None:
        """What is not mended, as a problem."""
        left = self._tally.different - self._tally.repaired
        hint = "`python -m syncjob verify --repair` has the next run download them anew"
        return SyncjobError(f"{number(left)} kept files are missing, or not what was downloaded", hint=hint) if left else None


def _fed(part: DestinationPart, clock: WallClock) -> Position | None:
    """Deliver what the feed has; where the destination stands then."""
    while part.step() is None and not clock.wait(0):
        pass
    return part.position


def _portions(findings: Iterator[Finding]) -> Iterator[list[Finding]]:
    """The findings, some at a time, their remedies bounded in size."""
    portion: list[Finding] = []
    size = 0
    for finding in findings:
        portion.append(finding)
        size += weight(finding.remedy.data) if finding.remedy else 0
        if len(portion) == PORTION_ROWS or size > STRETCH_BYTES:
            yield portion
            portion, size = [], 0
    yield portion


def run_verify(settings: Settings, names: Sequence[str], report: Report, stop: threading.Event, *, repair: bool) -> Mapping[str, Any]:
    """Compare, and with `repair` mend; the document that `--json` prints, its exit code in it."""
    clock = WallClock(stop)
    chosen_destinations(settings, names)
    with hold(settings.state / "lock", what="verify --repair") if repair else nullcontext(), known_store(settings) as store:
        checks = [Check(each, store, clock, report, repair=repair) for each in destinations(settings, names, clock, store)]
        kept = settings.attachments == "files"
        files = FilesCheck(settings.attachments_folder, store, clock, report, repair=repair) if kept else None
        everything: list[Check | FilesCheck] = [*checks, *([files] if files else [])]
        for each in everything:
            each.run()
    exit_ = worst([each.exit for each in everything])
    found = {check.name: check.document() for check in checks}
    document = {"version": 1, "exit": exit_, "state": str(settings.state), "destinations": found}
    return {**document, FILES: files.document()} if files else document


def run_replay(settings: Settings, names: Sequence[str], report: Report, stop: threading.Event) -> int:
    """Deliver everything again, row by row by its content; the exit code."""
    clock = WallClock(stop)
    chosen_destinations(settings, names)
    with hold(settings.state / "lock", what="replay"), known_store(settings) as store:
        parts = [DestinationPart(each, store, clock, by_content=True) for each in destinations(settings, names, clock, store)]
        return worst([_replay(part, store, report, stop) for part in parts])


def _replay(part: DestinationPart, store: Store, report: Report, stop: threading.Event) -> int:
    began, now = monotonic(), datetime.now(UTC)
    try:
        report.step(part.name, part.rewind)
        _deliver_all(part, store, report, stop)
    except SyncjobError as error:
        part.failed(error)
        report.problem(part.name, error)
        return error.exit
    finally:
        part.destination.close()
    report.delivery(part.name, part.written, seconds=monotonic() - began)
    with store.read() as tx:
        return 3 * (part.name in tx.letters.new(now))


def _deliver_all(part: DestinationPart, store: Store, report: Report, stop: threading.Event) -> None:
    with store.read() as tx:
        newest = tx.mirror.newest_seq()
    while not stop.is_set() and report.step(part.name, part.step) is None:
        report.progress(part.name, part.seq, newest)
    report.finished(part.name)
