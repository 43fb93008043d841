"""`python -m syncjob`."""

import sys

from syncjob.memory import collect_later


def main() -> int:
    """Run the command line; its exit code."""
    collect_later()
    from syncjob.cli import main as run  # only now: what it imports is most of what there is to look through

    return run()


if __name__ == "__main__":
    sys.exit(main())
