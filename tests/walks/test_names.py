"""What things are called, where no sideload says it: the directories are asked, and a passing refusal leaves nobody nameless."""

from pathlib import Path

import pytest

from syncjob.sandbox import Fault, Switches
from syncjob.sandbox.faults import Kind
from syncjob.sources.names import DIRECTORIES, REFUSALS

from .bench import Bench

REFUSED = (Kind.FORBIDDEN, Kind.NOT_FOUND)


def nameless_bench(folder: Path) -> Bench:
    """Tasks that name nobody, nor does their list."""
    return Bench(folder, seed=3, tasks=12, switches=Switches(teamwork_sideloads="absent", teamwork_tasklist_meta=False))


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("section", DIRECTORIES)
def test_a_directory_that_is_refused_at_first_is_asked_again(tmp_path: Path, section: str, kind: Kind) -> None:
    bench = nameless_bench(tmp_path)
    bench.sandbox.faults.at(1, Fault(kind), path=DIRECTORIES[section][0], times=REFUSALS - 1)
    bench.run("teamwork")
    assert bench.differences_of("task") == []
    bench.close()


@pytest.mark.parametrize("kind", REFUSED)
def test_one_that_may_not_be_read_names_nobody_and_is_asked_no_more(tmp_path: Path, kind: Kind) -> None:
    bench = nameless_bench(tmp_path)
    path, _ = DIRECTORIES["teams"]
    bench.sandbox.faults.always(path, Fault(kind))
    bench.run("teamwork")
    asked = [exchange.path for exchange in bench.sandbox.log].count(path)
    assert asked == REFUSALS
    assert all(".assignees: " in line for line in bench.differences_of("task")), "all else is as it is"
    bench.sandbox.world.teamwork.edit_task(min(bench.sandbox.world.teamwork.tasks), name="edited")
    bench.cycle("teamwork")
    assert [exchange.path for exchange in bench.sandbox.log].count(path) == asked
    bench.close()
