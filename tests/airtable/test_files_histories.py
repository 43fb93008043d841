"""Random histories of attachments: mails come and change, records vanish, answers are lost; in the end each file is shown exactly once."""

from pathlib import Path
from random import Random

import pytest

from syncjob.sandbox import Kind
from tests.test_files import Desk

FAULTS = (Kind.ANSWER_LOST, Kind.EMPTY_OBJECT, Kind.ERROR_EMPTY, Kind.TOO_LARGE, Kind.UNPROCESSABLE, Kind.TRUNCATED_JSON)
STORAGE = (Kind.FORBIDDEN, Kind.ERROR_HTML, Kind.RESET_WITHIN_BODY)


def something_happens(desk: Desk, draw: Random, emails: dict[str, list[int]]) -> None:
    """A mail comes, a conversation is renamed, or somebody deletes a record."""
    lot = draw.random()
    if lot < 0.6 or not emails:
        items = [
            desk.item(draw.choice((0, 7, 300, 300, 5_000_001)), draw.choice(("a.txt", "a.txt", "b"))) for _ in range(draw.randrange(4))
        ]
        emails[desk.mail(*items)] = sorted(each.size for each in items)
        return
    email = draw.choice(list(emails))
    desk.world.rename_conversation(desk.world.messages[email].conversation_id, f"Renamed {draw.random()}")
    desk.world.add_comment(desk.world.messages[email].conversation_id)
    table = desk.sandbox.world.airtable.base.table("Emails")
    if lot > 0.9 and table.records:
        desk.sandbox.world.airtable.remove_record(table, draw.choice(list(table.records)))


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(8))
def test_each_file_is_shown_once_whatever_happens(tmp_path: Path, seed: int) -> None:
    draw, emails = Random(f"files {seed}"), dict[str, list[int]]()
    desk = Desk(tmp_path, DB_BACKEND="airtable", ATTACHMENTS=draw.choice(("metadata", "files")), HTTP_TIMEOUT_SECONDS="10")
    desk.init()
    desk.sandbox.faults.seeded(draw, 0.2, FAULTS, face="airtable")
    desk.sandbox.faults.seeded(draw, 0.2, STORAGE, face="files")
    for _ in range(6):
        for _ in range(draw.randrange(4)):
            something_happens(desk, draw, emails)
        desk.once()
        desk.hurry()
    desk.sandbox.faults.clear()
    for _ in range(3):
        for email in emails:  # a record that somebody deleted comes back with a change
            desk.world.label(desk.world.messages[email].conversation_id, desk.world.add_label(f"{draw.random()}"))
        desk.once(), desk.hurry()
    for email, sizes in emails.items():
        assert sorted(each.get("size", -1) for each in desk.shown(email)) == sizes, f"seed {seed}"
    desk.sandbox.stop()
