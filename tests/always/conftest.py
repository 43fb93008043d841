"""A small world and a job for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncjob.sandbox import Sandbox
from tests.cli.job import Job


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A few tasks and mails."""
    with Sandbox(seed=3, tasks=12, conversations=2) as sandbox:
        yield sandbox


@pytest.fixture
def job(tmp_path: Path, sandbox: Sandbox) -> Job:
    """The small world, into SQLite, which is asked every second."""
    return Job(tmp_path, sandbox, {"POLL_INTERVAL_SECONDS": "1"})
