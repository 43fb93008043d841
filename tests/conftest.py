"""Fixtures for all tests, and how they are shared out among processes."""

import gc
import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.postgres import fresh_postgres, postgres_server, session_database

__all__ = ["fresh_postgres", "postgres_server", "session_database"]

LONG = ("tests/always/", "tests/cli/", "tests/histories/")
"""Where single tests take seconds, and have little in common."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests mostly wait."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """A file at a time, the fullest first, and at the end the long tests one by one, so that nobody waits for somebody's last file."""
    return Scheduling(config, log)


class Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(LONG) else nodeid.partition("::")[0]


def pytest_collection_finish() -> None:
    """What is there by now stays; looking through it again and again for garbage took a tenth of the histories' time."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
