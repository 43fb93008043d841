"""`python -m tests.benchmarks [--peers] [--rows N] [--cases a,b,...] [--repeat N] [--json FILE]`: syncjob, its peers, the floors."""

import argparse
from pathlib import Path

from .chains import save_rows, take_turns
from .contenders import OURS, SQLITE, Contender, dlt, floors, syncjob
from .place import staged
from .results import Run, load, merged, save
from .table import table

CASES = "abcdefghi"


def main() -> None:
    options = _options()
    runs = _measure(options)
    if options.json:
        runs = merged(load(options.json), runs)
        save(options.json, runs)
    print(table(runs))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="dlt and singer-sdk too; they are installed if need be")
    parser.add_argument("--peers-folder", type=Path, default=Path.home() / ".cache/syncjob-peers", help="their virtual environment, kept")
    parser.add_argument("--rows", type=int, default=50_000, help="tasks; the other cases are scaled with it")
    parser.add_argument("--cases", default=",".join(CASES), help="letters, separated by commas")
    parser.add_argument("--repeat", type=int, default=3, help="how often everybody has a turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add to these results, and show them all")
    return parser.parse_args()


def _measure(options: argparse.Namespace) -> list[Run]:
    cases = options.cases.replace(",", "")
    with staged(options.rows) as stage:
        save_rows(stage.tasks, stage.folder / "rows")
        return list(take_turns(stage, _contenders(options, stage.folder / "rows"), cases, options.repeat, _say))


def _contenders(options: argparse.Namespace, rows: Path) -> list[Contender]:
    peers = [dlt(options.peers_folder / "bin/python")] if options.peers else []
    return [*floors(rows), syncjob(OURS, "postgres"), syncjob(SQLITE, "sqlite"), *peers]


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
