"""Each command starts by itself. (The other tests of this folder fork theirs from a process in which everything is imported already.)"""

from .job import Job

COMMANDS = (
    "init airtable", "once", "status --json", "check", "dead retry", "verify --repair", "replay --destination sqlite",
)  # fmt: skip


def test_no_command_needs_what_another_one_has_imported(job: Job) -> None:
    job.forked, job.more = False, {"DB_BACKEND": "sqlite,airtable"}
    for command in COMMANDS:
        ran = job.call(*command.split())
        assert ran.exit == 0, f"{command}: {ran.all}"
    assert job.differences() == []
