"""What a run prints, and how it ends when it is asked to."""

import json
import re
import signal
import time
from collections.abc import Iterator

import pytest

from syncjob.sandbox import Request

from .job import Job

WALK = {
    "kind", "complete", "requests", "fetched", "created", "updated", "restored", "deleted", "unchanged", "rejected", "out_of_scope",
    "inaccessible", "error",
}  # fmt: skip
VERDICTS = WALK - {"kind", "complete", "requests", "fetched", "error"}


@pytest.fixture
def slow(job: Job) -> Iterator[Job]:
    """The small world behind a slow line: a backfill takes some seconds."""
    delay = 0.1

    def wait(request: Request) -> None:
        time.sleep(delay)

    job.sandbox.before_request.append(wait)
    yield job
    delay = 0


def wait_for(job: Job, requests: int) -> None:
    """Until the sandbox has had so many requests."""
    deadline = time.monotonic() + 30
    while len(job.sandbox.log) < requests:
        assert time.monotonic() < deadline, "too slow"
        time.sleep(0.01)


def test_a_run_names_its_state_folder_first_and_then_each_walk_and_delivery_in_a_plain_line(job: Job) -> None:
    ran = job.once()

    lines = ran.out.splitlines()
    assert lines[0].endswith(str(job.state))
    assert any(re.match(r"teamwork\.tasks full: fetched=\d+ created=\d+ \(\d+ requests?, ", line) for line in lines), ran.out
    assert any(re.match(r"missive\.emails full: fetched=\d+ created=\d+ \(\d+ requests?, ", line) for line in lines), ran.out
    assert any(line.startswith("sqlite") for line in lines)
    assert "\x1b" not in ran.all
    assert ran.err == ""


def test_a_good_run_prints_nothing_when_quiet(job: Job) -> None:
    ran = job.once("--quiet")

    assert (ran.exit, ran.all) == (0, "")


def test_a_bad_run_prints_only_what_is_wrong_when_quiet(job: Job) -> None:
    ran = job.once("--quiet", TEAMWORK_API_KEY="tkn_wr0ng")

    assert (ran.exit, ran.out) == (2, "")
    assert "TEAMWORK_API_KEY" in ran.err
    assert "state folder" not in ran.err


def test_the_document_has_the_contracts_keys_and_every_record_is_accounted_for(job: Job) -> None:
    ran = job.once("--json")

    found = ran.document
    assert ran.out.count("\n") == 1
    assert (found["version"], found["exit"], found["state"]) == (1, 0, str(job.state))
    assert found.keys() == {"version", "exit", "state", "streams", "destinations", "requests", "held"}
    assert found["streams"].keys() == found["held"].keys() == {"teamwork.tasks", "missive.emails"}
    (sqlite,) = found["destinations"].values()
    assert sqlite == {"written": sqlite["written"], "behind": 0, "dead": 0, "error": None}
    assert found["requests"] == dict(ran.asked)
    for stream in found["streams"].values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stream["checkpoint"])
        for walk in stream["walks"]:
            assert walk.keys() == WALK
            assert walk["fetched"] == sum(walk[verdict] for verdict in VERDICTS)
    truth = job.sandbox.truth
    assert [stream["walks"][0]["created"] for stream in found["streams"].values()] == [len(truth.tasks()), len(truth.emails())]
    assert ran.err.splitlines()[0].endswith(str(job.state))


def test_quiet_and_json_together_print_the_document_alone(job: Job) -> None:
    ran = job.once("--json", "--quiet", "--source", "teamwork")

    assert ran.document["streams"].keys() == {"teamwork.tasks"}
    assert ran.err == ""
    assert ran.asked.keys() == {"teamwork"}


@pytest.mark.parametrize(("number", "exit_"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_backfill_soon_and_the_next_run_completes_it(slow: Job, number: signal.Signals, exit_: int) -> None:
    with slow.started("once", "--json") as process:
        wait_for(slow, 8)
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        took = time.monotonic() - began
    slow.check(out + err)
    assert process.returncode == exit_, out + err
    assert took < 5
    assert json.loads(out)["version"] == 1
    slow.sandbox.before_request.clear()

    ran = slow.once()

    assert ran.exit == 0, ran.all
    assert slow.differences() == []


def test_a_run_that_has_had_its_time_ends_well_with_its_walk_open(slow: Job) -> None:
    ran = slow.once("--json", ONCE_MAX_SECONDS="1")

    assert ran.exit == 0, ran.all
    assert [walk["complete"] for walk in ran.document["streams"]["missive.emails"]["walks"]] == [False]
    shown = slow.call("status")
    assert "missive.emails" in shown.out
    assert "full walk under way" in shown.out
    (walk,) = slow.call("status", "--json").document["streams"]["missive.emails"]["walks"]
    assert (walk["kind"], walk["requests"] > 0) == ("full", True)
    slow.sandbox.before_request.clear()
    assert slow.once().exit == 0
    assert slow.differences() == []


def test_status_says_how_far_everything_is_and_asks_nobody(job: Job) -> None:
    assert job.once().exit == 0

    text, ran = job.call("status"), job.call("status", "--json")

    assert (text.exit, ran.exit) == (0, 0)
    assert not text.asked
    assert not ran.asked
    assert text.out.splitlines()[0].endswith(str(job.state))
    tasks = ran.document["streams"]["teamwork.tasks"]
    assert tasks["rows"] == len(job.sandbox.truth.tasks())
    assert tasks["walks"] == []
    assert 0 <= tasks["age_seconds"] < 60
    assert ran.document["destinations"] == {"sqlite": {"behind": 0, "dead": 0, "behind_seconds": None, "error": None}}


def test_status_before_the_first_run_says_so_and_makes_nothing(job: Job) -> None:
    ran = job.call("status")

    assert ran.exit in (0, 2)
    assert "once" in ran.all
    assert not job.state.exists()


def test_a_kept_up_process_polls_again_and_again_and_ends_well_when_asked(job: Job) -> None:
    with job.started("run", POLL_INTERVAL_SECONDS="1") as process:
        deadline = time.monotonic() + 40
        while sum(exchange.path.endswith("/tasks.json") for exchange in list(job.sandbox.log)) < 4:
            assert process.poll() is None, "it must stay up"
            assert time.monotonic() < deadline, "too slow"
            time.sleep(0.05)
        job.sandbox.world.teamwork.edit_task(int(next(iter(job.sandbox.truth.tasks()))), name="Renamed while it runs")
        while job.differences() and time.monotonic() < deadline:
            time.sleep(0.2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    job.check(out + err)
    assert process.returncode == 0, out + err
    assert time.monotonic() - began < 5
    assert job.differences() == []
    assert err.splitlines()[0].endswith(str(job.state))
