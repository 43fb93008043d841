"""`demo`: the whole job against a sandbox on this machine. No account, no key, no settings."""

import shlex
import shutil
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

from syncjob.build import Choices
from syncjob.core.errors import ConfigError, SyncjobError
from syncjob.destinations.text import dump
from syncjob.init import run_init
from syncjob.once import run_once
from syncjob.report import Report, number
from syncjob.sandbox import Sandbox, expected_row
from syncjob.settings import Settings, load

SEED, TASKS, CONVERSATIONS = 1, 400, 80
"""Large enough for several pages of each list, small enough for a few seconds."""

PLAIN = ", "
"""In every made-up title but the hostile ones, which would be hard to read here."""

TABLES = ("tasks", "emails", "attachments")
SHOWN_DIFFERENCES = 5

Rows: TypeAlias = Mapping[str, Mapping[str, Any]]
"""A table's rows by key."""


def run_demo(state: Path | None, report: Report, stop: threading.Event, destination: str = "sqlite") -> int:
    """Backfill a sandbox into SQLite or Airtable, change it, catch up, find nothing new; its exit code.

    `state` None: a new temporary folder.
    """
    try:
        return report.step("demo", lambda: _run(_new_folder(state), report, stop, destination))
    except SyncjobError as error:
        report.problem("demo", error)
        return error.exit


def _run(folder: Path, report: Report, stop: threading.Event, destination: str) -> int:
    with Sandbox(SEED, TASKS, CONVERSATIONS) as sandbox:
        settings = load({**sandbox.settings(), "SYNCJOB_STATE_DIR": str(folder), "DB_BACKEND": destination}, cwd=folder)
        stage = _Stage(sandbox, settings, report, stop, _Base(sandbox) if destination == "airtable" else _File(sandbox, settings))
        report.line(_welcome(sandbox))
        for scene in (*stage.shelf.scenes, _first_run, _changes, _second_run, _third_run):
            code = scene(stage)
            if code or stop.is_set():
                report.line(f"\nThe demo stopped early; what it has is in {stage.shelf.place}")
                return code
        report.line(stage.shelf.farewell())
    return 0


def _tables(stage: "_Stage") -> int:
    """Airtable's tables have to be there first."""
    stage.report.line("\n0. The base is empty: its tables are made first.\n\n$ python -m syncjob init airtable")
    run_init(stage.settings, stage.report, stage.stop)
    return 0


@dataclass(frozen=True, slots=True)
class _Stage:
    """What every scene of the demo needs."""

    sandbox: Sandbox
    settings: Settings
    report: Report
    stop: threading.Event
    shelf: "_File | _Base"


# --- the scenes ---


def _first_run(stage: _Stage) -> int:
    stage.report.line("\n1. The first run reads everything, page by page. If it were killed half-way, the next run would go on from there.")
    return _sync(stage)


def _changes(stage: _Stage) -> int:
    """Change the world. Teamwork and Missive tell nobody: syncjob has to notice."""
    stage.report.line("\n2. People go on working in Teamwork and Missive:\n")
    for change in (*_change_tasks(stage.sandbox), *_change_mails(stage.sandbox)):
        stage.report.line(f"   - {change}")
    return 0


def _second_run(stage: _Stage) -> int:
    stage.report.line("\n3. The second run asks for what changed since the first one began, and writes only that.")
    return _sync(stage)


def _third_run(stage: _Stage) -> int:
    stage.report.line(
        "\n4. Nothing happens meanwhile. The third run looks two minutes back once more, to be safe, and finds nothing to write."
    )
    return _sync(stage)


def _sync(stage: _Stage) -> int:
    """One `once`, as cron would run it; then in words what it did, and the proof that it is right."""
    stage.report.line("\n$ python -m syncjob once")
    ran = run_once(stage.settings, Choices(), stage.report, stage.stop)
    if ran.exit or stage.stop.is_set():
        return ran.exit
    stage.report.line()
    stage.report.line(f"   {_account(ran.document, stage.shelf)}")
    stage.report.line(f"   {_proof(stage.shelf)}")
    return 0


# --- what happens in the world ---


def _change_tasks(sandbox: Sandbox) -> Sequence[str]:
    """Edit, complete, tag, add and delete tasks; what happened, in words."""
    world, visible = sandbox.world.teamwork, sandbox.truth.tasks()
    parents = {task["parent_task_id"] for task in visible.values()}
    open_ones = [key for key, task in visible.items() if task["status"] != "completed" and key not in parents and PLAIN in task["title"]]
    renamed, moved, done, also_done, tagged, deleted = (int(key) for key in open_ones[-6:])
    name = world.tasks[renamed].name
    world.edit_task(renamed, name=f"{name} (by Friday)")
    world.edit_task(moved, due_date=datetime.now(UTC).date(), priority="high")
    world.complete_task(done)
    world.complete_task(also_done)
    world.tag_task(tagged, next(tag.id for tag in world.tags.values() if tag.name == "urgent"))
    world.add_task("Order coffee for the crew", world.tasks[renamed].tasklist_id, user_ids=(world.me,))
    world.delete_task(deleted)
    return (
        f'task {renamed} "{name}" is renamed',
        f'task {moved} "{world.tasks[moved].name}" becomes due today, with high priority',
        f"tasks {done} and {also_done} are completed",
        f'task {tagged} "{world.tasks[tagged].name}" is tagged "urgent"',
        'a task "Order coffee for the crew" is added',
        f'task {deleted} "{world.tasks[deleted].name}" is deleted',
    )


