"""Each fault at each request of a cycle: what the source makes of it.

    python -m tests.walks.faults [--scene teamwork:sweep]

prints what goes wrong as it happens, a line per scene, and the table.
"""

import argparse
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

from syncjob.core.errors import SyncjobError
from syncjob.core.model import EMAILS, TASKS
from syncjob.core.steps import Rhythm
from syncjob.sandbox import Sandbox
from syncjob.sandbox.faults import Fault, Kind
from syncjob.sources import missive, teamwork
from syncjob.store import store
from syncjob.store.engine import open_engine

from .bench import OVERLAP, POLL, Bench, Clock, new_folder
from .edits import edit_mails, edit_tasks
from .wire import TRIES, WiredBench

ONCE, STUBBORN = 1, TRIES
"""How often a fault strikes: once, so that trying again helps, or at every try."""
SCENES = [(face, phase) for face in ("teamwork", "missive") for phase in ("backfill", "changes", "sweep")]
STREAMS = {"teamwork": TASKS, "missive": EMAILS}
WHAT = {"teamwork": ("task",), "missive": ("email", "attachment")}
PAUSE = 301
"""Seconds between two cycles: longer than questions ever wait."""

UNTIMED = {("teamwork", Kind.LIMIT_BODY_ONLY)}
"""Teamwork's errors have no field for the seconds to wait."""
REFUSED = {Kind.LIMIT, Kind.LIMIT_BODY_ONLY, Kind.LIMIT_HTTP_DATE}
HELD_OFF = {Kind.LIMIT_EMPTY, Kind.LIMIT_400}
NO_ANSWER = {
    Kind.ERROR_HTML, Kind.ERROR_JSON, Kind.ERROR_EMPTY, Kind.BAD_GATEWAY_HTML, Kind.UNAVAILABLE_JSON, Kind.UNAVAILABLE_EMPTY,
    Kind.RESET_BEFORE_BODY, Kind.RESET_WITHIN_BODY, Kind.ANSWER_LOST, Kind.HANG, Kind.TRUNCATED_JSON, Kind.LOGIN_PAGE,
}  # fmt: skip
LIES = {Kind.EMPTY_LIST, Kind.ROWS_MISSING}
"""What a changes walk cannot know to be untrue: the next sweep finds what it hid."""
HARMLESS = {Kind.DUPLICATE_ROWS, Kind.DATE_SKEWED}


@dataclass(frozen=True, slots=True)
class Case:
    """A fault that strikes the `at`-th request of a cycle, and the `times - 1` after it."""

    face: str
    phase: str
    kind: Kind
    at: int
    times: int

    @property
    def holds_off(self) -> bool:
        """A refusal that does not say for how long: more than is slept, so the cycle ends there."""
        return self.kind in HELD_OFF or (self.face, self.kind) in UNTIMED

    @property
    def calm_cycles(self) -> int:
        """How many cycles mend it: where no sweep looks at everything, Missive's trash and junk take turns."""
        return 2 if self.face == "missive" and self.phase != "sweep" else 1

    @property
    def exits(self) -> set[int]:
        """The exit codes that the contract has for it. A status may be an answer, according to what was asked."""
        if self.kind == Kind.UNAUTHORIZED:
            return {2}
        if self.kind in HARMLESS or self.holds_off or (self.kind in REFUSED | NO_ANSWER and self.times == ONCE):
            return {0}
        return {0, 3}  # 0 if all came in all the same, which `play` checks


@dataclass(frozen=True, slots=True)
class Played:
    """How a case went: the exit code of the cycle that was struck, and what was wrong, if anything."""

    case: Case
    exit: int
    wrong: tuple[str, ...]


@dataclass
class Stage:
    """One face before a cycle of one kind, ready to be played again and again."""

    face: str
    phase: str
    folder: Path
    sandbox: Sandbox
    clock: Clock
    edited: float = 0.0
    start: float = 0.0
    cost: int = 0

    def play(self, case: Case) -> Played:
        """The cycle with the fault, then calm ones; looked at after each."""
        self.sandbox.faults.at(case.at, Fault(case.kind), face=self.face, times=case.times)
        with self._bench() as bench:
            exit_ = self._cycle(bench)
            wrong = [f"exit {exit_}"] * (exit_ not in case.exits) + self._unsafe(bench, case)
            if exit_ == 0 and not case.holds_off and case.kind not in LIES:
                wrong += [f"exit 0, but {line}" for line in self._unread(bench)]
            self.sandbox.faults.clear()
            for _ in range(case.calm_cycles):
                bench.clock.at += PAUSE
                if bench.differences_of(*WHAT[self.face]):
                    self._ask_sweep(bench, also=case.kind in LIES)
                after = self._cycle(bench)
                wrong += [f"exit {after} afterwards"] * (after != 0) + self._unsafe(bench, case)
            wrong += bench.differences_of(*WHAT[self.face])
        return Played(case, exit_, tuple(wrong))

    def rehearse(self) -> None:
        """The cycle without a fault: how many requests it takes."""
        before = len(self.sandbox.log)
        with self._bench() as bench:
            assert self._cycle(bench) == 0
            assert bench.differences_of(*WHAT[self.face]) == []
            self.cost = len(self.sandbox.log) - before

    @contextmanager
    def _bench(self) -> Iterator[Bench]:
        self.clock.at = self.start
        self.sandbox.forget_pages()
        folder = self.folder.with_name("play")
        shutil.copytree(self.folder, folder)
        bench = WiredBench(folder, sandbox=self.sandbox, clock=self.clock)
        self._ask_sweep(bench)
        try:
            yield bench
        finally:
            bench.close()
            shutil.rmtree(folder)

    def _ask_sweep(self, bench: Bench, *, also: bool = False) -> None:
        if also or self.phase == "sweep":
            bench.rhythm = Rhythm(POLL, sweep_asked=True)
            bench.reopen()

    def _unread(self, bench: Bench) -> list[str]:
        """What lies before the checkpoint and is not in the mirror. What is gone and not yet found may stay until the next sweep."""
        return [line for line in bench.differences_of(*WHAT[self.face]) if not line.endswith("too many")]

    def _cycle(self, bench: Bench) -> int:
        try:
            bench.run(self.face)
        except SyncjobError as error:
            return error.exit
        return 0

    def _unsafe(self, bench: Bench, case: Case) -> list[str]:
        """What must never be, not even between two cycles."""
        truth = bench.sandbox.truth
        live = {TASKS: truth.tasks(), EMAILS: truth.emails()}[STREAMS[self.face]]
        with sqlite3.connect(bench.folder / "mirror.db") as mirror:
            gone = mirror.execute("SELECT key FROM rows WHERE stream = ? AND deleted_at IS NOT NULL", (STREAMS[self.face],)).fetchall()
            dead = mirror.execute("SELECT key, error FROM dead_letters").fetchall()
            longer = mirror.execute("SELECT count(*) FROM walks WHERE kind <> 'changes' AND finished_at IS NULL").fetchone()[0]
        mirror.close()
        with bench.store.read() as tx:
            checkpoint, identity = tx.walks.stream(STREAMS[self.face])["checkpoint"], tx.walks.source(self.face)["identity"] or ""
        passed = checkpoint and not longer and (checkpoint - OVERLAP).timestamp() > self.edited
        unread = self._unread(bench) if passed and case.kind not in LIES else []
        return [
            *(f"{key} is falsely deleted" for (key,) in gone if key in live),
            *(f"a dead letter: {letter}" for letter in dead),
            *(f"checkpoint {checkpoint} is past: {line}" for line in unread),
            *[f"whose key is it: {identity}"] * ("?" in identity),
        ]


