"""`dead`: the records that were given up on for now, and what a person may do about them."""

import json
import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from syncjob.build import DESTINATIONS, SOURCES
from syncjob.core.errors import ConfigError, Rejected, SyncjobError, worst
from syncjob.core.model import LISTS, Json
from syncjob.delivery import DestinationPart
from syncjob.drive import WallClock
from syncjob.lock import hold
from syncjob.report import Report
from syncjob.settings import Settings
from syncjob.status import known_store
from syncjob.store import Store, Tx
from syncjob.store.letters import Letter

NAME_LENGTH = 60


def listed(settings: Settings) -> Mapping[str, Any]:
    """What `dead list --json` prints: every letter, without its record."""
    with known_store(settings) as store, store.read() as tx:
        return {"version": 1, "letters": [_outline(letter) for letter in tx.letters.find()]}


def show_list(found: Mapping[str, Any], report: Report) -> None:
    """`dead list` for a person: a line each."""
    for letter in found["letters"]:
        report.line("{part} {key}: {error} ({stream}, since {first_at})".format(**letter))
    if not found["letters"]:
        report.line("no dead letters")


def show(settings: Settings, part: str, key: str, *, raw: bool, report: Report) -> None:
    """A letter with its record: only the types and lengths of its values, or, with `raw`, the values. Raises ConfigError."""
    with known_store(settings) as store, store.read() as tx:
        for letter in _found(tx, part, key):
            record = _record(letter, tx)
            found = {**_outline(letter), "record": record if raw else shape(record)}
            report.line(json.dumps(found, ensure_ascii=False, indent=2))


def shape(value: Json) -> Json:
    """A JSON value without what it says: the type and length of every value, under its name."""
    match value:
        case dict():
            return {str(name)[:NAME_LENGTH]: shape(item) for name, item in value.items()}
        case list():
            return [f"list of {len(value)}", *(shape(item) for item in value[:1])]
        case str():
            return f"text of {len(value)}"
    return {bool: "true or false", int: "whole number", float: "number"}.get(type(value), "null")


def drop(settings: Settings, part: str, key: str, report: Report) -> None:
    """Forget a letter. Its record is left as it is until it changes; a list is asked for again. Raises ConfigError when there is none."""
    with hold(settings.state / "lock", what="dead drop"), known_store(settings) as store, store.begin() as tx:
        for letter in _found(tx, part, key):
            tx.letters.forget(letter)
    then = "the list is asked for again" if letter.stream == LISTS else "the record is left as it is until it changes"
    report.line(f"{part} {key}: forgotten; {then}")


def retry(settings: Settings, part: str | None, key: str | None, report: Report, stop: threading.Event) -> int:
    """Deliver the present rows of a destination's letters (of all destinations: None) to it alone; the exit code.

    Raises ConfigError for a part that is a source, has no letters, or is no destination any more.
    """
    if part in SOURCES:
        raise ConfigError(
            f"{part} is a source: its dead letters heal by themselves when the record changes, or the list can be read",
            hint="to read every record again now: python -m syncjob once --full-resync",
        )
    with hold(settings.state / "lock", what="dead retry"), known_store(settings) as store:
        with store.read() as tx:
            letters = _found(tx, part, key) if part else tx.letters.find()
        if part and part not in settings.db_backend:
            gone = f"forget what it refused: python -m syncjob dead drop {part} {letters[0].key}"
            raise ConfigError(f"{part} is not in DB_BACKEND", hint=f"put it there, or {gone}")
        mine = [each for each in letters if each.part in settings.db_backend]
        if not mine:
            report.line("there is no record that a destination of DB_BACKEND refused")
        groups = groupby(mine, key=lambda letter: letter.part)
        return worst([_retry(name, [*found], settings, store, report, stop) for name, found in groups])


def _retry(name: str, letters: Sequence[Letter], settings: Settings, store: Store, report: Report, stop: threading.Event) -> int:
    clock = WallClock(stop)
    part = DestinationPart(DESTINATIONS[name](settings, clock, store), store, clock)
    try:
        left = report.step(name, lambda: part.retry(letters))
        report.line(f"{name}: {len(letters) - left} of {len(letters)} delivered")
        if left:
            raise Rejected(f"{left} refused again", hint="to see why: python -m syncjob dead list")
    except SyncjobError as error:
        report.problem(name, error)
        return error.exit
    finally:
        part.destination.close()
    return 0


def _found(tx: Tx, part: str, key: str | None) -> Sequence[Letter]:
    found = tx.letters.find(part, key)
    if not found:
        what = f"there is no dead letter {part} {key or ''}".rstrip()
        raise ConfigError(what, hint="to see those there are: python -m syncjob dead list")
    return found


def _outline(letter: Letter) -> Mapping[str, Any]:
    times = {name: getattr(letter, name).strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("first_at", "last_at")}
    return {"part": letter.part, "stream": letter.stream, "key": letter.key, "error": letter.error, **times}


def _record(letter: Letter, tx: Tx) -> Json:
    """The record: as the source sent it, or the mirror's present row, which a destination refused."""
    if letter.raw:
        return json.loads(letter.raw)
    row = tx.feed.row(letter.stream, letter.key)
    return row and {**row.data, "deleted": row.deleted_at is not None}
