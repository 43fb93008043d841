"""More deletions than the guard allows wait for a person's word."""

import io
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from syncjob.build import Choices
from syncjob.core.guard import too_many
from syncjob.once import run_once
from syncjob.report import Report
from syncjob.sandbox import Sandbox
from syncjob.settings import load


@pytest.mark.parametrize(
    ("deletions", "live", "held"),
    [(20, 20, False), (21, 21, True), (21, 84, False), (22, 84, True), (0, 0, False), (5, 5, False), (1000, 10_000, False)],
)
def test_only_a_large_share_of_many_rows_is_held(deletions: int, live: int, held: bool) -> None:
    assert too_many(deletions, live, share=0.25) is held


def test_an_empty_list_over_live_rows_holds_even_one_deletion() -> None:
    assert too_many(1, 5, share=0.25, empty=True)


def run(tmp_path: Path, sandbox: Sandbox, **choices: bool) -> tuple[int, str]:
    out = io.StringIO()
    settings = load(sandbox.settings(), cwd=tmp_path)
    ran = run_once(settings, Choices(**choices), Report(out=out, err=out), threading.Event())
    return ran.exit, out.getvalue()


def deleted_emails(tmp_path: Path) -> int:
    connection = sqlite3.connect(tmp_path / "state" / "data.db")
    try:
        return connection.execute("SELECT count(*) FROM emails WHERE deleted").fetchone()[0]
    finally:
        connection.close()


def test_held_deletions_are_named_and_released_by_a_word(tmp_path: Path) -> None:
    with Sandbox(3, 5, 40) as sandbox:
        run(tmp_path, sandbox)
        live = len(sandbox.truth.emails())
        for thread in sorted({email["thread_id"] for email in sandbox.truth.emails().values()})[:25]:
            sandbox.world.missive.trash(thread)
        gone = live - len(sandbox.truth.emails())
        for _ in range(2):  # the trash is read every other cycle; what is held stays held, and is told again
            exit_, text = run(tmp_path, sandbox)
        assert exit_ == 4
        assert f"{gone} of {live} rows would be deleted at once" in text
        assert "python -m syncjob once --sweep --allow-deletes" in text
        assert deleted_emails(tmp_path) == 0

        before = len(sandbox.requests("missive"))
        exit_, _ = run(tmp_path, sandbox, allow_deletes=True)
        assert exit_ == 0
        assert deleted_emails(tmp_path) == gone
        assert len(sandbox.requests("missive")) - before < 15, "the trash says it all: no mail is looked up by itself"


def delete_threads(sandbox: Sandbox) -> None:
    for thread in sorted({email["thread_id"] for email in sandbox.truth.emails().values()})[:25]:
        sandbox.world.missive.delete_conversation(thread)


def delete_messages(sandbox: Sandbox) -> None:
    for key in [key for key, row in sandbox.world.missive.messages.items() if row.type == "email" and not row.draft][::3]:
        sandbox.world.missive.delete_message(key)


@pytest.mark.parametrize("delete", [delete_threads, delete_messages])
def test_what_a_sweep_holds_is_released_by_the_next_sweep_with_a_word(tmp_path: Path, delete: Callable[[Sandbox], None]) -> None:
    with Sandbox(3, 5, 40) as sandbox:
        run(tmp_path, sandbox)
        live = len(sandbox.truth.emails())
        delete(sandbox)
        gone = live - len(sandbox.truth.emails())
        for _ in range(2):
            exit_, text = run(tmp_path, sandbox, sweep=True)
            assert (exit_, deleted_emails(tmp_path)) == (4, 0)
            assert f"{gone} of {live} rows would be deleted at once" in text
        exit_, _ = run(tmp_path, sandbox, allow_deletes=True)
        assert (exit_, deleted_emails(tmp_path)) == (0, gone)


def test_held_deletions_are_forgotten_when_the_records_come_back(tmp_path: Path) -> None:
    with Sandbox(3, 5, 40) as sandbox:
        run(tmp_path, sandbox)
        trashed = sorted({email["thread_id"] for email in sandbox.truth.emails().values()})[:25]
        for thread in trashed:
            sandbox.world.missive.trash(thread)
        for _ in range(2):
            exit_, _ = run(tmp_path, sandbox)
        assert exit_ == 4
        for thread in trashed:
            sandbox.world.missive.untrash(thread)
        exit_, _ = run(tmp_path, sandbox, full=True)
        assert exit_ == 0
        assert deleted_emails(tmp_path) == 0