@contextmanager
def stage(face: str, phase: str) -> Iterator[Stage]:
    """A small world whose lists have several pages."""
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder())
        for module, name, value in ((teamwork, "PAGE_SIZE", 5), (missive, "LIST_LIMIT", 3), (missive, "BODIES", 4)):
            stack.enter_context(patch.object(module, name, value))
        stack.enter_context(patch.object(store, "open_engine", cache(open_engine)))  # a play's file is at the same place as the last one's
        bench = WiredBench(folder / "before", seed=3, tasks=24, conversations=4)
        found = Stage(face, phase, folder / "before", bench.sandbox, bench.clock)
        if phase != "backfill":
            bench.run(face)
            _edit(face, bench)
            if phase == "sweep":
                _remove(face, bench)
            found.edited = bench.clock.at
            bench.clock.at += OVERLAP.total_seconds() + 60
        bench.close()
        found.start = bench.clock.at
        found.rehearse()
        yield found


def _edit(face: str, bench: Bench) -> None:
    rng = Random(5)
    for _ in range(6):
        bench.clock.at += 3
        (edit_tasks if face == "teamwork" else edit_mails)(bench.sandbox, rng)
    bench.clock.at += timedelta(seconds=1).total_seconds()


def _remove(face: str, bench: Bench) -> None:
    """What goes without a word."""
    if face == "teamwork":
        world = bench.sandbox.world.teamwork
        first, *_, last = sorted(map(int, bench.sandbox.truth.tasks()))
        world.delete_tasklist(world.tasks[last].tasklist_id)
        world.delete_task(first)
        world.purge_task(first)
    else:
        bench.sandbox.world.missive.delete_message(sorted(bench.sandbox.truth.emails())[0])


def cases(stage: Stage) -> list[Case]:
    """Each fault at each request, once and stubborn."""
    positions = range(1, stage.cost + 1)
    return [Case(stage.face, stage.phase, kind, at, times) for kind in Kind for at in positions for times in (ONCE, STUBBORN)]


def report(played: list[Played]) -> list[str]:
    """A line per case that went wrong."""
    return [f"{each.case}: {'; '.join(each.wrong[:3])}" for each in played if each.wrong]


def table(played: list[Played]) -> str:
    """A line per fault, a column per scene: how often, and with which exit codes."""
    scenes = list(dict.fromkeys((each.case.face, each.case.phase) for each in played))
    lines = [f"{'fault':<18}" + "".join(f"{' '.join(scene):<26}" for scene in scenes)]
    for kind in Kind:
        cells = []
        for scene in scenes:
            codes = Counter(each.exit for each in played if each.case.kind == kind and (each.case.face, each.case.phase) == scene)
            cells.append(f"{', '.join(f'{count} x exit {code}' for code, count in sorted(codes.items())):<26}")
        lines.append(f"{kind.value:<18}" + "".join(cells))
    wrong = report(played)
    return "\n".join([*lines, *wrong, f"{len(played)} combinations run, {len(wrong)} went wrong"])


def run(face: str, phase: str) -> list[Played]:
    """Every case of a scene; says at once what goes wrong."""
    played = []
    with stage(face, phase) as found:
        for case in cases(found):
            played.append(found.play(case))
            for line in report(played[-1:]):
                print(line, flush=True)
    print(f"{face} {phase}: {len(played)} combinations, {len(report(played))} went wrong", flush=True)
    return played


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.walks.faults")
    parser.add_argument("--scene", choices=[":".join(scene) for scene in SCENES])
    asked = parser.parse_args().scene
    played = [each for scene in SCENES if asked in (None, ":".join(scene)) for each in run(*scene)]
    print(table(played))
    return any(each.wrong for each in played)


if __name__ == "__main__":
    raise SystemExit(main())
