"""Every test of this folder gets its state folder from the bench."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .bench import new_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """An empty folder."""
    with new_folder() as folder:
        yield folder
