"""The log says the same as text and as JSON, in a file too, and never a secret."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncjob import logs
from syncjob.core.errors import ConfigError, Transient
from syncjob.logs import OLD_FILES, configure_logging
from syncjob.report import Report, told
from tests.cli.job import Job

SECRET = "s3cret-key"


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, told.handlers[:], told.propagate
    yield
    for handler in {*root.handlers, *told.handlers} - {*before[0]}:
        handler.close()
    root.handlers[:], root.level, told.handlers[:], told.propagate = before


def everything(report: Report) -> None:
    """One of each that is said."""
    report.line(f"state folder: /srv/{SECRET}")
    report.walk("teamwork.tasks", "changes", {"fetched": 7, "unchanged": 7}, requests=2, seconds=0.14)
    report.delivery("sqlite", 1200, seconds=3.2)
    report.problem("missive", Transient(f"down\n{SECRET}", hint="wait"))


def lines(path: Path) -> list[str]:
    return [line.partition(" ")[2] for line in path.read_text().splitlines()]


def test_text_and_json_have_the_same_keys(tmp_path: Path) -> None:
    for form in ("text", "json"):
        report = Report(as_log=True, secrets=[SECRET], err=(err := io.StringIO()))
        configure_logging(report, level="INFO", form=form, file=tmp_path / form, everything=True)
        everything(report)
    text, found = lines(tmp_path / "text"), [json.loads(line) for line in (tmp_path / "json").read_text().splitlines()]
    assert text == [
        "INFO state folder: /srv/***",
        "INFO walk stream=teamwork.tasks kind=changes fetched=7 unchanged=7 requests=2 seconds=0.1",
        "INFO delivery destination=sqlite written=1200 behind=0 seconds=3.2",
        'WARNING problem part=missive error="down\\n***" hint=wait',
    ]
    for line, record in zip(text, found, strict=True):
        keys = re.findall(r"(\w+)=", line)
        assert [key for key in record if key not in ("time", "level", "logger", "message")] == keys
    assert (tmp_path / "json").read_text() == err.getvalue()


def test_the_file_is_the_users_alone_begins_anew_when_large_and_keeps_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "logs" / "syncjob.log"
    report = Report(as_log=True)
    monkeypatch.setattr(logs, "FILE_BYTES", 100)
    configure_logging(report, level="INFO", form="text", file=path)
    for _ in range(OLD_FILES + 3):
        told.info("x" * 100)
    told.info("the last one")
    files = sorted(path.parent.iterdir())
    assert len(files) == OLD_FILES + 1
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert path.read_text().endswith("the last one\n")


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="the log"):
        configure_logging(Report(), level="INFO", form="text", file=tmp_path / "file" / "log")


def test_once_prints_for_people_and_writes_for_machines(job: Job) -> None:
    ran = job.once(LOG_FILE="syncjob.log", LOG_FORMAT="json")
    records = [json.loads(line) for line in (job.folder / "syncjob.log").read_text().splitlines()]
    assert ran.exit == 0
    assert ran.err == ""
    assert "teamwork.tasks full: fetched=" in ran.out
    assert {record["stream"] for record in records if record["message"] == "walk"} == {"teamwork.tasks", "missive.emails"}
    assert job.once("--quiet", LOG_FILE="syncjob.log").all == ""
