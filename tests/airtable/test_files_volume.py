"""Two hundred attachments, from one byte to 30 MB, over a bad line: store, rows and Airtable are right, and memory is flat."""

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from syncjob.sandbox import Fault, Kind, Request, Sandbox
from syncjob.sandbox.files import content
from syncjob.sandbox.missive.things import Attachment
from tests.test_files import FAST, Desk

MOST = 25_000_000
PEAK = """
import sys
from syncjob.cli import main
main(sys.argv[1:])
print("peak", open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def once(desk: Desk, **more: str) -> int:
    """A run in a process of its own; its peak of memory in kB."""
    root, path = Path(__file__).parents[2], os.environ["PATH"]
    env = {"PATH": path, "PYTHONPATH": str(root), "HOME": str(desk.folder), "SYNCJOB_STATE_DIR": "state", "SQLITE_PATH": "data.db"}
    env |= {**desk.sandbox.settings(), **FAST, **desk.more, **more}
    command = [sys.executable, "-c", PEAK, "once"]
    ran = subprocess.run(command, cwd=desk.folder, env=env, capture_output=True, text=True, timeout=500, check=False)
    assert "Traceback" not in ran.stdout + ran.stderr, ran.stderr
    return int(ran.stdout.split("peak ")[1])  # not `ru_maxrss`, which begins with what the parent had


def items(sandbox: Sandbox, count: int, rng: random.Random) -> list[Attachment]:
    """Sizes spread evenly over their magnitudes; some lie about their size, some share their content, some have strange names."""
    found: list[Attachment] = []
    for number in range(count):
        size = 1 if number == 0 else 30_000_000 if number == 1 else round(30_000_000 ** rng.random())
        name = ("../../etc/passwd", "C:\\x", "a\nb", "", "ü" * 300, "a.txt")[number % 6]
        twin = found[0].id if number % 50 == 49 else None
        claimed = size * 2 if number % 20 == 19 else size
        real = 1 if twin else size
        found.append(Attachment(sandbox.world.missive.new_id(), name, "text", "plain", claimed, real_size=real, content_of=twin))
    return found


@pytest.mark.proof
def test_two_hundred_attachments_over_a_bad_line(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ATTACHMENTS="files", DB_BACKEND="sqlite,airtable", ATTACHMENT_MAX_BYTES=str(MOST), HTTP_TIMEOUT_SECONDS="15")
    made = items(desk.sandbox, 200, random.Random(5))
    emails = {}
    for start in range(0, len(made), 4):
        emails |= dict.fromkeys((each.id for each in made[start : start + 4]), desk.mail(*made[start : start + 4]))
    keys: list[bool] = []

    def listen(request: Request) -> None:
        if "/attachments/" in request.path:
            keys.append(request.header("Authorization") is not None)

    desk.sandbox.before_request.append(listen)
    desk.init()
    plain = once(desk, ATTACHMENTS="off", DB_BACKEND="sqlite")
    desk.sandbox.faults.seeded(random.Random(1), 0.2, (Kind.FORBIDDEN, Kind.ERROR_HTML, Kind.RESET_WITHIN_BODY), face="files")
    desk.sandbox.faults.at(7, Fault(Kind.HANG), face="files")
    desk.sandbox.faults.seeded(random.Random(2), 0.2, (Kind.ANSWER_LOST, Kind.EMPTY_OBJECT, Kind.ERROR_EMPTY), face="airtable")

    peaks = [once(desk)]
    for _ in range(2):
        desk.hurry()
        peaks.append(once(desk))
    desk.sandbox.faults.clear()
    for _ in range(2):
        desk.hurry()
        peaks.append(once(desk))
    desk.sandbox.world.airtable.tick()

    rows, kept = desk.rows(), desk.kept()
    small = [each for each in made if (each.real_size or 0) <= MOST]
    with closing(sqlite3.connect(tmp_path / "state" / "mirror.db")) as mirror:
        left = mirror.execute("SELECT attachment, error FROM files WHERE sha256 IS NULL AND over IS NULL").fetchall()
    assert left == []
    for each in small:
        sha256 = hashlib.sha256(content(each.content_of or each.id, each.real_size or 0)).hexdigest()
        assert (rows[each.id]["sha256"], rows[each.id]["email_id"]) == (sha256, emails[each.id])
        assert hashlib.sha256(kept[rows[each.id]["path"]]).hexdigest() == sha256
    assert len(kept) == len({row["sha256"] for row in rows.values() if row["sha256"]})
    assert not keys.count(True)
    assert len(keys) > len(small)
    for email in set(emails.values()):
        expected = sorted(each.real_size or 0 for each in made if emails[each.id] == email)
        assert sorted(each.get("size", -1) for each in desk.shown(email)) == expected, "each file once"
    with closing(sqlite3.connect(tmp_path / "state" / "mirror.db")) as mirror:
        assert mirror.execute("SELECT count(*) FROM files WHERE stage != 'done'").fetchone() == (0,)
    print(f"{len(made)} files, {sum(map(len, kept.values())) / 1e6:,.0f} MB kept in {len(kept)} files; "
          f"peaks {[round(peak / 1024) for peak in peaks]} MB, without files {plain / 1024:.0f} MB")  # fmt: skip
    assert max(peaks) < plain + 60_000, "a file is never in memory as a whole, but for what is sent to Airtable by its bytes"
    desk.sandbox.stop()
