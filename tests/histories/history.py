"""One history: a world, a job, and everything that can happen to both, in an order drawn from one seed."""

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from time import monotonic
from urllib.parse import urlsplit

from syncjob.core.errors import Later
from syncjob.core.steps import Rhythm
from syncjob.sandbox import Fault, Request, Sandbox
from syncjob.sandbox.faults import Rule
from tests.histories.changes import change, great_change
from tests.histories.chronicle import Chronicle
from tests.histories.judge import Judge
from tests.histories.machine import POLL, SWEEP, Machine
from tests.histories.net import Net
from tests.histories.plan import BY_ID, LIES, LISTS, SWEEPS, Plan, draw, told
from tests.postgres import new_database, own_postgres
from tests.walks.bench import Clock, Crash, new_folder

MOST_CRASHES = 4
MOST_MEANWHILE = 500
"""Of one cycle: a world that always changes faster than it can be read would keep it busy for ever."""
AIRTABLE_SHARE = 0.2
"""Of the histories, how many also fill an Airtable base. Drawn apart, so that the others stay what they are."""
PATIENT_CYCLES = 40
WAITS = (61, 61, 61, 5, 130, 600, 3 * 3600, 30 * 3600)
DAYS = 86_400


@dataclass(slots=True)
class Outcome:
    """How a history went."""

    seed: int
    violations: list[str] = field(default_factory=list)
    crashes: int = 0
    faults: int = 0
    requests: int = 0
    changes: int = 0
    disasters: int = 0
    seconds: float = 0.0
    digest: str = ""


