"""The one place where text leaves the program, without its secrets."""

import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO, TypeVar

from syncjob.core.errors import SyncjobError

T = TypeVar("T")
log = logging.getLogger("syncjob")
SHOW_AFTER_SECONDS = 2.0
HIDDEN = "***"


class Report:
    """Says what happened, to a person, to cron's mail, or to a program; never a secret.

    A terminal gets progress bars, everything else plain lines. `quiet` prints only what a person must act on. With
    `document` asked for, standard output belongs to that one JSON document and all else goes to standard error.
    """

    def __init__(self, *, out: TextIO = sys.stdout, err: TextIO = sys.stderr, secrets: Sequence[str] = (), quiet: bool = False, as_json: bool = False) -> None:
        self._out, self._err, self._secrets, self._quiet, self._json = out, err, secrets, quiet, as_json
        self._lock = threading.Lock()
        self._bars: _Bars | None = _Bars(err if as_json else out) if not quiet and (err if as_json else out).isatty() else None

    def redact(self, text: str) -> str:
        """The text with every secret replaced."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def line(self, text: str = "") -> None:
        """Something worth knowing; not shown when quiet."""
        if not self._quiet:
            self._print(text, self._err if self._json else self._out)

    def problem(self, part: str, error: SyncjobError) -> None:
        """Something that a person may have to act on, and what to do about it."""
        self._print(f"{part}: {error.message}", self._err)
        if error.hint:
            self._print(f"  {error.hint}", self._err)

    def document(self, found: Mapping[str, Any]) -> None:
        """The one JSON document of a run."""
        self._print(json.dumps(found, ensure_ascii=False), self._out)

    def progress(self, name: str, done: int, total: int | None) -> None:
        """How far a walk or delivery is. Shown on a terminal only, and only once it has lasted over two seconds."""
        if self._bars:
            self._bars.show(name, done, total)

    def close(self) -> None:
        """Take progress bars off the screen."""
        if self._bars:
            self._bars.close()

    def step(self, part: str, take: Callable[[], T]) -> T:
        """Take a part's step; whatever nobody foresaw becomes a SyncjobError, so that no part can bring down the rest."""
        try:
            return take()
        except SyncjobError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary between parts
            log.debug("%s: unexpected error", part, exc_info=True)
            where = error.__traceback__
            while where and where.tb_next:
                where = where.tb_next
            place = f"{where.tb_frame.f_code.co_filename.rpartition('syncjob/')[2]}:{where.tb_lineno}" if where else "?"
            raise SyncjobError(
                f"unexpected {type(error).__name__} at {place}",
                hint="this is a bug in syncjob; nothing is lost. LOG_LEVEL=DEBUG shows where it happened",
            ) from None

    def _print(self, text: str, stream: TextIO) -> None:
        with self._lock:
            if self._bars:
                self._bars.close()
            print(self.redact(text), file=stream, flush=True)


class _Bars:
    """Progress bars by rich, imported only when the first one is shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._since: dict[str, float] = {}
        self._tasks: dict[str, Any] = {}
        self._progress: Any = None
        self._lock = threading.Lock()

    def show(self, name: str, done: int, total: int | None) -> None:
        with self._lock:
            now = datetime.now(UTC).timestamp()
            if now - self._since.setdefault(name, now) < SHOW_AFTER_SECONDS:
                return
            if self._progress is None:
                self._progress = _rich_progress(self._stream)
                self._progress.start()
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=total, completed=done)
            self._progress.update(self._tasks[name], completed=done, total=total)

    def close(self) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
            self._progress = None
            self._tasks.clear()


def _rich_progress(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TextColumn("ETA"), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=stream), transient=True)


def configure_logging(report: Report, *, level: str, form: str, stream: TextIO = sys.stderr) -> None:
    """Send log records through the report's redaction, as text or as JSON lines with the same keys."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(report, as_json=form == "json"))
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False


class _Formatter(logging.Formatter):
    def __init__(self, report: Report, *, as_json: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._report, self._json = report, as_json

    def format(self, record: logging.LogRecord) -> str:
        if not self._json:
            return self._report.redact(super().format(record))
        fields = {"time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"), "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return self._report.redact(json.dumps(fields, ensure_ascii=False))


def number(count: int) -> str:
    """A count as a person reads it: 12,345."""
    return f"{count:,}"


def duration(seconds: float) -> str:
    """A length of time as a person reads it: 0.4 s, 3 m 20 s, 2 h 5 m, 3 d 4 h."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = int(seconds)
    for size, unit, small, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small} {name}"
    return f"{whole} s"
