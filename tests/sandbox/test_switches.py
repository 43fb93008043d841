"""The switches themselves."""

from __future__ import annotations

import pytest

from syncjob.sandbox import Switches


def test_every_switch_lists_its_default_first() -> None:
    for name, positions in Switches.choices().items():
        assert getattr(Switches(), name) == positions[0]
        assert len(set(positions)) == len(positions) > 1


def test_variations_turn_one_switch_each() -> None:
    variations = list(Switches.variations())
    assert len(variations) == sum(len(positions) - 1 for positions in Switches.choices().values())
    for name, position, switches in variations:
        turned = [other for other in Switches.choices() if getattr(switches, other) != getattr(Switches(), other)]
        assert turned == [name]
        assert getattr(switches, name) == position


def test_a_misspelt_position_is_refused_and_numbers_are_free() -> None:
    with pytest.raises(ValueError, match="teamwork_meta"):
        Switches(teamwork_meta="no")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="missive_ties"):
        Switches(missive_ties="some")
    assert Switches(teamwork_lag_seconds=7).teamwork_lag_seconds == 7
