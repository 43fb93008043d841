"""A record that cannot be read is kept as a dead letter: it stops nothing, is told once, and heals by itself."""

import io
import threading
from pathlib import Path

from syncjob.build import Choices
from syncjob.once import Ran, run_once
from syncjob.report import Report
from syncjob.sandbox import Sandbox
from syncjob.settings import load
from syncjob.sources import teamwork


class Unreadable(teamwork.Task):
    """A task whose name is read as a number: what a vendor's new shape looks like to us."""

    name: int  # type: ignore[assignment]


def run(tmp_path: Path, sandbox: Sandbox) -> Ran:
    out = io.StringIO()
    return run_once(load(sandbox.settings(), cwd=tmp_path), Choices(), Report(out=out, err=out), threading.Event())


def test_a_record_that_cannot_be_read_is_told_once_and_heals_by_itself(tmp_path: Path, monkeypatch) -> None:
    with Sandbox(1, 10, 0) as sandbox:
        run(tmp_path, sandbox)
        key = int(sorted(sandbox.truth.tasks())[0])
        with monkeypatch.context() as broken:
            broken.setattr(teamwork, "Task", Unreadable)
            sandbox.world.teamwork.edit_task(key, name="a new shape")
            first, second = run(tmp_path, sandbox), run(tmp_path, sandbox)
        walk = first.document["streams"]["teamwork.tasks"]["walks"][0]
        assert (first.exit, walk["rejected"], walk["fetched"]) == (3, 1, 1)
        assert second.exit == 0  # known by now

        healed = run(tmp_path, sandbox)
        assert healed.exit == 0
        assert healed.document["destinations"]["sqlite"]["written"] == 1
