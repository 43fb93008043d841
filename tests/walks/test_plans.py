"""No statement of a step reads a table from end to end: what a step costs does not grow with what is there."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

import syncjob.store
from syncjob.core.model import PROOF
from syncjob.store.ready import Ready
from syncjob.store.tables import metadata
from syncjob.store.walks import _wanted

GROWING = ("rows", "bodies", "sightings", "wants", "names", "ledger", "files", "deletions", "strangers")
WHOLE = re.compile(r"SCAN (\w+)|SEARCH (\w+)$")
"""How SQLite's plan tells of it; without an index also min and max are a SEARCH."""


def statements() -> Iterator[tuple[str, Ready]]:
    for module in pkgutil.iter_modules(syncjob.store.__path__):
        for name, value in vars(importlib.import_module(f"syncjob.store.{module.name}")).items():
            found = value if isinstance(value, tuple) else (value,)
            yield from ((f"{module.name}.{name}", each) for each in found if isinstance(each, Ready))
    yield "walks._wanted", _wanted((("thread", 20), *((kind, 20) for kind in PROOF)))


@pytest.fixture(scope="module")
def database() -> Iterator[Any]:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        yield connection.connection.dbapi_connection
    engine.dispose()


@pytest.mark.parametrize(("name", "statement"), [*statements()])
def test_a_statement_of_a_step_reads_no_growing_table_whole(database: Any, name: str, statement: Ready) -> None:
    sql, _ = statement._compiled
    plan = database.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(re.findall(r":(\w+)", sql)))
    whole = [found[found.lastindex] for *_, line in plan if (found := WHOLE.match(line)) and found[found.lastindex] in GROWING]
    assert whole == [], f"{name} reads all of {', '.join(whole)}: {sql}"