class History:
    """A seed at work. `say` hears every event."""

    def __init__(self, plan: Plan, folder: Path, dsn: str | None, say: Callable[[str], None]) -> None:
        self.plan, seed, self._dsn = plan, plan.seed, dsn
        self.rng, self._applied = Random(f"events {seed}"), Random(f"applied {seed}")
        self._outages = Random(f"outages {seed}")
        self.clock = Clock()
        self.sandbox = (Net if plan.net else Sandbox)(
            seed, plan.tasks, plan.conversations, messages_per_conversation=plan.messages_each, switches=plan.switches,
            clock=lambda: self.clock.at,
        )  # fmt: skip
        for face in plan.faces if plan.ties else ():
            self.sandbox.world.make_ties({"teamwork": "teamwork.tasks", "missive": "missive.conversations"}[face], plan.ties)
        if plan.hidden:
            _hide(self.sandbox, plan.hidden, Random(f"hidden {seed}"))
        if plan.net:
            self.sandbox.start()
        self.chronicle = Chronicle(self.sandbox, plan.process_after)
        self.machine = Machine(folder, self.sandbox, self.clock, plan, self.rng)
        self.judge = Judge(self.machine, self.chronicle)
        self.outcome = Outcome(seed)
        self._say, self._log = say, hashlib.sha256()
        self._quiet, self._meanwhile = False, 0
        self._usual = _rule(self._lot)
        self.sandbox.before_request.append(self._before_request)

    def run(self) -> Outcome:
        """Play it. Stops at the first cycle that violates something."""
        began = monotonic()
        self.note(told(self.plan))
        try:
            self._play()
        except AssertionError as error:
            self.outcome.violations.append(f"broke: {error}")
        except Exception as error:  # noqa: BLE001 - whatever else comes out of a step is a violation too
            self.outcome.violations.append(f"broke: {type(error).__name__}: {error}")
        finally:
            self.machine.stop()
            self.sandbox.stop()
        self.outcome.seconds = monotonic() - began
        self.outcome.requests = len(self.sandbox.log)
        self.outcome.digest = self._log.hexdigest()[:16]
        return self.outcome

    def note(self, line: str) -> None:
        """Tell an event, and keep it in the history's digest, where it is the same at every port."""
        line = f"{self.clock.at - 1_788_264_000:10.1f} {line.replace(urlsplit(self.sandbox.url).netloc, 'sandbox')}"
        self._log.update(line.encode("utf-8", "replace"))
        self._say(line)

    # -- the world

    def _before_request(self, request: Request) -> None:
        self.clock.at += self.plan.tick
        if not self._quiet and self.rng.random() < self.plan.meanwhile and self._meanwhile < MOST_MEANWHILE:
            self._meanwhile += 1
            self._change()
        self.note(f"   ask {request.path[:90]} {dict(request.params).get('until') or dict(request.params).get('updatedAfter') or ''}")

    def _change(self) -> None:
        done = change(self.sandbox, self.rng, self.plan.faces, self.plan.favourites)
        self.chronicle.note()
        self.outcome.changes += 1
        self.note(f"   world: {done}")

    def _lot(self) -> Fault | None:
        if self.rng.random() >= self.plan.fault_rate:
            return None
        return self._strike(self.rng.choice(self.plan.kinds))

    def _strike(self, kind: str) -> Fault:
        self.machine.struck = str(kind)
        self.outcome.faults += 1
        self.judge.lied |= kind in LIES or kind == "404"
        self.note(f"   fault: {kind}")
        return Fault(kind, applied=self._applied.random() < 0.5)

    # -- the machine

    def _play(self) -> None:
        self.machine.add_sqlite("sqlite")
        if self._dsn:
            self.machine.add_postgres("postgres", self._dsn)
        if self.rng.random() < 0.3:
            self.machine.add_sqlite("second")
        if Random(f"base {self.plan.seed}").random() < AIRTABLE_SHARE:
            self.machine.add_airtable()
        self.machine.local.offset = self.plan.offset
        for cycle in range(self.plan.cycles):
            self._between(cycle)
            self._cycle(self._rhythm())
            if self.outcome.violations:
                return
        self._end()

    def _rhythm(self) -> Rhythm:
        return Rhythm(POLL, SWEEP if SWEEPS else None, full_asked=self.rng.random() < 0.1, sweep_asked=SWEEPS and self.rng.random() < 0.2)

    def _between(self, cycle: int) -> None:
        """What happens until the next cycle: changes, waits, clocks set anew, backups, disasters."""
        self.clock.at += self.rng.choice(WAITS)
        for _ in range(self.rng.randrange(int(self.plan.changes) + 1)):
            self.clock.at += self.rng.choice(self.plan.pauses)
            self._change()
        if self.rng.random() < 0.08:
            self.note(f"world: {great_change(self.sandbox, self.rng, self.plan.faces)}")
            self.chronicle.note()
        if self.rng.random() < 0.1 and self.plan.offset:
            self.machine.local.offset = self.rng.choice((0, 30, -30, 3600, -3600, 2 * DAYS))
            self.note(f"clock set to {self.machine.local.offset:+}")
        self._routes(cycle)
        if self.rng.random() < 0.2:
            self._back_up()
        if self.rng.random() < self.plan.disasters:
            self._disaster()
        if self.rng.random() < 0.05:
            self.machine.stop()
            self.machine.add_sqlite("later")

    def _routes(self, cycle: int) -> None:
        """Now and then a whole route answers 404 for some cycles, or all lists have less in them than there is."""
        self.sandbox.faults.rules[:] = [self._usual]
        if self.plan.stuck and self.plan.stuck_from <= cycle < self.plan.stuck_from + self.plan.stuck_for:
            face, path, query, kind = self.plan.stuck
            self.sandbox.faults.rules.insert(0, _rule(lambda: self._strike(kind), face, path, query))
            self.note(f"{face} never answers {path} {query}: {kind}")
        is_lost = bool(self.plan.fault_rate) and self.rng.random() < 0.06
        if self._outages.random() < self.plan.outages:
            kind, face = self.plan.kinds[0], self._outages.choice(self.plan.faces)
            self.sandbox.faults.rules.append(_rule(lambda: self._strike(kind), face, LISTS))
            self.note(f"lists of {face}: {kind}")
            is_lost |= kind in LIES and self._outages.random() < 0.5  # nothing looks more like a deletion than both together
        if is_lost:
            self.sandbox.faults.rules.append(_rule(lambda: self._strike("404"), path=BY_ID))
            self.note("routes by id answer 404")

    def _back_up(self) -> None:
        self.machine.stop()
        for name in ("state", *self.machine.places):
            if name not in self.machine.dsns and self.machine.holds(name) and self.rng.random() < 0.6:
                self.machine.back_up(name)
                self.note(f"backup of {name}")

    def _disaster(self) -> None:
        self.machine.stop()
        name = self.rng.choice(("state", *self.machine.places))
        if self.machine.has_backup(name):
            self.machine.restore(name)
        elif self.machine.state.exists() and self.machine.holds(name):
            self.machine.lose(name)
        if name == "state":
            self.judge.forget()
            self.judge.known_from.clear()
            self.judge.strangers = True
        self.outcome.disasters += 1
        self.note(f"{name} set back or lost")

    def _cycle(self, rhythm: Rhythm, *, allow: bool = False) -> None:
        """One cycle, with its crashes; then judge it."""
        crashes = self.rng.randint(1, MOST_CRASHES) if not self._quiet and self.rng.random() < self.plan.crashes else 0
        if self.machine.store is None or allow or rhythm.full_asked or rhythm.sweep_asked or self.rng.random() < 0.5:
            self.machine.stop()
        self._meanwhile = 0
        self.note("cycle" + " full" * rhythm.full_asked + " sweep" * rhythm.sweep_asked + " allow" * allow)
        while True:
            self.machine.fuse.blows_at = self.machine.fuse.points + self.rng.randint(1, 60) if crashes > 0 else None
            try:
                if self.machine.store is None:
                    self.machine.start(rhythm, allow=allow)
                self.machine.run()
                break
            except Crash:
                crashes -= 1
                self._crashed()
        self.machine.fuse.blows_at = None
        for line in self.machine.errors:
            self.note(f"   error: {line}")
        self.outcome.violations = self.judge.after_cycle()

    def _crashed(self) -> None:
        self.outcome.crashes += 1
        self.machine.fuse.blows_at = None
        back = self.rng.random() < 0.3
        if back and self.machine.store:
            self.machine.resurrect()
        self.machine.stop()
        self.clock.at += self.rng.choice((0, 1, 70))
        self.note(f"   crash at point {self.machine.fuse.points}" + ", dropped leaves came back" * back)

    # -- the end

    def _end(self) -> None:
        """No more changes, faults, crashes: a quiet changes cycle, one sweep, and every destination is the truth."""
        self._quiet = True
        self.sandbox.faults.clear()
        self.machine.local.offset = max(-3600.0, min(3600.0, self.machine.local.offset))
        self.note("all is quiet")
        self.clock.at += 200
        self._settle(Rhythm(POLL))
        full = self.plan.ending == "full" or not SWEEPS
        asked = Rhythm(POLL, full_asked=full, sweep_asked=not full)
        self._settle(asked)
        if not self.outcome.violations and self.machine.held():
            self.note(f"{self.machine.held()} deletions are held, and released")
            self._settle(Rhythm(POLL, full_asked=full, sweep_asked=not full), allow=True)
        if not self.outcome.violations:
            self.machine.retry_refused()
            if self.judge.strangers:
                self.machine.replay_airtable()
            self.outcome.violations = self.judge.at_the_end(full=full)

    def _settle(self, rhythm: Rhythm, *, allow: bool = False) -> None:
        """Cycles until nothing is open and nothing waits, be it for a limit."""
        self._cycle(rhythm, allow=allow)
        for _ in range(PATIENT_CYCLES):
            is_late = any(f": {Later.__name__} " in error for error in self.machine.errors)
            if self.outcome.violations or not (is_late or self.machine.waits()):
                return
            self.clock.at += 3600
            self._cycle(rhythm if is_late else Rhythm(POLL), allow=allow)
        self.outcome.violations.append("broke: something still waits after all this time")


def _hide(sandbox: Sandbox, share: float, rng: Random) -> None:
    """Take from the token's user the right to see a share of the conversations."""
    for key in [*sandbox.world.missive.conversations]:
        if rng.random() < share:
            sandbox.world.missive.revoke_access(key)


def _rule(lot: Callable[[], Fault | None], face: str | None = None, path: str | None = None, query: str | None = None) -> Rule:
    return Rule(None, face, path, lot=lot, query=query)


def play(seed: int, say: Callable[[str], None] = lambda line: None, *, everywhere: bool = False) -> Outcome:
    """Play one seed in a folder of its own. `everywhere`: over HTTP and into PostgreSQL, whatever its lot is."""
    plan = draw(seed)
    if everywhere:
        plan = replace(plan, net=True, postgres=True)
    with new_folder() as folder, new_database(own_postgres()) if plan.postgres else nullcontext() as dsn:
        return History(plan, folder, dsn, say).run()
