"""How long a destination has been behind is known to `status`, and forgotten when it is level."""

from datetime import timedelta
from pathlib import Path

import pytest

from syncjob.core.errors import Transient
from syncjob.core.model import Batch, Position, Receipt
from syncjob.delivery import DestinationPart
from tests.walks.bench import Bench


class Place:
    """A destination that may be down."""

    name = "place"

    def __init__(self) -> None:
        self.down = False
        self.position: Position | None = None

    def prepare(self) -> Position | None:
        if self.down:
            raise Transient("down")
        return self.position

    def deliver(self, batch: Batch, *, by_content: bool = False) -> Receipt:
        self.position = batch.position
        return Receipt(len(batch.rows))

    def live(self, stream: str) -> object:
        return iter(())

    def close(self) -> None:
        """Nothing is open."""


def test_behind_begins_with_the_first_failure_and_ends_when_it_is_level_again(tmp_path: Path) -> None:
    bench, place = Bench(tmp_path, tasks=3), Place()
    bench.run("teamwork")
    began = bench.clock.now()

    def behind_since() -> object:
        with bench.store.read() as tx:
            return [noted["behind_since"] for noted in tx.feed.noted()]

    place.down = True
    for _ in range(3):
        part = DestinationPart(place, bench.store, bench.clock)  # type: ignore[arg-type]
        with pytest.raises(Transient) as failure:
            part.step()
        part.failed(failure.value)
        bench.clock.at += 100
    assert behind_since() == [began]
    place.down = False
    part = DestinationPart(place, bench.store, bench.clock)  # type: ignore[arg-type]
    while part.step() is None:
        pass
    assert behind_since() == [None]
    place.down = True
    part.new_cycle()
    with pytest.raises(Transient) as failure:
        part.step()
    part.failed(failure.value)
    assert behind_since() == [began + timedelta(seconds=300)]
    place.down = False
    part.step()
    assert behind_since() == [None], "also when nothing was to be delivered"
    bench.close()
