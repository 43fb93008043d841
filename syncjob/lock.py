"""One process at a time works on a state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from syncjob.core.errors import AlreadyRunning, ConfigError


@contextmanager
def hold(path: Path, *, what: str) -> Iterator[None]:
    """Hold the lock at `path` for the length of a `with`. Raises AlreadyRunning, naming the holder, or ConfigError.

    The kernel lets go when the process ends, however it ends, so a lock is never left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the state folder {path.parent} cannot be written ({error.strerror})",
            hint="give this user write access to it, or set SYNCJOB_STATE_DIR to another folder",
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 500, 0).decode("utf-8", "replace").strip() or "another process"
            raise AlreadyRunning(f"{holder} works on {path.parent}", hint="wait until it is done, or stop it; the next run goes on") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} ({what}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)\n".encode(), 0)
        yield
    finally:
        os.close(handle)
