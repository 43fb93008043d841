"""The peers, in a virtual environment of their own: nothing of ours depends on them."""

import subprocess
import sys
from pathlib import Path

PACKAGES = ("dlt[postgres]==1.31.0", "singer-sdk==0.54.9", "meltanolabs-target-postgres==0.8.1")


def installed(folder: Path) -> Path:
    """The environment's Python. It is made if these versions are not in it; that takes a minute or two, once."""
    python, note = folder / "bin/python", folder / "installed"
    if not note.exists() or note.read_text() != str(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        note.write_text(str(PACKAGES))
    return python
