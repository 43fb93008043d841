"""`python -m tests.histories --seed 7 -v`, `--seeds 0-1999 --jobs 2`, `--mutations [NAME ...] --seeds 0-399`."""

import argparse
import os
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing.pool import Pool
from time import monotonic

from tests.histories.history import Outcome, play
from tests.histories.mutations import MUTATIONS, hunt, table
from tests.postgres import own_postgres

AT_ONCE = 100
"""After so many histories, how far it is."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description=__doc__)
    parser.add_argument("--seed", type=int, help="play exactly this history")
    parser.add_argument("--seeds", help="play these, as in 0-1999")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("-v", action="store_true", dest="verbose", help="tell every event")
    parser.add_argument("--mutations", nargs="*", metavar="NAME", help="put these bugs in, one after the other (all, unless named)")
    parser.add_argument("--everywhere", action="store_true", help="over real HTTP and into a real PostgreSQL, too, which only few are else")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed, verbose=options.verbose, everywhere=options.everywhere)
    first, _, last = (options.seeds or "0-399").partition("-")
    seeds = range(int(first), int(last or first) + 1)
    if options.mutations is None:
        return _many(seeds, options.jobs, everywhere=options.everywhere)
    return _mutate(options.mutations or [*MUTATIONS], seeds, options.jobs)


def _one(seed: int, *, verbose: bool, everywhere: bool) -> int:
    outcome = play(seed, print if verbose else lambda line: None, everywhere=everywhere)
    for line in outcome.violations:
        print(f"VIOLATION {line}")
    print(f"seed {seed}: {_counts([outcome])}, digest {outcome.digest}")
    return bool(outcome.violations)


def _many(seeds: range, jobs: int, *, everywhere: bool) -> int:
    began, outcomes = monotonic(), list[Outcome]()
    for outcome in _played(seeds, jobs, everywhere=everywhere):
        outcomes.append(outcome)
        if outcome.violations:
            replay = f"python -m tests.histories --seed {outcome.seed} -v" + " --everywhere" * everywhere
            print(f"{outcome.violations[0][:180]}\n    {replay}", flush=True)
        if len(outcomes) % AT_ONCE == 0:
            print(_so_far(outcomes, began), flush=True)
    print(f"{_so_far(outcomes, began)}, {_counts(outcomes)}")
    return any(outcome.violations for outcome in outcomes)


def _so_far(outcomes: list[Outcome], began: float) -> str:
    failed = sum(bool(outcome.violations) for outcome in outcomes)
    return f"{len(outcomes)} histories, {failed} with violations, {monotonic() - began:.0f} s"


def _mutate(names: list[str], seeds: range, jobs: int) -> int:
    found = []
    with _pool(jobs) as pool:
        for caught in pool.imap_unordered(partial(hunt, seeds=seeds, say=partial(print, flush=True)), names):
            found.append(caught)
            print(table([caught]).splitlines()[-1], flush=True)
    print(table(found))
    return any(each.seed is None for each in found)


def _played(seeds: range, jobs: int, *, everywhere: bool) -> Iterator[Outcome]:
    play_one = partial(play, everywhere=everywhere)
    if jobs == 1:
        yield from map(play_one, seeds)
        return
    with _pool(jobs) as pool:
        yield from pool.imap(play_one, seeds, chunksize=4)


def _pool(jobs: int) -> Pool:
    """Processes that share one PostgreSQL, which outlives them."""
    os.environ.setdefault("TEST_DATABASE_URL", own_postgres())
    return Pool(jobs)


def _counts(outcomes: list[Outcome]) -> str:
    names = ("requests", "changes", "faults", "crashes", "disasters")
    return ", ".join(f"{sum(getattr(each, name) for each in outcomes):,} {name}" for name in names)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, "-m", "tests.histories", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
