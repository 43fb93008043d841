"""What leaves the program, and what never does."""

import errno
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from syncjob.core.errors import ConfigError, Held, Later, SyncjobError, Transient, Unwritable
from syncjob.logs import configure_logging
from syncjob.report import Report, duration, log, number

SECRETS = ("twp_topsecret", "dG9wc2VjcmV0")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Said:
    """A report and what it said."""

    def __init__(self, *, out: io.StringIO | None = None, quiet: bool = False, as_json: bool = False) -> None:
        self.now = 0.0
        self._out, self._err = out or io.StringIO(), io.StringIO()
        self.report = Report(out=self._out, err=self._err, secrets=SECRETS, quiet=quiet, as_json=as_json, clock=lambda: self.now)

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, log.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    log.setLevel(before[2])


def test_a_finished_walk_is_one_line_without_zeros() -> None:
    said = Said()
    said.report.walk("teamwork.tasks", "changes", {"fetched": 1234, "created": 1, "restored": 0, "updated": 2}, requests=2, seconds=1.23)
    said.report.walk("missive.emails", "changes", {"fetched": 0, "created": 0}, requests=1, seconds=200)
    assert said.out == (
        "teamwork.tasks changes: fetched=1,234 created=1 updated=2 (2 requests, 1.2 s)\n"
        "missive.emails changes: fetched=0 (1 request, 3 m 20 s)\n"
    )  # fmt: skip


def test_a_delivery_is_one_line() -> None:
    said = Said()
    said.report.delivery("sqlite", 12_345, seconds=3)
    said.report.delivery("postgres", 0, behind=7, seconds=0)
    assert said.out == "sqlite: written=12,345 (3.0 s)\npostgres: written=0 behind=7 (0.0 s)\n"


def test_a_problem_says_what_to_do() -> None:
    said = Said()
    said.report.problem("teamwork", ConfigError("the key is refused", hint="make a new one"))
    assert said.out == ""
    assert said.err == "teamwork: the key is refused\n  make a new one\n"


def test_quiet_says_only_what_a_person_must_act_on() -> None:
    said = Said(quiet=True)
    said.report.line("state folder: x")
    said.report.walk("teamwork.tasks", "changes", {"fetched": 1}, requests=1, seconds=1)
    said.report.problem("missive", Later("not before noon", until=datetime(2026, 1, 1, tzinfo=UTC)))
    said.report.problem("teamwork", Held("12 deletions held", hint="look"))
    assert (said.out, said.err) == ("", "teamwork: 12 deletions held\n  look\n")


def test_with_json_standard_output_is_one_document() -> None:
    said = Said(as_json=True)
    said.report.line("state folder: x")
    said.report.problem("teamwork", SyncjobError("no"))
    said.report.document({"version": 1, "error": "half \ud83d twp_topsecret"})
    assert json.loads(said.out) == {"version": 1, "error": "half \ud83d ***"}
    assert said.err == "state folder: x\nteamwork: no\n"


def test_no_secret_leaves_by_any_door(logs_as_before: None) -> None:
    said = Said()
    configure_logging(said.report, level="DEBUG", form="text")
    leak = "Basic dG9wc2VjcmV0, twp_topsecret at postgresql+psycopg2://ann:p%40ss@host/d"
    said.report.line(leak)
    said.report.problem("x", SyncjobError(leak, hint=leak))
    said.report.document({leak: leak})
    log.info("%s", leak)
    with pytest.raises(SyncjobError) as caught:
        said.report.step("x", lambda: 1 / len(leak[:0]))
    for text in (said.out, said.err, str(caught.value)):
        assert not any(secret in text for secret in (*SECRETS, "p%40ss"))
    assert "postgresql+psycopg2://ann:***@host/d" in said.out


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    said = Said()
    said.report.line("\x1b]0;title\x07 \x9b31m red\rline\n\ttwo \u202e")
    assert said.out == " ]0;title   31m red line\n two \u202e\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_text_can_be_printed_on_any_terminal(encoding: str) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    Report(out=out).line("caf\u00e9 \U0001f600 \ud83d")
    assert raw.getvalue().startswith(b"caf")


def test_an_error_of_ours_passes_through_a_step() -> None:
    said = Said()
    error = Transient("down")

    def fail() -> None:
        raise error

    with pytest.raises(Transient) as caught:
        said.report.step("postgres", fail)
    assert caught.value is error
    assert said.report.step("postgres", lambda: 7) == 7


def test_an_unforeseen_error_becomes_ours_and_quotes_nothing() -> None:
    def fail() -> None:
        json.loads("{'the body of a mail'")

    with pytest.raises(SyncjobError) as caught:
        Said().report.step("missive", fail)
    assert caught.value.exit == 3
    assert caught.value.message.startswith("unexpected JSONDecodeError at report.py:")
    assert caught.value.__suppress_context__


def test_a_full_disk_is_no_bug_of_ours() -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Unwritable, match="No space left on device") as caught:
        Said().report.step("missive", fail)
    assert "disk" in caught.value.hint


@pytest.mark.parametrize(("level", "shown"), [("INFO", False), ("DEBUG", True)])
def test_a_traceback_is_shown_only_for_debugging(logs_as_before: None, level: str, shown: bool) -> None:
    said = Said()
    configure_logging(said.report, level=level, form="text")
    with pytest.raises(SyncjobError):
        said.report.step("missive", lambda: {}["twp_topsecret"])
    assert ("Traceback" in said.err) is shown
    assert "topsecret" not in said.err.replace('["twp_topsecret"]', "")


def test_a_json_log_has_one_object_a_line(logs_as_before: None) -> None:
    said = Said()
    configure_logging(said.report, level="INFO", form="json")
    log.info("walk %s", "twp_topsecret\n\u00e9")
    log.debug("not shown")
    logging.getLogger("urllib3").info("not shown either")
    logging.getLogger("urllib3").warning("retrying")
    first, second = (json.loads(line) for line in said.err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("INFO", "syncjob", "walk ***\n\u00e9")
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert second["logger"] == "urllib3"


def test_a_bar_is_shown_after_two_seconds_with_rate_and_eta() -> None:
    said = Said(out=Screen())
    for said.now in (0.0, 1.0, 1.9):
        said.report.progress("missive.emails full", int(said.now), 100)
    assert said.out == ""
    for said.now in (2.0, 4.0, 6.0):
        said.report.progress("missive.emails full", 10 * int(said.now), 100)
    said.report.line("teamwork.tasks changes: fetched=0")
    said.report.finished("missive.emails full")
    shown = said.out
    assert "60/100" in shown
    assert "10.0/s" in shown
    assert "0:00:04" in shown
    assert "teamwork.tasks changes: fetched=0\n" in shown


def test_no_bar_is_shown_where_nobody_looks() -> None:
    for said in (Said(), Said(out=Screen(), quiet=True)):
        for said.now in (0.0, 5.0):
            said.report.progress("missive.emails full", 1, None)
        said.report.close()
        assert said.out + said.err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (1.23, "1.2 s"), (9.96, "10 s"), (59.6, "1 m 0 s"), (200, "3 m 20 s"), (7500, "2 h 5 m"), (273_600, "3 d 4 h")],
)
def test_a_duration_reads_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_number_reads_well() -> None:
    assert (number(999), number(1234567)) == ("999", "1,234,567")