def _change_mails(sandbox: Sandbox) -> Sequence[str]:
    """New mails, one of them in a known conversation; a label; a merge. What happened, in words."""
    world = sandbox.world.missive
    threads = {mail["thread_id"] for mail in sandbox.truth.emails().values() if PLAIN in (mail["subject"] or "")}
    newest = sorted((world.conversations[key] for key in threads), key=lambda row: (row.last_activity_at, row.id))
    known, labelled, lost, kept = newest[-4:]
    subjects = {row.id: world.messages_of(row)[0].subject for row in newest[-4:]}
    world.add_conversation(2, subject="Keys for the new office")
    world.add_message(known.id, subject=f"Re: {subjects[known.id]}", body="<p>Any news?</p>")
    label = next(found for found in world.labels.values() if found.id not in labelled.label_ids)
    world.label(labelled.id, label.id)
    world.merge(lost.id, into=kept.id)
    return (
        'a new conversation "Keys for the new office" arrives, with two mails',
        f'a reply arrives in the conversation "{subjects[known.id]}"',
        f'the conversation "{subjects[labelled.id]}" ({_mails(labelled.message_ids)}) gets the label "{label.name}"',
        f'the conversation "{subjects[lost.id]}" ({_mails(lost.message_ids)}) is merged into "{subjects[kept.id]}"',
    )


def _mails(ids: Sequence[str]) -> str:
    return f"{len(ids)} mail{'' if len(ids) == 1 else 's'}"


# --- what the run did, and whether it is right ---


def _account(document: Mapping[str, Any], shelf: "_File | _Base") -> str:
    """What was fetched, written and left alone, and what it took."""
    fetched = sum(walk["fetched"] for stream in document["streams"].values() for walk in stream["walks"])
    (written,) = (found["written"] for found in document["destinations"].values())
    rows = sum(len(shelf.rows(table)) for table in ("tasks", "emails"))
    asked = document["requests"]
    return (
        f"{number(fetched)} records fetched, {number(written)} rows written, {number(rows - written)} left alone. "
        f"Requests: {number(asked['teamwork'])} to Teamwork, {number(asked['missive'])} to Missive{shelf.asked()}."
    )


def _proof(shelf: "_File | _Base") -> str:
    """Compare what was written with the world behind the APIs. Raises SyncjobError where they differ."""
    truth, gone = shelf.truth(), shelf.gone()
    wrong = [line for table in truth for line in _differences(table, truth[table], shelf.rows(table), gone.get(table, set()))]
    if wrong:
        more = f"\n  and {len(wrong) - SHOWN_DIFFERENCES} more" if len(wrong) > SHOWN_DIFFERENCES else ""
        lines = "".join(f"\n  {line}" for line in wrong[:SHOWN_DIFFERENCES])
        raise SyncjobError(f"{shelf.place} is not equal to the sandbox's truth:{lines}{more}", hint="this is a bug in syncjob")
    counts = ", ".join(f"{number(len(rows))} {table}" for table, rows in truth.items())
    kept = sum(map(len, gone.values()))
    return f"Checked: every row is equal to the sandbox's truth: {counts}" + (f"; {kept} deleted row kept and marked." if kept else ".")


def _differences(table: str, truth: Rows, rows: Rows, gone: Set[str]) -> list[str]:
    """Every row that should be otherwise, in words."""
    live = {key: row for key, row in rows.items() if not row["deleted"]}
    marked = rows.keys() - live.keys()
    missing = [f"{table} {key}: missing" for key in sorted(truth.keys() - live.keys())]
    extra = [f"{table} {key}: should not be there" for key in sorted(live.keys() - truth.keys())]
    unmarked = [f"{table} {key}: gone, but not kept as deleted" for key in sorted(gone - marked)]
    both = [(key, name) for key in sorted(truth.keys() & live.keys()) for name in truth[key]]
    unequal = [f"{table} {key}: {name} differs" for key, name in both if _stored(truth[key][name]) != live[key][name]]
    return missing + extra + unmarked + unequal


