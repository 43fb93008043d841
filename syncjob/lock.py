"""One process at a time works on a state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from syncjob.core.errors import AlreadyRunning, ConfigError


@contextmanager
def hold(path: Path, *, what: str) -> Iterator[None]:
    """Hold the lock at `path` for the length of a `with`. Raises AlreadyRunning, naming the holder, or ConfigError.

    The kernel lets go when the process ends, however it ends, so a lock is never left behind.
    """
    handle = _open(path)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 500, 0).decode("utf-8", "replace").strip() or "another process"
            hint = "wait until it is done, or stop it: whatever runs next goes on where it stopped"
            raise AlreadyRunning(f"{holder} works on {path.parent}", hint=hint) from None
        except OSError as error:  # a network disk that knows no locks
            raise _unusable(path, error) from None
        with suppress(OSError):  # on a full disk the holder stays unnamed
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} ({what}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    """The lock's file, in a state folder that nobody else can read, since mails will lie in it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if all(found.name == ".gitkeep" for found in path.parent.iterdir()):  # as cloned; a folder with other things in it is left as it is
            path.parent.chmod(0o700)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the state folder {path.parent} cannot be used ({error.strerror})",
        hint="give this user write access to it, or set SYNCJOB_STATE_DIR to another folder on a local disk",
    )
