"""What `verify` and `replay` hold at a time does not grow with what they compare."""

import os
from pathlib import Path

import pytest

from syncjob.core.digest import digest
from syncjob.core.model import EMAILS, TASKS, Change, Record
from syncjob.delivery import DestinationPart
from syncjob.destinations import SqlDestination, sqlite_url
from syncjob.store import Store
from tests.contracts.places import HandClock, attachment, email, task

from .peak import peak

ROOT = Path(__file__).parents[2]
PORTION = 5_000


def fill(folder: Path, number: int) -> None:
    """A mirror of so many tasks and emails, each with some kilobytes or an attachment, and a database that is level with it."""
    (folder / "state").mkdir()
    store = Store(folder / "state/mirror.db")
    for start in range(0, number, PORTION):
        records = [record for each in range(start, start + PORTION, 2) for record in (task_record(each), email_record(each))]
        with store.begin() as tx:
            tx.mirror.apply([Change("created", each, digest(each.data, each.body)) for each in records], observed=1)
    part = DestinationPart(SqlDestination("sqlite", sqlite_url(folder / "data.db"), clock=HandClock()), store, HandClock())
    while part.step() is None:
        pass
    part.destination.close()
    store.close()


def task_record(each: int) -> Record:
    return Record(TASKS, f"{each:09}", task(f"{each:09}", description="words " * 100).data)


def email_record(each: int) -> Record:
    whole = dict(email(f"{each:09}", attachments=[attachment(f"f{each:09}")] * (each % 4 == 0)).data)
    return Record(EMAILS, f"{each:09}", whole, body={"body_html": whole.pop("body_html") + "<p>x</p>" * 200, "body_text": "x " * 400})


@pytest.mark.proof
@pytest.mark.parametrize("command", [("verify",), ("verify", "--repair"), ("replay", "--destination", "sqlite")], ids=" ".join)
def test_memory_is_flat(filled: tuple[Path, Path], command: tuple[str, ...]) -> None:
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "SQLITE_PATH": "data.db"}
    small, large = (peak(folder, env, *command) for folder in filled)
    print(f"{' '.join(command)}: 30,000 rows {small:.0f} MB, 200,000 rows {large:.0f} MB")
    assert large < 1.15 * small


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two set-ups: 30,000 and 200,000 rows."""
    small, large = tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("large")
    fill(small, 30_000)
    fill(large, 200_000)
    return small, large
