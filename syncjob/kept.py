"""The kept files of attachments: is each still there, and still what was downloaded?"""

import hashlib
from collections.abc import Iterator, Sequence
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
        if not folder.is_dir():
            raise SyncjobError(f"the folder of files {folder} is not there", hint="is its disk mounted? If it is lost, make it anew, empty")
        for sha256, attachments in page:
            finding = _judged(folder / path_of(sha256), sha256)
            yield from (Finding(finding.verdict, key, finding.columns) for key in attachments)
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


def _judged(path: Path, sha256: str) -> Finding:
    """What became of a file, under no key."""
    try:
        with path.open("rb") as file:
            is_whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return Finding("missing", "")
    except OSError as error:
        raise SyncjobError(f"cannot read the file {path}: {error.strerror}", hint="mend its rights, or its disk") from None
    return Finding("equal", "") if is_whole else Finding("differs", "", ("content",))
