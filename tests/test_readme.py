"""The README says what is so: its settings, commands, exit codes and links."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from syncjob.cli import COMMANDS, _parser
from syncjob.core.errors import EXIT_ORDER
from syncjob.core.tables import ATTACHMENTS_TABLE, EMAILS_TABLE, TASKS_TABLE, Table
from syncjob.settings import NAMES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config/.env.example").read_text(encoding="utf-8")
NO_SETTINGS = {"TEST_DATABASE_URL"}
LINKS = re.findall(r"\]\(([^)\s]+)\)", README)
TOLD = sorted(set(re.findall(r"python -m syncjob( [a-z][^`\n]*)", README)))
ONE_LINERS = [line for line in README.splitlines() if line.startswith("python3 -m venv")]


def defaults_shown() -> dict[str, str]:
    """The default of each setting in the README's table; empty for none."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (none|`[^`]*`) \|", README, re.MULTILINE)
    return {name: "" if default == "none" else default.strip("`") for name, default in rows}


def test_every_setting_is_in_the_readme_and_nothing_else_looks_like_one() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+|ATTACHMENTS)`", README))
    assert named - NO_SETTINGS == set(NAMES)


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    assert re.findall(r"^#([A-Z_]+)=", EXAMPLE, re.MULTILINE) == list(NAMES)


def test_the_defaults_are_those_of_the_example() -> None:
    example = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    shown = defaults_shown()
    assert len(shown) > len(NAMES) / 2
    assert shown == {name: example[name] for name in shown}


def test_both_commands_for_a_fresh_machine_are_there() -> None:
    assert len(ONE_LINERS) == 2
    assert ONE_LINERS[0].endswith("python -m syncjob demo")
    assert ONE_LINERS[1].endswith("python -m pytest")


def test_the_test_command_installs_and_tests_as_ci_does() -> None:
    make, *steps = [step.replace(".venv/bin/", "") for step in ONE_LINERS[1].split(" && ")]
    assert make == "python3 -m venv .venv"
    assert set(steps) <= set((ROOT / ".ci/run").read_text().splitlines())


@pytest.mark.parametrize("command", TOLD)
def test_every_command_is_one_that_the_program_knows(command: str) -> None:
    parsed = _parser().parse_args(shlex.split(command))
    assert isinstance(parsed, argparse.Namespace)


def test_every_command_of_the_program_is_told() -> None:
    assert {shlex.split(command)[0] for command in TOLD} == set(COMMANDS)


def test_the_exit_codes_are_told_in_their_order() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)] == list(EXIT_ORDER)


@pytest.mark.parametrize("table", [TASKS_TABLE, EMAILS_TABLE, ATTACHMENTS_TABLE], ids=lambda table: table.name)
def test_every_column_is_told(table: Table) -> None:
    row = re.search(rf"^\| `{table.name}` \| (.*) \|$", README, re.MULTILINE)
    assert row
    assert re.findall(r"`([a-z0-9_]+)`", row[1]) == [column.name for column in table.columns if column.name != "source_links"]


@pytest.mark.parametrize("link", [link for link in LINKS if not link.startswith("http")])
def test_internal_links_lead_somewhere(link: str) -> None:
    path, _, anchor = link.partition("#")
    assert (ROOT / path).exists()
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    assert not anchor or anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
