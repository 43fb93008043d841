"""The one place where text leaves the program, without its secrets."""

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, TextIO, TypeVar

from syncjob.core.errors import SyncjobError, Unforeseen, Unwritable

T = TypeVar("T")
log = logging.getLogger("syncjob")
told = logging.getLogger("syncjob.told")
"""What is also said in words, as records with facts, for the log's file and for `run`."""
told.propagate = False
told.addHandler(logging.NullHandler())

HERE = Path(__file__).parent
HIDDEN = "***"
PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)([^\s:/@]{0,200}):[^\s/@]{1,500}@")
CONTROLS = {code: " " for code in (*range(32), *range(127, 160)) if chr(code) != "\n"}
"""A mail's subject in a message must not steer a terminal."""

SHOW_AFTER_SECONDS = 2.0
SCALES = ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


class Report:
    """Says what happened, to a person, to cron's mail, or to a program; never a secret.

    A terminal gets progress bars, everything else plain lines. `quiet` prints only what a person must act on. With
    `as_json`, standard output belongs to the one JSON `document` and all else goes to standard error. `as_log`: it is all in the log.
    """

    def __init__(
        self, *, out: TextIO = sys.stdout, err: TextIO = sys.stderr, secrets: Sequence[str] = (), quiet: bool = False,
        as_json: bool = False, as_log: bool = False, terminal: bool | None = None, clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """`terminal` None: look whether it is one."""
        self._out, self._err, self._secrets, self._quiet, self._as_log = out, err, secrets, quiet, as_log
        self._lines = err if as_json else out
        self._lock = threading.RLock()
        shown = not quiet and not as_log and (self._lines.isatty() if terminal is None else terminal)
        self._bars = _Bars(self._lines, clock) if shown else None

    def redact(self, text: str) -> str:
        """The text with every secret replaced."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return PASSWORD_IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)

    def clean(self, text: str) -> str:
        """The text with every secret replaced, and nothing in it that could steer a terminal."""
        return self.redact(text).translate(CONTROLS)

    def line(self, text: str = "") -> None:
        """Something worth knowing; not shown when quiet."""
        self._say(text, text)

    def walk(self, stream: str, kind: str, counts: Mapping[str, int], *, requests: int, seconds: float) -> None:
        """A finished walk and its account: how many records were fetched, and what became of them."""
        asked = f"{number(requests)} request{'' if requests == 1 else 's'}"
        text = f"{stream} {kind}: {account(counts)} ({asked}, {duration(seconds)})"
        self._say(text, "walk", stream=stream, kind=kind, **counts, requests=requests, seconds=round(seconds, 1))

    def delivery(self, destination: str, written: int, *, behind: int = 0, seconds: float) -> None:
        """A finished delivery."""
        left = f" behind={number(behind)}" if behind else ""
        text = f"{destination}: written={number(written)}{left} ({duration(seconds)})"
        self._say(text, "delivery", destination=destination, written=written, behind=behind, seconds=round(seconds, 1))

    def problem(self, part: str, error: SyncjobError) -> None:
        """What went wrong and what to do about it; a mere "not before" (exit 0) is not shown when quiet."""
        told.log(logging.WARNING, "problem", extra={"facts": {"part": part, "error": error.message, "hint": error.hint}})
        if not self._as_log and (error.exit or not self._quiet):
            hint = f"\n  {error.hint}" if error.hint else ""
            self._print(f"{part}: {error.message}{hint}", self._err)

    def _say(self, text: str, record: str, **facts: Any) -> None:
        if record.strip():
            told.log(logging.INFO, record.strip(), extra={"facts": facts})
        if not self._quiet and not self._as_log:
            self._print(text, self._lines)

    def document(self, found: Mapping[str, Any]) -> None:
        """The one JSON document of a run."""
        self.close()
        self._print(json.dumps(found, ensure_ascii=False), self._out)

    def record(self, text: str) -> None:
        """A record of the log, formatted."""
        self._print(text, self._err)

    def progress(self, name: str, done: int, total: int | None) -> None:
        """How far a walk or delivery is. Shown on a terminal only, and only once it has lasted over two seconds."""
        if self._bars:
            with self._lock:
                self._bars.show(name, done, total)

    def finished(self, name: str) -> None:
        """The walk or delivery that `progress` was told of is over."""
        if self._bars:
            with self._lock:
                self._bars.drop(name)

    def close(self) -> None:
        """Take the progress bars off the screen."""
        if self._bars:
            with self._lock:
                self._bars.close()

    def step(self, part: str, take: Callable[[], T]) -> T:
        """Take a part's step; whatever nobody foresaw becomes a SyncjobError, so that no part can bring down the rest."""
        try:
            return take()
        except SyncjobError:
            raise
        except Exception as error:  # the boundary between parts
            log.debug("%s: unexpected error", part, exc_info=True)
            raise foreseen(error) from None

    def _print(self, text: str, stream: TextIO) -> None:
        encoding = stream.encoding or "utf-8"
        text = self.clean(text).encode(encoding, "backslashreplace").decode(encoding)
        with self._lock:
            if self._bars is None or not self._bars.print_above(text, stream):
                print(text, file=stream, flush=True)


def foreseen(error: BaseException) -> SyncjobError:
    """What to tell of an error that has no place in our tree. Not its text: that may quote a mail."""
    name = f"{type(error).__name__} at {_place(error.__traceback__)}"
    if isinstance(error, OSError) and error.errno:
        return Unwritable(f"{error.strerror} ({name})", hint="free some disk space or mend the disk; nothing is lost, the next run goes on")
    return Unforeseen(f"unexpected {name}", hint="this is a bug in syncjob; nothing is lost. LOG_LEVEL=DEBUG shows where it happened")


def _place(traceback: TracebackType | None) -> str:
    """The last place in our own code that an error passed."""
    place = "?"
    while traceback:
        file = Path(traceback.tb_frame.f_code.co_filename)
        if file.is_relative_to(HERE):
            place = f"{file.relative_to(HERE)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


class _Bars:
    """Progress bars by rich, imported only when the first one is shown."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock
        self._since: dict[str, float] = {}
        self._tasks: dict[str, Any] = {}
        self._progress: Any = None

    def show(self, name: str, done: int, total: int | None) -> None:
        if self._clock() - self._since.setdefault(name, self._clock()) < SHOW_AFTER_SECONDS:
            return
        if self._progress is None:
            self._progress = _rich_progress(self._stream, self._clock)
            self._progress.start()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, completed=done)
        self._progress.update(self._tasks[name], completed=done, total=total, refresh=True)

    def drop(self, name: str) -> None:
        self._since.pop(name, None)
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
            if not self._tasks:
                self.close()

    def print_above(self, text: str, stream: TextIO) -> bool:
        """Print above the bars; False when there are none on this stream's screen."""
        if self._progress is None or not (stream is self._stream or stream.isatty()):
            return False
        self._progress.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
        return True

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = None
        self._tasks.clear()
        self._since.clear()


def _rich_progress(stream: TextIO, clock: Callable[[], float]) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:,.1f}/s" if task.speed else "")

    name, eta = TextColumn("{task.description}", markup=False), TextColumn("ETA")
    return Progress(
        name, BarColumn(), MofNCompleteColumn(), Rate(), eta, TimeRemainingColumn(), console=Console(file=stream, force_terminal=True),
        transient=True, auto_refresh=False, get_time=clock, speed_estimate_period=300, redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip


def account(counts: Mapping[str, int]) -> str:
    """Counts as words like `fetched=3 created=1`, without the zeros but for what was fetched."""
    return " ".join(f"{name}={number(count)}" for name, count in counts.items() if count or name == "fetched")


def number(count: int) -> str:
    """A count as a person reads it: 12,345."""
    return f"{count:,}"


def duration(seconds: float) -> str:
    """A length of time as a person reads it: 0.4 s, 3 m 20 s, 2 h 5 m, 3 d 4 h."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    size, unit, small, name = next(scale for scale in SCALES if whole >= scale[0])
    return f"{whole // size} {unit} {whole % size // small} {name}"
