"""The lock, with real processes."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncjob.core.errors import AlreadyRunning, ConfigError
from syncjob.lock import hold

HOLDER = """
import pathlib, sys, syncjob.lock
with syncjob.lock.hold(pathlib.Path(sys.argv[1]), what="once"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "state" / "lock"


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input closes."""
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_lock_and_since_when(lock: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(AlreadyRunning) as caught, hold(lock, what="run"):
        pass
    assert caught.value.exit == 75
    since = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.fullmatch(rf"process {holder.pid} \(once, {since}\) works on {re.escape(str(lock.parent))}", caught.value.message)
    assert caught.value.hint


def test_a_refusal_leaves_the_holders_name_in_place(lock: Path, holder: subprocess.Popen[str]) -> None:
    for _ in range(2):
        with pytest.raises(AlreadyRunning, match=f"process {holder.pid} "), hold(lock, what="run"):
            pass


def test_kill_9_frees_it(lock: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with hold(lock, what="once"):
        assert "(once, since " in lock.read_text()


def test_it_is_free_again_after_an_error(lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(lock, what="once"):
        raise ZeroDivisionError
    with hold(lock, what="a shorter name"):
        assert lock.read_text().count("\n") == 1


def test_a_state_folder_is_made_private_even_when_it_came_with_the_clone(lock: Path) -> None:
    lock.parent.mkdir(mode=0o755)
    (lock.parent / ".gitkeep").touch()
    with hold(lock, what="once"):
        assert [found.stat().st_mode & 0o777 for found in (lock.parent, lock)] == [0o700, 0o600]


def test_a_folder_with_other_things_in_it_keeps_its_mode(lock: Path) -> None:
    lock.parent.mkdir(mode=0o755)
    (lock.parent / "somebodys.txt").touch()
    with hold(lock, what="once"):
        assert lock.parent.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_cannot_be_used_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(ConfigError, match="cannot be used") as caught, hold(tmp_path / "state" / "lock", what="once"):
        pass
    assert "SYNCJOB_STATE_DIR" in caught.value.hint
