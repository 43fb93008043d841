"""How much memory a command takes at most."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

MEASURE = """
import resource, subprocess, sys
status = subprocess.run([sys.executable, "-m", "syncjob", *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024))
sys.exit(status)
"""


def peak(folder: Path, env: Mapping[str, str], *command: str) -> float:
    """In MB, of a command that ends well. A small process starts it, since a child counts what its parent had when it was started."""
    measured = subprocess.run([sys.executable, "-c", MEASURE, *command], cwd=folder, env=env, stdout=subprocess.PIPE, check=True, text=True)
    return float(measured.stdout)
