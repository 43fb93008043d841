"""What a backfill holds does not grow with the number of mails, and with their size only by a few times one mail's."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from syncjob.sandbox import Sandbox

from .job import Job
from .peak import peak

SMALL, LARGE, HUGE = 5_000, 1_000_000, 5_000_000


def backfill(folder: Path, mails: int, size: int) -> float:
    """The most memory, in MB, that it takes to read so many mails of so many bytes into an empty database."""
    folder.mkdir()
    conversations = mails + mails // 6  # some are trashed, or have only a draft
    with Sandbox(seed=3, tasks=0, conversations=conversations, messages_per_conversation=1) as sandbox:
        sandbox.world.missive.padding = size
        job = Job(folder, sandbox)
        found = peak(folder, job.env(), "once")
    with closing(sqlite3.connect(job.sqlite)) as database:
        (stored,) = database.execute("SELECT count(*) FROM emails WHERE length(body_html) > ?", [size]).fetchone()
    shutil.rmtree(folder)  # it is several times as large as its mails
    print(f"{stored} mails of {size:,} bytes: {found:.0f} MB")
    assert stored >= mails
    return found


def test_a_backfill_does_not_hold_the_bodies_of_many_mails_at_once(tmp_path: Path) -> None:
    assert backfill(tmp_path / "large", 20, LARGE) < backfill(tmp_path / "small", 20, SMALL) + 40


@pytest.mark.proof
def test_memory_is_flat_in_the_number_of_huge_mails(tmp_path: Path) -> None:
    few, some, many = (backfill(tmp_path / str(mails), mails, HUGE) for mails in (10, 40, 150))
    assert max(some, many) < 1.15 * few


@pytest.mark.proof
def test_a_thousand_huge_mails_take_a_few_times_one_mail_more_than_a_thousand_small_ones(tmp_path: Path) -> None:
    small, huge = backfill(tmp_path / "small", 1000, SMALL), backfill(tmp_path / "huge", 1000, HUGE)
    assert huge < small + 40 * HUGE / 1e6
