"""A state folder that is lost while records are deleted at the source: what only the databases know of is found all the same."""

import shutil

from .job import Job
from .rows import read

CONTENT = ("title", "subject", "body_html", "description", "labels", "tags")


def test_what_was_deleted_while_nobody_kept_account_is_marked_and_nothing_else_is_written(both: Job) -> None:
    assert both.dsn
    assert both.once().exit == 0
    before = {"postgres": read(both.dsn), "sqlite": read(both.sqlite)}
    ghosts = delete_some(both)
    shutil.rmtree(both.state)

    assert both.once().exit == 0
    ran = both.once("--full-resync", "--json")

    assert ran.exit == 0, ran.all
    assert both.differences() == []
    for name, now in (("postgres", read(both.dsn)), ("sqlite", read(both.sqlite))):
        for table, rows in before[name].items():
            assert now[table].keys() == rows.keys(), "no duplicates, nothing invented"
            gone = ghosts if table != "attachments" else {key for key, row in rows.items() if row["email_id"] in ghosts}
            assert {key: row for key, row in now[table].items() if key not in gone} == {
                key: row for key, row in rows.items() if key not in gone
            }, "equal rows are not rewritten: xmin and synced_at included"
            for key in gone & rows.keys():
                assert now[table][key]["deleted"], f"{table} {key}"
                assert now[table][key]["deleted_at"]
                assert [now[table][key].get(column) for column in CONTENT] == [rows[key].get(column) for column in CONTENT]
    assert both.call("verify").exit == 0
    assert [found["written"] for found in both.once("--json").document["destinations"].values()] == [0, 0]


def delete_some(job: Job) -> set[str]:
    """Delete in every way that there is; the keys of what is gone."""
    teamwork, missive, truth = job.sandbox.world.teamwork, job.sandbox.world.missive, job.sandbox.truth
    before = {*truth.tasks(), *truth.emails()}
    leaves = [key for key in sorted(truth.tasks()) if len(list(teamwork.family(int(key)))) == 1]
    for key in leaves[:2]:
        teamwork.delete_task(int(key))
        teamwork.purge_task(int(key))
    teamwork.delete_task(int(leaves[2]))
    threads: dict[str, list[str]] = {}
    for key, row in truth.emails().items():
        threads.setdefault(row["thread_id"], []).append(key)
    longest, *others = sorted(threads, key=lambda thread: (-len(threads[thread]), thread))
    missive.delete_message(threads[longest][0])
    missive.delete_conversation(others[0])
    missive.trash(others[1])
    return before - {*job.sandbox.truth.tasks(), *job.sandbox.truth.emails()}
