"""Each switch of the vendors' unknowns in each position: what it takes until a backfill and edits end in the truth.

    python -m tests.walks.switches [NAME]
"""

import sys
from collections import Counter
from random import Random

from syncjob.core.steps import Rhythm
from syncjob.sandbox import Switches

from .bench import POLL, Bench, new_folder
from .edits import edit_mails, edit_tasks

CYCLES, SWEEP, RESYNC, NOTHING = "changes cycles", "a sweep", "a full resync", "nothing"
RHYTHMS = {CYCLES: Rhythm(POLL), SWEEP: Rhythm(POLL, sweep_asked=True), RESYNC: Rhythm(POLL, full_asked=True)}
VARIATIONS = (("default", None, Switches()), *Switches.variations())
EDITS = 30  # every kind of edit comes up
KINDS = {"teamwork": ("task",), "missive": ("email", "attachment")}


def converged_by(name: str, switches: Switches) -> str:
    """The least that makes the mirror equal to the truth."""
    seed = 7 if "merge" in name else 6  # worlds with odd seeds merge, the others throw away
    with new_folder() as folder:
        bench, rng = Bench(folder, seed=seed, tasks=30, conversations=6, switches=switches), Random(4)
        faces = [face for face in bench.parts if name.startswith((face, "default"))]
        bench.run(*faces)
        for _ in range(EDITS):
            bench.clock.at += 9
            if "teamwork" in faces:
                edit_tasks(bench.sandbox, rng)
            if "missive" in faces:
                edit_mails(bench.sandbox, rng)
        found = next((what for what in RHYTHMS if _is_enough(bench, what, faces)), NOTHING)
        bench.close()
        return found


def _is_enough(bench: Bench, what: str, faces: list[str]) -> bool:
    bench.rhythm = RHYTHMS[what]
    bench.reopen()
    bench.settle(*faces, cycles=3 if what == CYCLES else 1)
    return bench.differences_of(*(kind for face in faces for kind in KINDS[face])) == []


def main() -> int:
    played: Counter[str] = Counter()
    for name, position, switches in VARIATIONS:
        if name in (sys.argv[1:] or [name]):
            found = converged_by(name, switches)
            played[found] += 1
            print(f"{name}={position!r}: {found}", flush=True)
    print(f"{played.total()} positions: converged by " + ", ".join(f"{what} {count}" for what, count in played.most_common()))
    return bool(played[NOTHING])


if __name__ == "__main__":
    raise SystemExit(main())
