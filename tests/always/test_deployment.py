"""The deployment files call commands that exist, and pass the checks that work without an engine."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from syncjob.cli import _parser
from syncjob.settings import NAMES

CONFIG = Path(__file__).parents[2] / "config"
FILES = sorted(path for path in CONFIG.rglob("*") if path.is_file())
UNITS = sorted((CONFIG / "systemd").iterdir())
TEXTS = {path.relative_to(CONFIG).as_posix(): path.read_text() for path in FILES}


def commands() -> list[str]:
    """What the files start, as typed after `syncjob`."""
    typed = [found for text in TEXTS.values() for found in re.findall(r"python -m syncjob ([^>\n]+)", text)]
    listed = [TEXTS["docker/Dockerfile"].split("CMD ")[-1], *re.findall(r"args: (\[.*\])", TEXTS["kubernetes/cronjob.yaml"])]
    return [*typed, *(re.sub(r'[][",]', " ", found) for found in listed)]


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one_that_the_program_knows(command: str) -> None:
    assert _parser().parse_args(shlex.split(command)).command in ("once", "run", "status")


@pytest.mark.parametrize("name", TEXTS)
def test_every_setting_is_one_that_the_program_knows(name: str) -> None:
    ours = {"TEAMWORK", "MISSIVE", "AIRTABLE", "SYNCJOB", "PG", "DB", "LOG", "HTTP", "SQLITE", "POLL"}
    found = {word for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", TEXTS[name]) if word.partition("_")[0] in ours}
    assert found <= set(NAMES)


def test_cron_runs_quietly() -> None:
    lines = [line for line in TEXTS["crontab.example"].splitlines() if line.startswith("*")]
    assert ["--quiet" in line or ">/dev/null" in line for line in lines] == [True, True]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_the_units_are_verified(tmp_path: Path) -> None:
    """With a program in place of ours, which is not installed where the units expect it."""
    program = tmp_path / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/syncjob", str(tmp_path)))
    command = ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
