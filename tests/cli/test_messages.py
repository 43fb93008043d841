"""What goes wrong is told on one screen, with what to do next, the right exit code, no traceback and no secret."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from syncjob.sandbox import Fault, Kind, Sandbox

from .job import Job, Ran, is_one_screen
from .rows import difference

SOURCES = ("TEAMWORK_BASE_URL", "TEAMWORK_API_KEY", "MISSIVE_BASE_URL", "MISSIVE_API_TOKEN")
NO_SOURCE = dict.fromkeys(SOURCES, "")


def assert_told(ran: Ran, exit_: int, *words: str) -> None:
    """One screen on standard error that has these words."""
    assert ran.exit == exit_, ran.all
    assert is_one_screen(ran.err), ran.all
    for word in words:
        assert word in ran.err, ran.all


def test_without_settings_the_message_names_what_is_missing_and_the_demo(job: Job) -> None:
    ran = job.once(**NO_SOURCE)

    assert_told(ran, 2, "TEAMWORK_BASE_URL", "TEAMWORK_API_KEY", "MISSIVE_API_TOKEN", "python -m syncjob demo")
    assert not job.state.exists()


def test_without_settings_the_document_says_why_nothing_ran(job: Job) -> None:
    ran = job.once("--json", **NO_SOURCE)

    assert ran.exit == 2
    assert (ran.document["version"], ran.document["exit"]) == (1, 2)
    assert "no source" in ran.document["error"]
    assert "python -m syncjob demo" in ran.document["hint"]


def test_all_wrong_settings_are_told_at_once(job: Job) -> None:
    ran = job.once(POLL_INTERVAL_SECONDS="soon", DB_BACKEND="oracle", TEAMWORK_BASE_URL="example", MISSIVE_PROCESS_AFTER="yesterday")

    assert_told(ran, 2, "POLL_INTERVAL_SECONDS", "DB_BACKEND", "TEAMWORK_BASE_URL", "MISSIVE_PROCESS_AFTER")


def test_a_host_that_cannot_be_reached_leaves_the_other_source_going(job: Job) -> None:
    ran = job.once("--json", TEAMWORK_BASE_URL="http://127.0.0.1:9")

    assert_told(ran, 3, "teamwork", "127.0.0.1")
    assert ran.document["streams"]["missive.emails"]["walks"][0]["complete"]
    assert [problem for problem in difference(job.sqlite, job.sandbox) if not problem.startswith("tasks")] == []


def test_a_wrong_key_is_for_the_user_to_mend_and_leaves_the_other_source_going(job: Job) -> None:
    ran = job.once("--json", MISSIVE_API_TOKEN="missive_pat-wr0ng")

    assert_told(ran, 2, "missive", "MISSIVE_API_TOKEN")
    assert "wr0ng" not in ran.all
    assert ran.document["streams"]["teamwork.tasks"]["walks"][0]["complete"]
    assert [problem for problem in difference(job.sqlite, job.sandbox) if problem.startswith("tasks")] == []
    assert job.once().exit == 0, "once mended, it goes on"
    assert job.differences() == []


def test_a_foreign_table_is_never_touched_and_leaves_the_other_destination_going(both: Job) -> None:
    assert both.dsn
    with closing(psycopg2.connect(both.dsn)) as connection, connection:
        connection.cursor().execute("CREATE TABLE tasks (id serial PRIMARY KEY, chore text); INSERT INTO tasks (chore) VALUES ('dishes')")

    ran = both.once("--json")

    assert_told(ran, 2, "postgres", "tasks", "PG_SCHEMA")
    assert ran.document["destinations"]["postgres"]["error"]
    assert difference(both.sqlite, both.sandbox) == []
    with closing(psycopg2.connect(both.dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM tasks")
        assert cursor.fetchall() == [(1, "dishes")]


def test_a_foreign_table_in_sqlite_is_told_too(job: Job) -> None:
    with closing(sqlite3.connect(job.sqlite)) as connection, connection:
        connection.execute("CREATE TABLE emails (subject TEXT)")

    assert_told(job.once("--source", "teamwork"), 2, "sqlite", "emails", "SQLITE_PATH")


@pytest.mark.parametrize(
    "dsn", ["postgresql://postgres:pg-sandbox-pa55@127.0.0.1:9/x", "postgresql://postgres:pg-sandbox-pa55@/x?host=/nowhere"]
)
def test_postgres_that_cannot_be_reached_is_tried_again_by_the_next_run(job: Job, dsn: str) -> None:
    ran = job.once("--source", "teamwork", DB_BACKEND="sqlite,postgres", PG_DSN=dsn)

    assert_told(ran, 3, "postgres", "cannot be reached", "PG_DSN")


def test_a_database_that_does_not_exist_is_for_the_user_to_mend(both: Job) -> None:
    assert both.dsn
    ran = both.once("--source", "teamwork", PG_DSN=both.dsn.replace("/syncjob_", "/nosuch_"))

    assert_told(ran, 2, "postgres", "createdb")


@pytest.mark.parametrize(("flag", "name"), [("--source", "airtable"), ("--destination", "oracle"), ("--destination", "postgres")])
def test_an_unknown_part_is_named_with_those_there_are(job: Job, flag: str, name: str) -> None:
    ran = job.once(flag, name)

    assert_told(ran, 2, name)
    assert ("sqlite" if flag == "--destination" else "teamwork") in ran.err


def test_an_unknown_part_makes_one_json_document_too(job: Job) -> None:
    ran = job.once("--destination", "oracle", "--json")

    assert ran.exit == 2
    assert ran.document["exit"] == 2


@pytest.mark.parametrize("place", ["file/state", "/proc/state"])
def test_a_state_folder_that_cannot_be_used_stops_everything(job: Job, place: str) -> None:
    (job.folder / "file").touch()

    ran = job.once(SYNCJOB_STATE_DIR=place)

    assert_told(ran, 2, "state", "SYNCJOB_STATE_DIR")
    assert not ran.asked


def test_a_state_folder_in_use_by_a_newer_version_or_damaged_stops_everything(job: Job) -> None:
    job.state.mkdir()
    (job.state / "mirror.db").write_bytes(b"this is no database, but it is long enough to be looked at as one" * 20)

    assert_told(job.once(), 2, "mirror.db")


@pytest.fixture
def stranger(job: Job) -> Iterator[Job]:
    """A key of another user, pointed at a mirror that is filled."""
    assert job.once().exit == 0
    with Sandbox(seed=4, tasks=20, conversations=5) as other:
        yield Job(job.folder, other)


def test_another_users_key_stops_that_source_before_any_walk(job: Job, stranger: Job) -> None:
    ran = stranger.once("--source", "missive")

    assert_told(ran, 2, "missive: the key acts for", "--new-identity", "SYNCJOB_STATE_DIR")
    assert dict(ran.asked) == {"missive": 1}
    assert difference(job.sqlite, job.sandbox) == []


def test_another_user_is_accepted_by_a_word_that_reads_everything_anew(stranger: Job) -> None:
    assert_told(stranger.once("--new-identity"), 2, "once --full-resync --new-identity")

    ran = stranger.once("--full-resync", "--new-identity", "--json")

    assert "--new-identity" not in ran.err
    assert [problem for problem in stranger.differences() if "too many" not in problem] == []
    assert stranger.once("--json").exit in (0, 3, 4)


def test_a_server_that_answers_with_errors_is_tried_again_by_the_next_run(job: Job) -> None:
    job.sandbox.faults.always(".*", Fault(Kind("500 html")), face="missive")

    assert_told(job.once(), 3, "missive", "500")
    job.sandbox.faults.clear()
    ran = job.once()
    assert ran.exit == 0, ran.all
    assert job.differences() == []


def test_a_host_that_hangs_is_left_after_a_while_and_leaves_the_other_source_going(job: Job) -> None:
    job.sandbox.faults.always(".*", Fault(Kind.HANG), face="missive")

    ran = job.once(HTTP_TIMEOUT_SECONDS="1")
    assert_told(ran, 3, "missive: Missive (127.0.0.1:", "no complete answer in time; 2 tries", "The next run tries again")
    assert ran.seconds < 15
    assert [problem for problem in difference(job.sqlite, job.sandbox) if problem.startswith("tasks")] == []
    job.sandbox.faults.clear()
    assert job.once().exit == 0
    assert job.differences() == []


def test_a_key_without_rights_is_told_and_deletes_nothing(job: Job) -> None:
    assert job.once().exit == 0
    job.sandbox.faults.always(".*", Fault(Kind.FORBIDDEN), face="missive")

    assert_told(job.once(), 3, "missive: Missive (127.0.0.1:", "refuses access", "it answered 403 to /", "Give the key's user the right")
    assert job.differences() == []
    job.sandbox.faults.clear()
    assert job.once().exit == 0


def test_a_closed_pipe_makes_no_noise(job: Job) -> None:
    with job.started("once") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(60) in (0, 141)
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_an_unwritable_state_folder_is_told_to_a_user_without_rights(job: Job) -> None:
    """Root may write everywhere, so a plain user is asked where we are root."""
    job.state.mkdir(mode=0o500)
    denied = subprocess.run(["test", "-w", str(job.state)], check=False).returncode
    if not denied:
        pytest.skip("this user may write everywhere; the two places above stand for it")

    assert_told(job.once(), 2, "SYNCJOB_STATE_DIR")


def test_an_env_file_is_read_and_flags_of_its_mistakes_are_told(job: Job, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POLL_INTERVAL_SECOND=5\n")

    assert_told(job.once(), 2, "POLL_INTERVAL_SECOND ", "POLL_INTERVAL_SECONDS")
