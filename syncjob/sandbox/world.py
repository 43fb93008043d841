"""One seeded world behind every face."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from .airtable import AirtableWorld
from .missive import MissiveWorld
from .missive import seed as missive_seed
from .switches import AirtableSwitches, Switches
from .teamwork import TeamworkWorld
from .teamwork import seed as teamwork_seed


class World:
    """Teamwork, Missive and Airtable, with one clock and one lock. Change it with the verbs of `teamwork`, `missive` and `airtable`."""

    def __init__(
        self,
        seed: int,
        *,
        clock: Callable[[], float] = time.time,
        switches: Switches | None = None,
        airtable: AirtableSwitches | None = None,
    ) -> None:
        self.seed = seed
        self.clock = clock
        self.switches = switches or Switches()
        self.lock = threading.RLock()
        self.teamwork = TeamworkWorld(self.switches, clock, self.lock, random.Random(f"{seed} teamwork"))
        self.missive = MissiveWorld(self.switches, clock, self.lock, random.Random(f"{seed} missive"))
        self.airtable = AirtableWorld(airtable or AirtableSwitches(), clock, self.lock, random.Random(f"{seed} airtable"))

    @classmethod
    def seeded(
        cls,
        seed: int,
        *,
        tasks: int = 200,
        conversations: int = 100,
        messages_per_conversation: int = 3,
        clock: Callable[[], float] = time.time,
        switches: Switches | None = None,
        airtable: AirtableSwitches | None = None,
    ) -> World:
        """A world with so much in it; Airtable's base is empty. The same seed at the same time gives the same world."""
        world = cls(seed, clock=clock, switches=switches, airtable=airtable)
        frozen = int(clock())  # time stands still while the world is made, or two of them would differ
        world.teamwork.clock = world.missive.clock = lambda: frozen
        teamwork_seed.fill(world.teamwork, tasks, random.Random(f"{seed} tasks"))
        missive_rng = random.Random(f"{seed} conversations")
        missive_seed.fill(world.missive, conversations, missive_rng, messages_per_conversation=messages_per_conversation)
        world.teamwork.clock = world.missive.clock = clock
        return world

    def make_ties(self, stream: str, count: int, *, at: int | None = None) -> list[str]:
        """So many new tasks (`teamwork.tasks`) or conversations (`missive.conversations`) with one stamp; returns their keys."""
        stamp = self.teamwork.now() if at is None else at
        with self.lock:
            if stream == "teamwork.tasks":
                stamps = {"created_at": stamp, "updated_at": stamp, "content_updated_at": stamp}
                return [str(self.teamwork.add_task(f"tie {number}", **stamps)) for number in range(count)]
            if stream == "missive.conversations":
                return [self.missive.add_tie(stamp) for _ in range(count)]
        raise ValueError(f"no stream {stream!r}: teamwork.tasks or missive.conversations")
