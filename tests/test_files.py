"""Attachments' files: downloaded once, kept by their content, shown in Airtable once, whatever goes wrong on the way."""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from syncjob.build import Choices
from syncjob.core.errors import SyncjobError
from syncjob.core.model import Answer
from syncjob.files import FilesPart, _links_in
from syncjob.http.download import DownloadError, download
from syncjob.init import run_init
from syncjob.kept import findings
from syncjob.once import Ran, run_once
from syncjob.prove import run_verify
from syncjob.report import Report
from syncjob.sandbox import Fault, Kind, Sandbox
from syncjob.sandbox.exchange import Response
from syncjob.sandbox.files import SignedFiles, content
from syncjob.sandbox.missive.things import Attachment
from syncjob.settings import Settings, load
from syncjob.status import standing
from syncjob.store import Store

FAST = {"HTTP_RETRIES": "2", "HTTP_BACKOFF_SECONDS": "0", "HTTP_TIMEOUT_SECONDS": "1", "BACKFILL_OVERLAP_SECONDS": "0"}


class Desk:
    """A sandbox with mails that a test writes, and the job on a folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.more, self.said = folder, settings, StringIO()
        self.sandbox = Sandbox(1, 0, 0).start()
        self.world = self.sandbox.world.missive
        self._numbers = iter(range(1, 10_000))

    def mail(self, *items: Attachment) -> str:
        conversation = self.world.add_conversation(1, subject=f"Mail {next(self._numbers)}")
        (message,) = self.world.messages_of(self.world.conversations[conversation])
        self.world.messages[message.id] = replace(message, attachments=items)
        return message.id

    def item(self, size: int = 10, filename: str = "a.txt", **more: Any) -> Attachment:
        return Attachment(self.world.new_id(), filename, "text", "plain", size, **more)

    def settings(self, **more: str) -> Settings:
        values = {**self.sandbox.settings(), "SYNCJOB_STATE_DIR": "state", "SQLITE_PATH": "data.db", **FAST, **self.more, **more}
        return load(values, cwd=self.folder)

    def init(self, **more: str) -> None:
        run_init(self.settings(**more), Report(), threading.Event())

    def once(self, **more: str) -> Ran:
        settings = self.settings(**more)
        if "airtable" in settings.db_backend and not self.sandbox.requests("airtable"):
            self.init(**more)
        return run_once(settings, Choices(), Report(out=self.said, err=self.said), threading.Event())

    def rows(self) -> dict[str, dict[str, Any]]:
        with closing(sqlite3.connect(self.folder / "data.db")) as database:
            database.row_factory = sqlite3.Row
            return {row["attachment_id"]: dict(row) for row in database.execute("SELECT * FROM attachments")}

    def kept(self) -> dict[str, bytes]:
        """The files in the store by their path."""
        root = self.folder / "state" / "attachments"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def shown(self, email: str) -> list[dict[str, Any]]:
        """The attachments that Airtable shows of an email."""
        self.sandbox.world.airtable.tick()
        return list(self.sandbox.world.airtable.base.table("Emails").rows("Email ID")[email].get("Attachments", ()))

    def hurry(self) -> None:
        """Let every file be tried again at once, as if its time had come."""
        with closing(sqlite3.connect(self.folder / "state" / "mirror.db")) as mirror, mirror:
            mirror.execute("UPDATE files SET not_before = NULL")

    def downloads(self) -> int:
        return len(self.sandbox.requests("files"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, ATTACHMENTS="files")
    yield made
    made.sandbox.stop()


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, DB_BACKEND="airtable")
    yield made
    made.sandbox.stop()


def test_a_file_is_downloaded_once_and_its_row_says_where_it_is(desk: Desk) -> None:
    item = desk.item(70_000, "../../etc/passwd")
    email = desk.mail(item)
    assert desk.once().exit == 0
    sha256 = hashlib.sha256(content(item.id, 70_000)).hexdigest()
    assert desk.kept() == {f"{sha256[:2]}/{sha256}": content(item.id, 70_000)}
    row = desk.rows()[item.id]
    assert (row["email_id"], row["sha256"], row["path"], row["filename"]) == (email, sha256, f"{sha256[:2]}/{sha256}", "../../etc/passwd")
    modes = {path.stat().st_mode for path in (desk.folder / "state" / "attachments").rglob("*")}
    assert {stat.S_IMODE(mode) for mode in modes} == {0o700, 0o600}
    assert (desk.once().exit, desk.downloads()) == (0, 1)
    assert standing(desk.settings())["files"] == {"known": 1, "kept": 1, "shown": 0, "failing": 0}


def test_two_mails_share_one_file(desk: Desk) -> None:
    first = desk.item(50)
    second = desk.item(50, "other.txt", content_of=first.id)
    desk.mail(first)
    desk.mail(second)
    desk.once()
    assert len(desk.kept()) == 1
    assert len({row["path"] for row in desk.rows().values()}) == 1


def test_a_full_disk_is_told_as_such(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    desk.mail(desk.item())
    monkeypatch.setattr("syncjob.blobs.os.fsync", full)
    monkeypatch.setattr("syncjob.spool.os", SimpleNamespace(**{**vars(os), "fsync": lambda handle: None}))
    assert desk.once().exit == 3
    assert "attachments: No space left on device" in desk.said.getvalue()
    assert desk.kept() == {}


def test_without_files_nothing_is_downloaded_and_the_rows_are_there(desk: Desk) -> None:
    item = desk.item()
    desk.mail(item)
    desk.once(ATTACHMENTS="metadata")
    assert (desk.downloads(), desk.rows()[item.id]["sha256"]) == (0, None)
    desk.once(ATTACHMENTS="files")
    assert (desk.downloads(), bool(desk.rows()[item.id]["sha256"])) == (1, True)


def test_a_wrong_size_does_no_harm_and_a_file_too_large_is_left(desk: Desk) -> None:
    wrong, large, sly = desk.item(10, real_size=999), desk.item(2000), desk.item(10, real_size=2000)
    desk.mail(wrong, large, sly)
    assert desk.once(ATTACHMENT_MAX_BYTES="1000").exit == 0
    assert {key for key, row in desk.rows().items() if row["sha256"]} == {wrong.id}
    desk.hurry()
    before = desk.downloads()
    desk.once(ATTACHMENT_MAX_BYTES="1000")
    assert desk.downloads() == before, "it would be too large again"
    desk.once(ATTACHMENT_MAX_BYTES="3000")
    assert all(row["sha256"] for row in desk.rows().values())
    assert not list((desk.folder / "state" / "attachments").glob("*.part"))


@pytest.mark.parametrize(
    "kind",
    [Kind.FORBIDDEN, Kind.LOGIN_PAGE, *(pytest.param(kind, marks=pytest.mark.proof) for kind in (Kind.RESET_WITHIN_BODY, Kind.HANG))],
)
def test_a_failed_download_holds_no_email_back_and_is_tried_again(desk: Desk, kind: Kind) -> None:
    good, bad = desk.item(), desk.item(5000)
    desk.mail(good, bad)
    desk.sandbox.faults.always(bad.id, Fault(kind), face="files")
    assert desk.once().exit == 0
    assert len(desk.rows()) == 2
    assert {key for key, row in desk.rows().items() if row["sha256"]} == {good.id}
    desk.sandbox.faults.clear()
    desk.hurry()
    assert desk.once().exit == 0
    assert all(row["sha256"] for row in desk.rows().values())


@pytest.mark.parametrize(("name", "sub_type", "size"), [("a", "html", 9), ("a.htm", "plain", 9), ("a", "plain", 10)])
def test_a_web_page_is_kept_where_it_may_be_the_file(desk: Desk, name: str, sub_type: str, size: int) -> None:
    page = replace(desk.item(size, name), sub_type=sub_type)
    desk.mail(page)
    with patch.object(SignedFiles, "respond", lambda *_: Response(200, {"Content-Type": "text/html; charset=utf-8"}, content(page.id, 10))):
        assert desk.once().exit == 0
    assert desk.rows()[page.id]["sha256"]


def test_an_expired_link_is_asked_for_again_through_its_message(desk: Desk) -> None:
    item = desk.item()
    desk.mail(item)
    desk.sandbox.faults.at(1, Fault(Kind.FORBIDDEN), face="files")
    assert desk.once().exit == 0
    assert desk.rows()[item.id]["sha256"]
    assert desk.downloads() == 2


def test_the_storage_host_never_sees_a_key(desk: Desk) -> None:
    desk.mail(desk.item(), desk.item())
    seen: list[bool] = []
    desk.sandbox.before_request.append(
        lambda request: seen.append("Authorization" in request.headers) if request.path.startswith("/attachments/") else None
    )
    desk.once()
    assert seen == [False, False]


@pytest.mark.parametrize("url", ["http://files.example.com/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "https:///x", "nonsense"])
def test_only_https_is_followed(url: str) -> None:
    import requests

    with requests.Session() as session, pytest.raises(DownloadError):
        download(session, url, lambda chunk: None, most=10, timeout=1)


# --- Airtable ---


def test_airtable_shows_each_file_once_however_often_its_row_is_updated(base: Desk) -> None:
    email = base.mail(base.item(300, "a b.txt"), base.item(0, "empty"), base.item(300, "a b.txt"))
    assert base.once().exit == 0
    before = base.shown(email)
    assert sorted((each["filename"], each["size"]) for each in before) == [("a b.txt", 300), ("a b.txt", 300), ("empty", 0)]
    conversation = base.world.messages[email].conversation_id
    base.world.rename_conversation(conversation, "New")
    base.world.label(conversation, base.world.add_label("urgent"))
    assert base.once().exit == 0
    assert base.shown(email) == before
    assert base.downloads() == 3


def test_a_large_file_is_linked_and_looked_for_later(base: Desk) -> None:
    email = base.mail(base.item(5_000_001, "big"), base.item(10, "sly", real_size=5_000_001))
    assert base.once().exit == 0
    assert sorted((each["filename"], each.get("size")) for each in base.shown(email)) == [("big", 5_000_001), ("sly", 5_000_001)]
    base.hurry()
    before = base.shown(email)
    assert base.once().exit == 0
    assert base.shown(email) == before


@pytest.mark.proof
def test_a_link_that_airtable_could_not_fetch_is_sent_again(base: Desk) -> None:
    email = base.mail(base.item(5_000_001, "big"))
    base.sandbox.faults.always("attachments", Fault(Kind.ERROR_EMPTY), face="files")
    base.once()
    base.sandbox.faults.clear()
    base.sandbox.world.airtable.tick()
    base.hurry()
    base.once()
    base.sandbox.world.airtable.tick()
    assert [each.get("size") for each in base.shown(email)] == [5_000_001]


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("kind", [Kind.ANSWER_LOST, pytest.param(Kind.EMPTY_OBJECT, marks=pytest.mark.proof)])
def test_an_upload_whose_answer_was_lost_is_not_repeated(base: Desk, kind: Kind, applied: bool) -> None:
    email = base.mail(base.item(300), base.item(300), base.item(7, "b"))
    fault = Fault(kind, applied=applied)
    for number in (1, 3):
        base.sandbox.faults.at(number, fault, face="airtable", path="uploadAttachment")
    for _ in range(3):
        assert base.once().exit == 0
        base.hurry()
    assert sorted((each["filename"], each["size"]) for each in base.shown(email)) == [("a.txt", 300), ("a.txt", 300), ("b", 7)]


def test_a_record_made_anew_gets_its_files_again(base: Desk) -> None:
    email = base.mail(base.item(300))
    base.once()
    table = base.sandbox.world.airtable.base.table("Emails")
    base.sandbox.world.airtable.remove_record(table, next(iter(table.records)))
    base.world.rename_conversation(base.world.messages[email].conversation_id, "New")
    base.world.label(base.world.messages[email].conversation_id, base.world.add_label("urgent"))
    base.once()
    assert [each["size"] for each in base.shown(email)] == [300]


def test_files_that_people_added_stay(base: Desk) -> None:
    email = base.mail(base.item(5_000_001, "big"))
    base.once(ATTACHMENTS="off")
    airtable = base.sandbox.world.airtable
    table = airtable.base.table("Emails")
    field = airtable.add_field(table, "Attachments", "multipleAttachments")
    airtable.add_file(next(iter(table.records.values())), field, "mine", "text/plain", b"mine")
    base.once()
    base.once()
    assert sorted(each["filename"] for each in base.shown(email)) == ["big", "mine"]


@pytest.mark.proof
def test_off_shows_none_and_asks_for_none(base: Desk) -> None:
    base.mail(base.item(300))
    assert base.once(ATTACHMENTS="off").exit == 0
    assert base.downloads() == 0


@pytest.mark.proof
def test_what_is_shown_is_what_is_kept(base: Desk) -> None:
    email = base.mail(base.item(300, "x"), base.item(5_000_001, "y"))
    base.once(ATTACHMENTS="files")
    assert base.downloads() == 2
    assert sorted((each["filename"], each["size"]) for each in base.shown(email)) == [("x", 300), ("y", 5_000_001)]


def test_later_and_later(base: Desk) -> None:
    base.mail(base.item())
    base.sandbox.faults.always("attachments", Fault(Kind.ERROR_EMPTY), face="files")
    base.once()
    with closing(sqlite3.connect(base.folder / "state" / "mirror.db")) as mirror:
        tries, not_before = mirror.execute("SELECT tries, not_before FROM files").fetchone()
    assert tries == 1
    assert datetime.fromisoformat(not_before) - datetime.now(UTC) > timedelta(minutes=4)


def set_tries(desk: Desk, tries: int) -> None:
    """As if so many days had passed without success."""
    with closing(sqlite3.connect(desk.folder / "state" / "mirror.db")) as mirror, mirror:
        mirror.execute("UPDATE files SET tries = ?, not_before = NULL", [tries])


@pytest.mark.parametrize("where", ["desk", "base"])
def test_a_file_that_fails_for_months_stops_nothing(where: str, request: pytest.FixtureRequest) -> None:
    desk: Desk = request.getfixturevalue(where)
    email = desk.mail(desk.item(filename="never"), desk.item(filename="second"))
    desk.sandbox.faults.always("never", Fault(Kind.ERROR_EMPTY), face="files")
    desk.once()
    set_tries(desk, 500)
    assert desk.once().exit == 0
    set_tries(desk, 500)
    desk.sandbox.faults.clear()
    assert desk.once().exit == 0
    kept = desk.shown(email) if where == "base" else [row for row in desk.rows().values() if row["sha256"]]
    assert len(kept) == 2


def test_the_file_of_an_email_that_is_gone_is_not_asked_for_for_ever(desk: Desk) -> None:
    def links() -> int:
        return sum(f"/messages/{email}" in asked.path for asked in desk.sandbox.log)

    email = desk.mail(desk.item())
    desk.sandbox.faults.always("attachments", Fault(Kind.ERROR_EMPTY), face="files")
    desk.once()
    desk.world.trash(desk.world.messages[email].conversation_id)
    desk.once()
    desk.hurry()
    before = desk.downloads()
    desk.once()
    assert desk.downloads() > before, "a mail in the trash may still have its file"
    set_tries(desk, 10)
    before = links()
    desk.once()
    assert links() == before
    desk.sandbox.faults.clear()
    desk.world.untrash(desk.world.messages[email].conversation_id)
    desk.once()
    assert desk.kept()


@pytest.mark.parametrize("count", [1, 12])
def test_messages_out_of_reach_keep_no_other_file_waiting(desk: Desk, count: int) -> None:
    """Nor do more of them than are asked for together."""
    emails = {number: desk.mail(desk.item(10, f"{number}.txt")) for number in range(15)}
    desk.once(ATTACHMENTS="off")
    attachment = {desk.world.messages[email].attachments[0].id: email for email in emails.values()}
    for _, email in sorted(attachment.items())[:count]:
        desk.sandbox.faults.always(f"messages/[^/]*{email}", Fault(Kind.FORBIDDEN))
    desk.once()
    assert len(desk.kept()) == 15 - count


@pytest.mark.parametrize("kind", [Kind.ERROR_HTML, Kind.TRUNCATED_JSON, Kind.LOGIN_PAGE])
def test_a_message_that_always_fails_keeps_no_other_file_waiting(desk: Desk, kind: Kind) -> None:
    emails = [desk.mail(desk.item()) for _ in range(12)]
    desk.once(ATTACHMENTS="off")
    desk.sandbox.faults.always(f"messages/[^/]*{emails[3]}", Fault(kind))
    assert desk.once().exit == 0
    assert sum(bool(row["sha256"]) for row in desk.rows().values()) == 11
    desk.sandbox.faults.clear()
    desk.hurry()
    desk.once()
    assert all(row["sha256"] for row in desk.rows().values())


def test_an_outage_is_told_and_no_file_is_asked_for_over_and_over(desk: Desk) -> None:
    for _ in range(12):
        desk.mail(desk.item())
    desk.once(ATTACHMENTS="off")
    desk.sandbox.faults.always("/v1/messages/", Fault(Kind.ERROR_HTML))
    before = len(desk.sandbox.requests("missive"))
    assert desk.once().exit == 3
    assert len(desk.sandbox.requests("missive")) - before < 20, "the ten together, three by themselves, then one each time it is tried"
    desk.sandbox.faults.clear()
    desk.hurry()
    assert desk.once().exit == 0
    assert all(row["sha256"] for row in desk.rows().values())


@pytest.mark.parametrize("odd", [7, ["x"], {"id": 7, "url": "u"}, {"id": ["x"], "url": "u"}, {"id": "b", "url": 7}, {"id": "b"}])
def test_an_odd_attachment_hides_no_other_one(odd: object) -> None:
    shown = {"id": "1", "attachments": [odd, {"id": "a", "url": "https://x"}]}
    assert _links_in(Answer(200, json.dumps({"messages": shown}).encode())) == {"a": "https://x"}
    assert _links_in(Answer(200, json.dumps({"messages": [{"id": "2", "attachments": odd}, shown]}).encode())) == {"a": "https://x"}


def test_a_record_that_airtable_has_only_errors_for_keeps_no_other_one_waiting(base: Desk) -> None:
    """Large files go by a link, for which the record is asked for."""
    emails = [base.mail(base.item(6_000_000)) for _ in range(4)]
    with patch.object(FilesPart, "_show_some", return_value=False):
        base.once()
    table = base.sandbox.world.airtable.base.table("Emails")
    record = next(each.id for each in table.records.values() if each.cells[table.fields[0].id] == emails[1])
    base.sandbox.faults.always(f"/{record}", Fault(Kind.ERROR_HTML), face="airtable")
    base.once()
    assert [bool(base.shown(email)) for email in emails] == [True, False, True, True]


@pytest.mark.parametrize("lost", [True, False])
def test_files_that_a_record_shows_already_are_not_sent_again(base: Desk, *, lost: bool) -> None:
    """Neither where the state folder was lost, nor where it was set back to before they were sent."""
    base.mail(base.item(10, "before"))
    base.once()
    shutil.copytree(base.folder / "state", base.folder / "backup")
    email = base.mail(base.item(300, "a.txt"), base.item(7, "b.txt"), base.item(300, "a.txt"))
    base.once()
    shutil.rmtree(base.folder / "state")
    if not lost:
        (base.folder / "backup").rename(base.folder / "state")
    assert base.once().exit == 0
    assert sorted(item["filename"] for item in base.shown(email)) == ["a.txt", "a.txt", "b.txt"]


def verified(desk: Desk, *, repair: bool = False) -> Mapping[str, Any]:
    """What `verify` says of the files that are kept."""
    found = run_verify(desk.settings(), (), Report(out=desk.said, err=desk.said), threading.Event(), repair=repair)
    return {"exit": found["exit"], **{name: found["files"][name] for name in ("equal", "missing", "differs", "repaired", "rows")}}


def test_a_kept_file_that_is_lost_or_damaged_is_named_and_downloaded_anew_when_that_is_asked_for(desk: Desk) -> None:
    whole, shared, damaged = desk.item(30), desk.item(40), desk.item(50)
    same = desk.item(40, content_of=shared.id)
    desk.mail(whole, shared)
    desk.mail(same, damaged)
    assert desk.once().exit == 0
    before, rows = desk.kept(), desk.rows()
    assert verified(desk) == {"exit": 0, "equal": 4, "missing": 0, "differs": 0, "repaired": 0, "rows": []}

    root = desk.folder / "state" / "attachments"
    (root / rows[shared.id]["path"]).unlink()
    (root / rows[damaged.id]["path"]).write_bytes(b"half of it")
    lost = sorted([(shared.id, "missing"), (same.id, "missing"), (damaged.id, "differs")])
    found = verified(desk)
    assert (found["exit"], found["equal"], found["repaired"]) == (3, 1, 0)
    assert sorted((row["key"], row["verdict"]) for row in found["rows"]) == lost
    assert "files: 1 equal, 2 missing, 1 different" in desk.said.getvalue()
    assert f"  {damaged.id}: differs in content" in desk.said.getvalue()
    assert "3 kept files are missing, or not what was downloaded" in desk.said.getvalue()
    assert (desk.once().exit, desk.downloads()) == (0, 4), "told, and nothing else"

    found = verified(desk, repair=True)
    assert (found["exit"], found["repaired"]) == (0, 3)
    assert (desk.once().exit, desk.downloads()) == (0, 7)
    assert (desk.kept(), {key: {**row, "synced_at": None} for key, row in desk.rows().items()}) == (
        before, {key: {**row, "synced_at": None} for key, row in rows.items()},
    )  # fmt: skip
    assert verified(desk)["exit"] == 0


def test_a_folder_of_files_that_is_not_there_is_no_loss_of_files(desk: Desk) -> None:
    desk.mail(desk.item(30))
    assert desk.once().exit == 0
    root = desk.folder / "state" / "attachments"
    root.rename(root.with_name("unmounted"))
    for repair in (False, True):
        found = verified(desk, repair=repair)
        assert (found["exit"], found["missing"], found["repaired"]) == (3, 0, 0)
    assert "is its disk mounted?" in desk.said.getvalue()
    assert "no rows" not in desk.said.getvalue().rpartition("missive.emails")[2]
    root.with_name("unmounted").rename(root)
    assert verified(desk)["exit"] == 0
    assert (desk.once().exit, desk.downloads()) == (0, 1)


def test_a_folder_that_goes_while_its_files_are_read_is_no_loss_of_files_either(desk: Desk) -> None:
    desk.mail(desk.item(30), desk.item(40))
    assert desk.once().exit == 0
    root = desk.folder / "state" / "attachments"
    with closing(Store(desk.folder / "state" / "mirror.db")) as store:
        found = findings(store, root)
        assert next(found).verdict == "equal"
        root.rename(root.with_name("unmounted"))
        with pytest.raises(SyncjobError, match="is not there"):
            next(found)


def test_a_kept_file_that_cannot_be_read_is_told_and_not_taken_for_lost(desk: Desk) -> None:
    item = desk.item(30)
    desk.mail(item)
    assert desk.once().exit == 0
    path = desk.folder / "state" / "attachments" / desk.rows()[item.id]["path"]
    path.unlink()
    path.mkdir()
    found = verified(desk, repair=True)
    assert (found["exit"], found["missing"], found["differs"], found["repaired"]) == (3, 0, 0, 0)
    assert f"cannot read the file {path}: Is a directory" in desk.said.getvalue()
    path.rmdir()
    assert verified(desk, repair=True)["repaired"] == 1
    assert (desk.once().exit, desk.downloads(), verified(desk)["exit"]) == (0, 2, 0)


def test_without_files_verify_speaks_of_none(desk: Desk) -> None:
    desk.mail(desk.item(30))
    assert desk.once(ATTACHMENTS="metadata").exit == 0
    assert "files" not in run_verify(desk.settings(ATTACHMENTS="metadata"), (), Report(), threading.Event(), repair=False)
