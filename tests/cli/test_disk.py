"""Disks that are full, files that may not be written, are damaged or held by others: told, and nothing is lost."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .job import Job
from .test_messages import assert_told

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk; tests/walks/test_full.py is for all")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Makes a folder a disk of so many bytes; called again, it makes that disk larger."""
    mounted: list[Path] = []

    def mount(folder: Path, size: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        again = "remount," if folder in mounted else ""
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"{again}size={size}", "tmpfs", folder], check=True)
        mounted.extend([folder] if not again else [])

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def rename_a_task(job: Job, name: str) -> None:
    job.sandbox.world.teamwork.edit_task(int(min(job.sandbox.truth.tasks())), name=name)


@needs_root
@pytest.mark.parametrize("size", [pytest.param("40k", marks=pytest.mark.proof), "280k", pytest.param("400k", marks=pytest.mark.proof)])
def test_a_full_disk_under_the_state_folder_is_told_and_the_next_run_goes_on(job: Job, small: Callable[..., None], size: str) -> None:
    small(job.state, size)
    for _ in range(2):
        assert_told(job.once(), 3, "free some disk space", "nothing is lost")
    assert_told(job.call("check"), 3, "disk: only")
    small(job.state, "50m")
    assert job.once().exit == 0
    assert job.differences() == []


@needs_root
def test_a_full_disk_under_the_spool_is_told_and_the_next_run_goes_on(job: Job, small: Callable[..., None]) -> None:
    small(job.state / "spool", "16k")
    assert_told(job.once(), 3, "cannot write to the spool", "No space left on device", "nothing is lost")
    small(job.state / "spool", "50m")
    assert job.once().exit == 0
    assert job.differences() == []


@needs_root
def test_a_full_disk_under_a_destination_holds_up_no_other_and_is_caught_up_with(both: Job, small: Callable[..., None]) -> None:
    both.more["SQLITE_PATH"] = "small/data.db"
    small(both.folder / "small", "100k")
    ran = both.once("--json")
    assert_told(ran, 3, "sqlite:", "the disk is full", "free some space")
    assert ran.document["destinations"]["postgres"]["behind"] == 0
    assert ran.document["destinations"]["sqlite"]["dead"] == 0
    small(both.folder / "small", "50m")
    ran = both.once("--json")
    assert ran.exit == 0
    assert ran.document["destinations"]["sqlite"] == {**ran.document["destinations"]["sqlite"], "behind": 0, "error": None}


@needs_root
def test_a_read_only_disk_under_the_state_folder_stops_everything(job: Job, small: Callable[..., None]) -> None:
    small(job.state, "50m")
    assert job.once().exit == 0
    subprocess.run(["mount", "-o", "remount,ro", job.state], check=True)
    ran = job.once()
    assert_told(ran, 2, "Read-only file system", "SYNCJOB_STATE_DIR")
    assert not ran.asked


# -- rights


@pytest.fixture
def modest(job: Job) -> Job:
    """The job of a user who may write only where files say so. Root is one too, without its power to override that."""
    powers = "-dac_override,-dac_read_search"
    if os.geteuid() == 0:
        job.through = ("setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}")
    return job


def test_a_state_folder_without_the_right_to_write_stops_everything(modest: Job) -> None:
    modest.state.mkdir()
    (modest.state / "of somebody").touch()
    modest.state.chmod(0o500)
    ran = modest.once()
    assert_told(ran, 2, "state folder", "Permission denied", "SYNCJOB_STATE_DIR")
    assert not ran.asked
    assert_told(modest.call("check"), 2, "state folder:", "SYNCJOB_STATE_DIR")


def test_a_mirror_without_the_right_to_write_stops_everything(modest: Job) -> None:
    assert modest.once().exit == 0
    mirror = modest.state / "mirror.db"
    mirror.chmod(0o400)
    rename_a_task(modest, "renamed")
    assert_told(modest.once(), 2, "the mirror", "cannot be written", f"give this user write access to {mirror}*")
    assert_told(modest.call("check"), 2, "mirror:", "give this user write access")
    for path in modest.state.glob("mirror.db*"):
        path.chmod(0o600)
    assert modest.once().exit == 0
    assert modest.differences() == []


def test_a_database_file_without_the_right_to_write_waits(modest: Job) -> None:
    assert modest.once().exit == 0
    modest.sqlite.chmod(0o400)
    rename_a_task(modest, "renamed")
    assert_told(modest.once(), 3, "sqlite:", "is read-only", "make the file and its folder writable")
    for path in modest.folder.glob("data.db*"):
        path.chmod(0o600)
    assert modest.once().exit == 0
    assert modest.differences() == []


# -- damage


@pytest.mark.parametrize(
    ("start", "end"),
    [pytest.param(0.0, 0.01, marks=pytest.mark.proof), (0.1, 0.9), pytest.param(0.5, 1.0, marks=pytest.mark.proof)],
)
def test_a_damaged_mirror_is_named_with_the_way_to_a_new_one_and_no_row_is_rewritten(job: Job, start: float, end: float) -> None:
    assert job.once().exit == 0
    mirror = job.state / "mirror.db"
    content = bytearray(mirror.read_bytes())
    place = slice(int(start * len(content)), int(end * len(content)))
    content[place] = os.urandom(place.stop - place.start)
    mirror.write_bytes(content)
    rename_a_task(job, "renamed")
    for command in ("once", "status", "check"):
        assert_told(job.call(command), 2, f"{mirror} is damaged", f"move {mirror}* away", "python -m syncjob once")
    for path in job.state.glob("mirror.db*"):
        path.rename(job.folder / path.name)

    ran = job.once("--json")

    assert ran.exit == 0, ran.all
    assert job.differences() == []
    assert ran.document["destinations"]["sqlite"]["written"] == 1


def test_a_page_in_the_spool_of_a_mirror_that_was_moved_away_harms_nobody(job: Job) -> None:
    rename_a_task(job, "before")
    with job.started("once") as process:
        while not list(job.state.glob("spool/*/*.leaf")):
            assert process.poll() is None, "a leaf was there too shortly"
        process.kill()
    for path in job.state.glob("mirror.db*"):
        path.unlink()
    assert job.once().exit == 0
    assert job.differences() == []


# -- others


def test_a_database_that_another_program_holds_is_told_and_caught_up_with(job: Job) -> None:
    assert job.once().exit == 0
    rename_a_task(job, "renamed")
    hold = "import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).execute('BEGIN EXCLUSIVE'); print(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-uc", hold, job.sqlite], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        ran = job.once("--json")
        assert_told(ran, 3, "is locked: another program is writing", "close the program that holds it")
        assert ran.document["destinations"]["sqlite"]["behind"] == 1
        other.kill()
    assert job.once().exit == 0
    assert job.differences() == []


def test_a_mirror_that_another_program_holds_is_told(job: Job) -> None:
    assert job.once().exit == 0
    rename_a_task(job, "renamed")
    with closing(sqlite3.connect(job.state / "mirror.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert job.call("status").exit == 0  # whoever only looks waits for nobody
