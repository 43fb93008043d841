"""Whatever goes wrong with whichever request: nothing is lost or falsely deleted, and the next cycle mends it."""

from pathlib import Path
from random import Random

import pytest

from syncjob.sandbox.faults import Fault, Kind

from .bench import OVERLAP
from .faults import SCENES, cases, stage, table
from .wire import WiredBench

SEED, SAMPLE = 11, 9


@pytest.mark.parametrize(("face", "phase"), SCENES)
def test_a_fault_at_any_request_is_mended_by_the_next_cycle(face: str, phase: str) -> None:
    with stage(face, phase) as found:
        played = [found.play(case) for case in Random(SEED).sample(cases(found), SAMPLE)]
    assert not any(each.wrong for each in played), table(played)


@pytest.mark.proof
@pytest.mark.parametrize(("face", "phase"), SCENES)
def test_every_fault_at_every_request_is_mended_by_the_next_cycle(face: str, phase: str) -> None:
    with stage(face, phase) as found:
        played = [found.play(case) for case in cases(found)]
    print(table(played))
    assert not any(each.wrong for each in played), table(played)


@pytest.mark.parametrize(("face", "what"), [("teamwork", "task"), ("missive", "email")])
def test_a_clock_that_is_hours_ahead_for_some_answers_hides_no_change(tmp_path: Path, face: str, what: str) -> None:
    bench = WiredBench(tmp_path, tasks=3, conversations=2)
    bench.run(face)
    bench.sandbox.faults.at(1, Fault(Kind.DATE_SKEWED), face=face, times=3)
    bench.cycle(face)
    bench.sandbox.world.teamwork.edit_task(int(next(iter(bench.sandbox.truth.tasks()))), name="changed")
    bench.sandbox.world.missive.add_message(next(iter(bench.sandbox.truth.emails().values()))["thread_id"])
    bench.settle(face, cycles=int(OVERLAP.total_seconds()) // 60)
    assert bench.differences_of(what) == []
    bench.close()
