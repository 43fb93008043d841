"""The places that the suite runs against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.airtable import AirtablePlace
from tests.contracts.places import Place, memory_place, postgres_place, sqlite_place


@pytest.fixture(params=["memory", "sqlite", "postgres", "airtable"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Every kind of destination."""
    made = make(request, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Every kind of destination that has transactions, and a table of attachments."""
    made = make(request, tmp_path)
    yield made
    made.close()


@pytest.fixture
def airtable(tmp_path: Path) -> Iterator[AirtablePlace]:
    made = AirtablePlace(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def sql_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Every kind of SQL database."""
    made = make(request, tmp_path)
    yield made
    made.close()


@pytest.fixture
def pg(fresh_postgres: str) -> Iterator[Place]:
    made = postgres_place(fresh_postgres)
    yield made
    made.close()


def make(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        return memory_place()
    if request.param == "airtable":
        return AirtablePlace(tmp_path)
    if request.param == "sqlite":
        return sqlite_place(tmp_path / "data.db")
    return postgres_place(request.getfixturevalue("fresh_postgres"))
