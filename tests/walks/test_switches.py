"""Whatever the vendors' undocumented behaviour is, a backfill, edits and a few changes cycles end in the truth."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from syncjob.sandbox import Switches

from .bench import Bench
from .edits import edit_mails, edit_tasks

VARIATIONS = [pytest.param(*each, id=f"{each[0]} {each[1]}") for each in (("default", None, Switches()), *Switches.variations())]
GAPS: dict[tuple[str, Any], str] = {
    ("teamwork_move_bumps", False): "a move that no list shows as a change is found by a full walk",
    ("teamwork_tag_bumps", False): "so is a tag",
}
"""What a changes cycle cannot see, with the reason; the sweep and the look-ups of later issues close these."""


@pytest.mark.parametrize(("name", "position", "switches"), VARIATIONS)
def test_changes_cycles_converge_with_every_switch_in_every_position(tmp_path: Path, name: str, position: Any, switches: Switches) -> None:
    if reason := GAPS.get((name, position)):
        pytest.skip(reason)
    seed = 7 if "merge" in name else 6  # worlds with odd seeds merge, the others throw away
    bench, rng = Bench(tmp_path, seed=seed, tasks=30, conversations=6, switches=switches), Random(4)
    faces = [face for face in bench.parts if name.startswith((face, "default"))]
    bench.run(*faces)
    for _ in range(8):
        bench.clock.at += 9
        if "teamwork" in faces:
            edit_tasks(bench.sandbox, rng)
        if "missive" in faces:
            edit_mails(bench.sandbox, rng)
    bench.settle(*faces, cycles=3)
    kinds = {"teamwork": ("task",), "missive": ("email", "attachment")}
    assert bench.differences_of(*(kind for face in faces for kind in kinds[face])) == []
    bench.close()
