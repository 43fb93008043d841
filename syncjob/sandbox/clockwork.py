"""What both vendors' worlds share: one lock, one clock, one set of switches, and verbs that change things."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from .switches import Switches

Verb = TypeVar("Verb", bound=Callable[..., Any])


class Clockwork:
    """The base of a world: whatever happens in it happens at `now`, one thing at a time."""

    def __init__(self, switches: Switches, clock: Callable[[], float], lock: threading.RLock, rng: random.Random) -> None:
        self.switches = switches
        self.clock = clock
        self.lock = lock
        self.rng = rng
        self.revision = 0  # rises with every change, so that answers derived from the world can be kept until then

    def now(self) -> int:
        """The world's time in whole seconds, as both vendors stamp it."""
        return int(self.clock())


def verb(change: Verb) -> Verb:
    """Mark a method that changes its world: it holds the world's lock and counts a revision."""

    @wraps(change)
    def locked(world: Clockwork, *args: Any, **kwargs: Any) -> Any:
        with world.lock:
            world.revision += 1
            return change(world, *args, **kwargs)

    return cast(Verb, locked)
