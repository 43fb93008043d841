"""The files of attachments, on disk under the hash of their content: what two mails share is there once.

A file is written beside its place, synced, and renamed; so it is there whole or not at all, and a name says what is in it.
No name that a sender chose is ever part of a path.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from syncjob.core.model import Wanted
from syncjob.http.download import DownloadError, download
from syncjob.spool import sync_folder
from syncjob.store.files import path_of

PART = ".part"


@dataclass(frozen=True, slots=True)
class Blob:
    """A downloaded file: where it is, its hash and its size."""

    path: Path
    sha256: str
    size: int


class Blobs:
    """The folder of files. It is made when the first one comes."""

    def __init__(self, folder: Path, session: Callable[[], requests.Session], *, most: int, timeout: float) -> None:
        self._folder, self._open, self._most, self._timeout = folder, session, most, timeout
        self._session: requests.Session | None = None

    def fetch(self, url: str, wanted: Wanted, *, keep: bool, most: int | None = None) -> Blob:
        """Download a file, into its place (`keep`), or beside it, to be dropped by the caller. Raises DownloadError."""
        self._session = self._session or self._open()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, name = tempfile.mkstemp(suffix=PART, dir=self._folder)
        part, hashed = Path(name), hashlib.sha256()
        try:
            with os.fdopen(number, "wb") as file:

                def write(chunk: bytes) -> None:
                    hashed.update(chunk)
                    file.write(chunk)

                size, type_ = download(self._session, url, write, most=self._most if most is None else most, timeout=self._timeout)
                if type_ == "text/html" and wanted.size not in (None, size) and not _may_be_html(wanted):
                    raise DownloadError("the storage host answered a web page instead")
                file.flush()
                os.fsync(file.fileno())
            blob = Blob(part, hashed.hexdigest(), size)
            return self._kept(blob) if keep else blob
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def path(self, sha256: str) -> Path:
        """Where a kept file is."""
        return self._folder / path_of(sha256)

    def tidy(self) -> None:
        """Take away what a crash left half-written."""
        for left in self._folder.glob(f"*{PART}"):
            left.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of connections."""
        if self._session:
            self._session.close()
        self._session = None

    def _kept(self, blob: Blob) -> Blob:
        path = self.path(blob.sha256)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        blob.path.rename(path)
        sync_folder(path.parent)
        sync_folder(self._folder)
        return Blob(path, blob.sha256, blob.size)


def _may_be_html(wanted: Wanted) -> bool:
    return "html" in (wanted.media_type or "html") or (wanted.filename or "").lower().endswith((".htm", ".html"))
