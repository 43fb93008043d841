"""`python -m tests.benchmarks [--peers] [--rows N] [--cases a,b,...] [--repeat N] [--json FILE]`: syncjob, its peers, the floors."""

import argparse
import os
from pathlib import Path

from . import cases
from .cases import CASES, Options, measure
from .environment import installed
from .results import Run, load, merged, save
from .table import table
from .targets import verdicts


def main() -> None:
    options = _options()
    old = load(options.json) if options.json else []
    runs: list[Run] = []
    how = Options(options.rows, options.repeat, installed(options.peers_folder) if options.peers else None)
    for run in measure(options.cases.replace(",", ""), how, _say):
        runs.append(run)
        if options.json:
            save(options.json, merged(old, runs))
    print("", table(merged(old, runs)), "", *verdicts(merged(old, runs)), sep="\n")


def _options() -> argparse.Namespace:
    help_text = {"description": __doc__, "epilog": cases.__doc__, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", **help_text)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--peers", action="store_true", help="dlt and singer-sdk too; they are installed if need be")
    parser.add_argument("--peers-folder", type=Path, metavar="FOLDER", default=cache / "syncjob-peers", help="where, and kept: %(default)s")
    parser.add_argument("--rows", type=int, default=50_000, metavar="N", help="tasks (%(default)s); the other cases are scaled with it")
    parser.add_argument("--cases", default=",".join(CASES), metavar="a,b,…", help="%(default)s; none: only show what FILE has")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="how often everybody has a turn (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="put the results there; other cases in it stay, and are shown too")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
