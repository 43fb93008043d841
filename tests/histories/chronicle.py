"""What the world was at every moment: the judge's memory, filled from the truth and never from an API."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from syncjob.core.model import EMAILS, TASKS
from syncjob.sandbox import Sandbox

Row = Mapping[str, Any]
Where = tuple[str, str]
STREAMS = {"teamwork": TASKS, "missive": EMAILS}


class Chronicle:
    """When each record was live for the user, every value it ever had, and under which signs a sweep could have seen it."""

    def __init__(self, sandbox: Sandbox, process_after: date | None) -> None:
        self._sandbox, self._process_after = sandbox, process_after
        self.rows: dict[str, dict[str, Row]] = {TASKS: {}, EMAILS: {}}
        self._hidden: dict[str, dict[str, Row]] = {TASKS: {}, EMAILS: {}}
        self.live_since: dict[Where, float] = {}
        self.born: dict[Where, float] = {}
        self.values: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._shown: dict[Where, dict[str, str]] = defaultdict(dict)
        self._blind: set[tuple[Where, str]] = set()
        self.redacted: set[str] = set()
        self.reached: set[str] = set()  # records that the user had, be it in the trash: an answer that lags may show them live
        self.threads: dict[str, set[str]] = defaultdict(set)  # by message: where it ever was, be it in the trash
        self.labels: dict[str, set[str]] = defaultdict(set)  # by conversation
        self._revisions: dict[str, int] = {}
        self.note()

    def note(self) -> None:
        """Take down how the world is now. To be called after every change."""
        now = self._sandbox.world.clock()
        truth = self._sandbox.truth
        for face, read in (("teamwork", truth.tasks), ("missive", truth.emails)):
            revision = getattr(self._sandbox.world, face).revision
            if self._revisions.get(face) != revision:
                self._revisions[face] = revision
                self._take_down(STREAMS[face], read(self._process_after), now)
                self._take_signs(face)
        missive = self._sandbox.world.missive
        self.redacted |= {message.id for message in missive.messages.values() if message.redacted}  # be it in the trash
        for row in missive.conversations.values():
            for key in row.message_ids:
                self.threads[key].add(row.id)
            self.labels[row.id].add(canonical(sorted({missive.labels[label].name for label in row.label_ids})))
        self.reached |= {key for row in missive.conversations.values() if missive.me in row.flags for key in row.message_ids}
        teamwork = self._sandbox.world.teamwork
        self.reached |= {str(key) for key, task in teamwork.tasks.items() if teamwork.may_see(task, teamwork.me)}

    def _take_down(self, stream: str, rows: dict[str, Row], now: float) -> None:
        before = self.rows[stream]
        self.rows[stream] = rows
        for key in before.keys() - rows.keys():
            del self.live_since[stream, key]
        for key in rows.keys() - before.keys():
            self.live_since[stream, key] = now
            self.born.setdefault((stream, key), now)
        self._take_values(stream, before, rows)
        hidden = self._hidden_tasks() if stream == TASKS else self._hidden_emails()
        self._take_values(stream, self._hidden[stream], hidden)
        self._hidden[stream] = hidden

    def _take_values(self, stream: str, before: Mapping[str, Row], rows: Mapping[str, Row]) -> None:
        for key, row in rows.items():
            old = before.get(key)
            for name, value in row.items():
                if old is None or old[name] != value:
                    self.values[stream, key, name].add(canonical(value))

    def _hidden_tasks(self) -> dict[str, Row]:
        """Those that are not live are shown all the same: among the deleted, or by an answer that lags behind."""
        tasks, truth = self._sandbox.world.teamwork.tasks, self._sandbox.truth
        return {str(key): truth._task(task) for key, task in tasks.items() if str(key) not in self.rows[TASKS]}

    def _hidden_emails(self) -> dict[str, Row]:
        """The same: in the trash."""
        missive, truth = self._sandbox.world.missive, self._sandbox.truth
        homes = [(message, missive.conversations.get(message.conversation_id)) for message in missive.messages.values()]
        return {message.id: truth._email(message, home) for message, home in homes if home and message.id not in self.rows[EMAILS]}

    # -- what a sweep can see

    def _take_signs(self, face: str) -> None:
        """A cheap enumeration shows a record's sign; where one sign stood for two contents, it cannot tell them apart."""
        for where, sign, content in self._signs(STREAMS[face]):
            if self._shown[where].setdefault(sign, content) != content:
                self._blind.add((where, sign))

    def blind(self, stream: str) -> set[str]:
        """Keys (of conversations, for emails) whose present state looks like another one to a sweep."""
        return {where[1] for where, sign, _ in self._signs(stream) if (where, sign) in self._blind}

    def _signs(self, stream: str) -> Iterator[tuple[Where, str, str]]:
        return (_task_signs if stream == TASKS else _mail_signs)(self._sandbox, self.rows[stream])

    # -- asking

    def was_live_all_the_time(self, stream: str, key: str, since: float) -> bool:
        """Whether the record is live and has been since before that moment."""
        return self.live_since.get((stream, key), float("inf")) < since

    def had(self, stream: str, key: str, name: str, value: Any) -> bool:
        """Whether the record's column ever had this value."""
        return canonical(value) in self.values[stream, key, name]

    def was_live(self, stream: str, key: str) -> bool:
        """Whether the record was ever live for the user."""
        return (stream, key) in self.born

    def was_there(self, stream: str, key: str) -> bool:
        """Whether the user could ever see this record, be it in the trash."""
        return self.was_live(stream, key) or key in self.reached


def canonical(value: Any) -> str:
    """A value as JSON text, times as the tables hold them."""
    return json.dumps(plain(value), sort_keys=True)


def plain(value: Any) -> Any:
    """A value as the tables hold it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else value


def _task_signs(sandbox: Sandbox, tasks: Mapping[str, Row]) -> Iterator[tuple[Where, str, str]]:
    for key, row in tasks.items():
        task = sandbox.world.teamwork.tasks[int(key)]
        yield (TASKS, key), f"{task.updated_at} {task.status} {task.tasklist_id} {task.tag_ids}", json.dumps(row, default=str)


def _mail_signs(sandbox: Sandbox, emails: Mapping[str, Row]) -> Iterator[tuple[Where, str, str]]:
    world = sandbox.world.missive
    for row in sandbox.world.missive.conversations.values():
        drafts = len(row.draft_ids) if sandbox.switches.missive_counts_drafts else 0
        mine = row.flags.get(world.me)  # of the flags only these tell that messages come or go
        sign = f"{row.last_activity_at} {len(row.message_ids) + row.miscounted + drafts} {mine and (mine.trashed, mine.junked)}"
        content = [[key, _without_conversation(emails[key])] if key in emails else key for key in sorted(row.message_ids)]
        yield (EMAILS, row.id), sign, json.dumps(content, default=str)


def _without_conversation(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("labels", "source_links", "thread_id")}
