"""Real processes, a sandbox over real HTTP, and a real PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncjob.sandbox import Sandbox
from tests.postgres import PostgresServer, new_database

from .job import Job


@pytest.fixture
def dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of a server that a test may stop, if it starts it again."""
    with new_database(postgres_server.dsn) as dsn:
        yield dsn


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A small world: enough for some pages and batches, and quick to read."""
    with Sandbox(seed=3, tasks=60, conversations=6) as sandbox:
        yield sandbox


@pytest.fixture
def job(tmp_path: Path, sandbox: Sandbox) -> Job:
    """The small world, into SQLite."""
    return Job(tmp_path, sandbox)


@pytest.fixture
def both(tmp_path: Path, sandbox: Sandbox, dsn: str) -> Job:
    """The small world, into SQLite and PostgreSQL."""
    return Job(tmp_path, sandbox, dsn=dsn)


@pytest.fixture
def big(tmp_path: Path, dsn: str) -> Iterator[Callable[..., Job]]:
    """Makes a job for a larger world, into SQLite and PostgreSQL."""
    started: list[Sandbox] = []

    def make(seed: int = 1, tasks: int = 200, conversations: int = 60) -> Job:
        started.append(Sandbox(seed=seed, tasks=tasks, conversations=conversations).start())
        return Job(tmp_path, started[-1], dsn=dsn)

    yield make
    for sandbox in started:
        sandbox.stop()
