"""Whatever the vendors' undocumented behaviour is, a backfill, edits and a few changes cycles end in the truth."""

from typing import Any

import pytest

from syncjob.sandbox import Switches

from .switches import CYCLES, SWEEP, VARIATIONS, converged_by

UNSEEN: dict[tuple[str, Any], str] = {
    ("teamwork_move_bumps", False): "no list shows a move as a change",
    ("teamwork_deleted_marks", "none"): "no list tells a deleted task from another",
}
"""Where a sweep is needed, with the reason."""


@pytest.mark.parametrize(("name", "position", "switches"), VARIATIONS, ids=[f"{name} {position}" for name, position, _ in VARIATIONS])
def test_changes_cycles_converge_with_every_switch_in_every_position(name: str, position: Any, switches: Switches) -> None:
    assert converged_by(name, switches) in ((CYCLES, SWEEP) if (name, position) in UNSEEN else (CYCLES,))
