"""The kept files of attachments: is each still there, and still what was downloaded?"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from syncjob.core.errors import SyncjobError
from syncjob.core.model import EMAILS
from syncjob.store import Store
from syncjob.store.files import path_of
from syncjob.verify import Finding

PAGE = 500


def findings(store: Store, folder: Path) -> Iterator[Finding]:
    """A finding for every attachment whose file is kept: equal, missing, or differs in `content`, which is read whole.

    Raises SyncjobError where the folder or a file cannot be read: that does not say that it is gone.
    """
    after = ""
    while page := _page(store, after):
        for sha256, attachments in page:
            found = _judged(folder, sha256)
            yield from (replace(found, key=key) for key in attachments)
        after = page[-1][0]


def want_again(store: Store, attachments: Sequence[str]) -> None:
    """Forget these files, so that the next run downloads them; until then destinations hear that there are none."""
    with store.begin() as tx:
        for key in attachments:
            tx.files.set(key, sha256=None, tries=0, not_before=None, error=None)
        tx.mirror.touch(EMAILS, tx.files.emails_of(attachments))


def _page(store: Store, after: str) -> list[tuple[str, list[str]]]:
    with store.read() as tx:
        return tx.files.kept(after, limit=PAGE)


def _judged(folder: Path, sha256: str) -> Finding:
    """What became of a file, under no key."""
    path = folder / path_of(sha256)
    try:
        with path.open("rb") as file:
            is_whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        if folder.is_dir():
            return Finding("missing", "")
        lost = f"If it is lost: `mkdir -m 700 {folder}`, then `python -m syncjob verify --repair`"
        raise SyncjobError(f"the folder of files {folder} is not there", hint=f"is its disk mounted? {lost}") from None
    except OSError as error:
        gone = "if it cannot be read at all, take it away, then `python -m syncjob verify --repair`"
        raise SyncjobError(f"cannot read the file {path}: {error.strerror}", hint=f"mend its rights; {gone}") from None
    return Finding("equal", "") if is_whole else Finding("differs", "", ("content",))