class _File:
    """The SQLite destination, as the demo looks at it."""

    scenes: tuple[Callable[["_Stage"], int], ...] = ()

    def __init__(self, sandbox: Sandbox, settings: Settings) -> None:
        self._sandbox, self.place = sandbox, settings.sqlite_file

    def truth(self) -> Mapping[str, Rows]:
        found = self._sandbox.truth
        return {"tasks": found.tasks(), "emails": found.emails(), "attachments": found.attachments()}

    def gone(self) -> Mapping[str, Set[str]]:
        return {"tasks": self._sandbox.truth.gone_tasks(), "emails": self._sandbox.truth.gone_emails()}

    def rows(self, table: str) -> Rows:
        """A table by key."""
        with closing(sqlite3.connect(self.place)) as database:
            database.row_factory = sqlite3.Row
            return {row[0]: dict(row) for row in database.execute(f"SELECT * FROM {table}")}

    def asked(self) -> str:
        return ""

    def farewell(self) -> str:
        return (
            f"\nThe data is in {self.place}, in the tables tasks, emails and attachments. Look at it:\n\n"
            f"    {_look(self.place)}\n\n" + _onward(self.place.parent)
        )


class _Base:
    """The Airtable destination, as the demo looks at it: the base itself, and not what its API says."""

    scenes = (_tables,)
    place = "the sandbox's Airtable base"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._told = sandbox, 0

    def truth(self) -> Mapping[str, Rows]:
        found = {"tasks": self._sandbox.truth.tasks(), "emails": self._sandbox.truth.emails()}
        return {kind: {key: self._expected(kind, row) for key, row in rows.items()} for kind, rows in found.items()}

    def _expected(self, kind: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        table = self._sandbox.world.airtable.base.table(kind.capitalize())
        shown = expected_row(kind, row, table)
        return {field.name: shown.get(field.name) for field in table.fields if field.name not in ("Body Text", "Attachments")}

    def gone(self) -> Mapping[str, Set[str]]:
        return {"tasks": self._sandbox.truth.gone_tasks(), "emails": self._sandbox.truth.gone_emails()}

    def rows(self, table: str) -> Rows:
        """A table by key."""
        found = self._sandbox.world.airtable.base.table(table.capitalize())
        names = [field.name for field in found.fields]
        return {
            key: {name: _stored(cells.get(name)) for name in names} | {"deleted": cells.get("Deleted", False)}
            for key, cells in found.rows(names[0]).items()
        }

    def asked(self) -> str:
        before, self._told = self._told, len(self._sandbox.requests("airtable"))
        return f", {number(self._told - before)} to Airtable"

    def farewell(self) -> str:
        task = next(cells for cells in self.rows("tasks").values() if not cells["deleted"])
        lines = [f"    {name}: {' '.join(value.split())[:100]}" for name, value in task.items() if value and name != "deleted"]
        shown = "\n".join(lines)
        return f"\nThis is how a task looks in Airtable:\n\n{shown}\n\nThe base was the sandbox's, and ends with it.\n{_onward(None)}"


def _stored(value: Any) -> Any:
    """A true value as the SQLite destination writes it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()[:19] + "Z"
    if isinstance(value, date):
        return value.isoformat()
    return dump(value) if isinstance(value, list | dict) else value


# --- the frame ---


def _new_folder(state: Path | None) -> Path:
    """An empty folder for the demo alone. Raises ConfigError for one with anything in it: that may be somebody's real state."""
    if state is None:
        return Path(tempfile.mkdtemp(prefix="syncjob-demo-"))
    try:
        folder = state.expanduser().absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            return folder
    except OSError as error:
        raise ConfigError(f"the folder {state} cannot be used ({error.strerror})", hint="name another one, or leave --state out") from None
    raise ConfigError(f"the folder {state} is not empty, and the demo starts from nothing", hint="name a new folder, or leave --state out")


def _welcome(sandbox: Sandbox) -> str:
    return (
        "This is the whole job in a few seconds: syncjob polls Teamwork and Missive and keeps a database equal to them.\n"
        f"Both are played by a sandbox on this machine, at {sandbox.url}, over real HTTP with made-up data.\n"
        "No account and no key is needed; your .env and your environment are not looked at."
    )


def _onward(folder: Path | None) -> str:
    yours = f"The folder {folder} is yours to delete. " if folder else ""
    return (
        f"{yours}To sync your own data, copy config/.env.example to .env,\n"
        "write into it TEAMWORK_BASE_URL and TEAMWORK_API_KEY for tasks, MISSIVE_API_TOKEN for emails, or all three, and start:\n\n"
        f"    {_python()} -m syncjob once"
    )


def _look(database: Path) -> str:
    """A command that shows some rows, with what this machine has."""
    query = "SELECT updated_at, status, deleted, title FROM tasks ORDER BY updated_at DESC LIMIT 8"
    if shutil.which("sqlite3"):
        return f'sqlite3 -box {shlex.quote(str(database))} "{query}"'
    program = f'import sqlite3; print(*sqlite3.connect("{database}").execute("{query}"), sep="\\n")'
    return f"{_python()} -c {shlex.quote(program)}"


def _python() -> str:
    """This Python, as one would type it here."""
    python, here = Path(sys.executable), Path.cwd()
    return shlex.quote(str(python.relative_to(here) if python.is_relative_to(here) else python))
