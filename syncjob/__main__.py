"""`python -m syncjob`."""

import sys

from syncjob.cli import main

if __name__ == "__main__":
    sys.exit(main())
