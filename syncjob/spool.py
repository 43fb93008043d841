"""The spool: every answer goes to disk, raw, before anything is decided about it.

A leaf is one file, `<state>/spool/<source>/<observation>.leaf`: a line of JSON (the format's version, the walk, the
call), then the answer's bytes. It is written to a temporary file, synced, renamed, and the folder is synced; so a
leaf is there whole or not at all. It is dropped only after the transaction that absorbed it.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from syncjob.core.errors import Unwritable
from syncjob.core.model import Answer, Call, Rejection

VERSION = 1
SUFFIX, PART, ASIDE = ".leaf", ".part", ".aside"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One answer on disk: which walk asked (None: no walk), the call, the answer, and the number of the request.

    `rejected`: records that were taken out of it, because they cannot be read.
    """

    path: Path
    observed: int
    walk: int | None
    call: Call
    answer: Answer
    rejected: tuple[Rejection, ...] = ()

    @property
    def tries(self) -> int:
        """How often it could not be absorbed."""
        return int(self.path.stem.partition(".")[2] or 0)


class UnknownLeaf(Exception):
    """A leaf that this program cannot read: of another version, or not written by it."""


class Spool:
    """The leaves of one source, in order of observation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for each in (folder.parent, folder):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.glob(f"*{PART}"):
            left.unlink()  # a crash came before the rename: the walk's position still asks for this page

    def write(self, *, observed: int, walk: int | None, call: Call, answer: Answer) -> Leaf:
        """Keep an answer: durable when this returns."""
        head = {
            "version": VERSION, "walk": walk, "call": asdict(call), "status": answer.status,
            "date": answer.date.isoformat() if answer.date else None,
        }  # fmt: skip
        path = self._folder / f"{observed:015d}{SUFFIX}"
        try:
            write_durably(path, json.dumps(head).encode() + b"\n" + answer.body)
        except OSError as error:
            raise Unwritable(
                f"cannot write to the spool {self._folder}: {error.strerror}",
                hint="free some disk space, or mend its rights; nothing is lost",
            ) from None
        return Leaf(path, observed, walk, call, answer)

    def leaves(self) -> Iterator[Path]:
        """What is left, oldest observation first."""
        return iter(sorted(path for path in self._folder.glob(f"*{SUFFIX}") if path.stem.partition(".")[0].isdigit()))

    def read(self, path: Path) -> Leaf:
        """A leaf from disk. Raises UnknownLeaf."""
        head, _, body = path.read_bytes().partition(b"\n")
        try:
            fields = json.loads(head)
            if fields["version"] != VERSION:
                raise UnknownLeaf(f"version {fields['version']}")
            call = fields["call"]
            asked = Call(call["name"], call["path"], tuple(map(tuple, call["params"])), call["about"], tuple(call["accept"]))
            date = datetime.fromisoformat(fields["date"]) if fields["date"] else None
            return Leaf(path, observation(path), fields["walk"], asked, Answer(fields["status"], body, date))
        except (ValueError, KeyError, TypeError) as error:
            raise UnknownLeaf(f"not a leaf ({type(error).__name__})") from None

    def drop(self, leaf: Leaf) -> None:
        """Forget an absorbed leaf. Not synced: a leaf that comes back after a power cut is absorbed again, to no effect."""
        leaf.path.unlink(missing_ok=True)

    def failed(self, leaf: Leaf) -> Leaf:
        """Note in a leaf's name that it could not be absorbed, so that its `tries` are counted over all runs."""
        path = leaf.path.with_name(f"{leaf.observed:015d}.{leaf.tries + 1}{SUFFIX}")
        leaf.path.rename(path)
        return replace(leaf, path=path)

    def set_aside(self, path: Path) -> Path:
        """Take a leaf out of the way, but keep it."""
        target = path.with_suffix(ASIDE)
        path.rename(target)
        return target


def observation(path: Path) -> int:
    """The number of the request that a leaf's file answers."""
    return int(path.stem.partition(".")[0])


def write_durably(path: Path, content: bytes) -> None:
    """Put a file in place, whole and synced, or leave nothing."""
    part = path.with_suffix(PART)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
