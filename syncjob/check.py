"""`check`: whether a run would find all that it needs. A line each: ok, or what is wrong and what to do.

It changes nothing and takes no lock: tables are made in a transaction that is taken back, and the sources are asked two
cheap questions each, which count in the budget like any other.
"""

import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from syncjob.build import APIS, DESTINATIONS, SOURCES
from syncjob.core.errors import ConfigError, SyncjobError, Unwritable, worst
from syncjob.core.model import Walk
from syncjob.core.ports import Checked
from syncjob.cycle import check_clock
from syncjob.drive import WallClock
from syncjob.identity import check_identity, identify
from syncjob.report import Report, duration
from syncjob.settings import Settings
from syncjob.store import Store
from syncjob.store.engine import MIGRATIONS, peek, unusable
from syncjob.store.store import KnownTo

LEAST_FREE = 200_000_000
"""Bytes. A mirror grows by less than this between two looks at it."""

Look = tuple[str, Callable[[], str]]


def run_check(settings: Settings, report: Report, stop: threading.Event) -> int:
    """Look at everything, whatever is wrong with the rest; 0, or the exit code of the worst problem."""
    report.line(f"settings: ok, sources {', '.join(settings.sources)}; destinations {', '.join(settings.db_backend)}")
    exits = []
    with TemporaryDirectory() as folder, closing(Store(Path(folder) / "mirror.db")) as scratch:
        for name, look in _looks(settings, scratch, WallClock(stop)):
            try:
                report.line(f"{name}: ok, {report.step(name, look)}")
            except SyncjobError as error:
                report.problem(name, error)
                exits.append(error.exit)
    return worst(exits)


def _looks(settings: Settings, scratch: Store, clock: WallClock) -> Iterator[Look]:
    yield "state folder", lambda: _folder(settings.state, "SYNCJOB_STATE_DIR")
    yield "mirror", lambda: _mirror(settings.state / "mirror.db")
    yield "disk", lambda: _disk(settings.state)
    for source in settings.sources:
        yield source, lambda name=source: _source(name, settings, scratch, clock)  # type: ignore[misc]
    if "sqlite" in settings.db_backend and settings.sqlite_file.parent != settings.state:
        yield "folder of SQLITE_PATH", lambda: _folder(settings.sqlite_file.parent, "SQLITE_PATH")
    for destination in settings.db_backend:
        yield destination, lambda name=destination: _destination(name, settings, scratch, clock)  # type: ignore[misc]


def _folder(folder: Path, setting: str) -> str:
    """Whether we may write there, or make it."""
    there = _nearest(folder)
    try:
        TemporaryFile(dir=there).close()  # it never has a name
    except OSError as error:
        hint = f"give this user write access to {there}, or set {setting}"
        raise ConfigError(f"{folder} cannot be written ({error.strerror})", hint=hint) from None
    return f"{folder}{_holder(folder / 'lock')}" if there == folder else f"{folder} will be made"


def _holder(lock: Path) -> str:
    """Who holds the lock, as its file says it. Trying to take it could be in the way of a run."""
    with suppress(OSError, ProcessLookupError):
        found = re.match(r"process (\d+) \(.*\)", lock.read_text())
        if found and Path(f"/proc/{found[1]}").exists():
            return f"; {found[0]} works on it"
    return ""


def _mirror(path: Path) -> str:
    if not path.exists():
        return "not there yet: the first run makes it"
    version, _ = peek(path)
    try:
        path.open("r+b").close()
    except OSError as error:
        raise unusable(error, path) from None
    return f"version {version}" + ("" if version == len(MIGRATIONS) else ", which the next run brings up to date")


def _disk(folder: Path) -> str:
    free = shutil.disk_usage(_nearest(folder)).free
    if free < LEAST_FREE:
        raise Unwritable(f"only {free / 1e6:,.1f} MB free at {folder}", hint="free some disk space")
    return f"{free / 1e9:,.1f} GB free at {folder}"


def _source(name: str, settings: Settings, scratch: Store, clock: WallClock) -> str:
    """Its key, whose it is, whether its list may be read, and its clock."""
    once = settings.model_copy(update={"http_retries": 1})
    source, api = SOURCES[name](once), APIS[name](once, clock)
    try:
        answers = identify(source, lambda call: api.get(call, "changes"))
        identity, _ = source.identity(answers)
        check_identity(identity, _known(settings).get(name))
        now = clock.now()
        check_clock(answers[-1], now)
        walk = Walk(0, source.stream, "changes", now, None, {}, now, 0)
        with scratch.read() as tx:
            call = source.page_call(replace(walk, position=source.begin(walk)), KnownTo(tx, name))
        api.get(call, "changes")
        return f"{identity}; {_skew(answers[-1].date, now)}"
    finally:
        api.close()


def _known(settings: Settings) -> Mapping[str, str]:
    """For whom the mirror was filled, by source. What is wrong with the mirror is told once, elsewhere."""
    path = settings.state / "mirror.db"
    with suppress(SyncjobError):
        return peek(path)[1] if path.exists() else {}
    return {}


def _skew(date: datetime | None, now: datetime) -> str:
    seconds = abs((date - now).total_seconds()) if date else 0
    return "clocks agree" if seconds < 60 else f"this machine's clock is off by {duration(seconds)}, which does no harm"


def _destination(name: str, settings: Settings, scratch: Store, clock: WallClock) -> str:
    destination = DESTINATIONS[name](settings, clock, scratch)
    try:
        return destination.check() if isinstance(destination, Checked) else "not looked at"
    finally:
        destination.close()


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())
