"""So many tasks as Teamwork shows them: the bytes of its answers, and the rows that a perfect mirror holds.

The sandbox makes up to 5,000 tasks once. A world of a million is copies of those with ids and times of their own, made when they
are asked for, so that the server stays small and quick. In the second data set one task of a hundred has another title.
"""

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syncjob.sandbox import Request, Sandbox

from .kinds import REST, SPAN, TASKS, UNSTORABLE, Row, dumps, plain, time_text

LIST = "/projects/api/v3/tasks.json"
FLAGS = {
    "includeCompletedTasks": "true", "showCompletedLists": "true", "includeArchivedProjects": "true", "includeTasksWithoutDueDates": "true",
    "includePrivateItems": "true", "includeTentativeProjects": "true", "getSubTasks": "true", "nestSubTasks": "false",
    "include": "projects,tasklists,users,companies,teams,tags", "orderBy": "updatedat", "orderMode": "asc", "skipCounts": "true",
}  # fmt: skip
"""What every contender asks with: all that the user may see, and its names, oldest change first."""
MADE, CHUNK = 5_000, 25
NEWS = 60
"""The changes of the second data set happened within so many seconds."""
PERSON = dumps({"person": {"id": 501, "firstName": "Ada", "lastName": "Quill"}}).encode()
ID, STAMP, TITLE = 987_654_321_987, "@stamp@", "@title@"
FIRST_ID, CHANGED = 1_000_000, " (changed)"

Sections = Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Made:
    """A task of the sandbox: its JSON with gaps for id, time and the end of its title, and the row it should become."""

    template: bytes
    row: Row


class Tasks:
    """The two data sets: another one after `change`."""

    kind = TASKS

    def __init__(self, count: int, now: float) -> None:
        self._made, self._included = _make(min(count, MADE), now)
        self.count, self._first = count, int(now) - REST - SPAN
        self._order: range | list[int] = range(count)
        self._changed_at: int | None = None

    def change(self, now: float | None) -> None:
        """From now on the second data set, changed just then; None: the first one again."""
        self._changed_at = int(now) if now else None
        old = range(self.count)
        self._order = [n for n in old if not _changes(n)] + [n for n in old if _changes(n)] if now else old

    def answer(self, path: str, asked: Mapping[str, str]) -> bytes | None:
        """The body for a request; None: there is no such thing."""
        if path != LIST:
            return PERSON if path.endswith("/me.json") else None
        assert not {"ids", "fields[tasks]"} & asked.keys(), "no case needs that"
        assert (asked["orderBy"], asked["orderMode"]) == ("updatedat", "asc")
        assert asked["include"], "everybody gets the same bytes"
        after = "9" if asked.get("showDeleted") == "true" else asked.get("updatedAfter")  # nothing is deleted here
        return self._page(after, int(asked["page"]), int(asked["pageSize"]))

    def allowed(self, step: str) -> int:
        """By the formula: a page of 250 shows the rows of the two seconds before it again; two for a quiet poll, one for the user."""
        pages = {"a": 1 + self.count // 245, "b": 1 + self.count // 245, "c": 1 + self.count // 100 // 220, "e": 0}[step]
        return pages + 3 * (step in "ab") + 2 * (step != "a")

    def _page(self, after: str | None, page: int, size: int) -> bytes:
        """One answer of the list, inclusive of `after`."""
        first = bisect_left(self._order, after, key=self._stamp) if after else 0
        start = first + (page - 1) * size
        shown = self._order[start : start + size]
        more = start + size < len(self._order)
        meta = {"page": {"pageOffset": page - 1, "pageSize": size, "count": page * size + more, "hasMore": more}}
        rows = b",".join(map(self._json, shown))
        return b'{"tasks":[%b],"meta":%b,"included":%b}' % (rows, json.dumps(meta).encode(), self._sideload(shown))

    def rows(self) -> Iterator[Row]:
        """What a perfect mirror holds, in the order of the list."""
        for n in self._order:
            row = self._made[n % len(self._made)].row
            title = row["title"] + (CHANGED if self._is_new(n) else "")
            yield row | {"task_id": str(FIRST_ID + n), "title": title, "updated_at": self._stamp(n)}

    def _json(self, n: int) -> bytes:
        changed = CHANGED.encode() if self._is_new(n) else b""
        return self._made[n % len(self._made)].template % {b"id": FIRST_ID + n, b"stamp": self._stamp(n).encode(), b"title": changed}

    def _is_new(self, n: int) -> bool:
        return self._changed_at is not None and _changes(n)

    def _stamp(self, n: int) -> str:
        if self._changed_at is not None and _changes(n):
            return time_text(self._changed_at - NEWS + NEWS * n // self.count)
        tied = n - (n % 50 == 1)  # one of fifty shares its second with the one before it
        return time_text(self._first + tied * SPAN // self.count)

    def _sideload(self, shown: range | list[int]) -> bytes:
        """The names behind these rows, and a few more: they are kept by chunks of rows."""
        found: dict[str, dict[str, bytes]] = {}
        for chunk in {n % len(self._made) // CHUNK for n in shown}:
            for name, rows in self._included[chunk].items():
                found.setdefault(name, {}).update(rows)
        sections = (b'"%b":{%b}' % (name.encode(), b",".join(rows.values())) for name, rows in found.items())
        return b"{%b}" % b",".join(sections)


def _changes(n: int) -> bool:
    return n % 100 == 7


def _make(count: int, now: float) -> tuple[list[_Made], list[Sections]]:
    """Tasks of the sandbox that every database can hold word for word, and the names that each chunk of them needs."""
    sandbox = Sandbox(seed=7, tasks=count * 3 // 2 + 50, conversations=0, clock=lambda: now)
    truth = sandbox.truth.tasks()
    raws, names = _list(sandbox)
    kept = [raw for raw in raws if str(raw["id"]) in truth and not UNSTORABLE.search(dumps(raw))]
    made = [_Made(_template(raw), plain(truth[str(raw["id"])])) for raw in kept[:count]]
    return made, [_sections(kept[start : start + CHUNK], names) for start in range(0, len(made), CHUNK)]


def _list(sandbox: Sandbox) -> tuple[list[Any], dict[str, dict[str, Any]]]:
    """All tasks of the sandbox as its API shows them, and everything that was sideloaded."""
    found: list[Any] = []
    names: dict[str, dict[str, Any]] = {}
    page, more = 1, True
    while more:
        asked = FLAGS | {"page": str(page), "pageSize": "500"}
        answer = sandbox.respond(Request("GET", LIST, asked, {"Authorization": f"Bearer {sandbox.teamwork_key}"})).json()
        found += answer["tasks"]
        for name, rows in answer["included"].items():
            names.setdefault(name, {}).update(rows)
        page, more = page + 1, answer["meta"]["page"]["hasMore"]
    return found, names


def _sections(raws: list[Any], names: Mapping[str, Mapping[str, Any]]) -> Sections:
    """What these rows speak of."""
    lists = {str(raw["tasklistId"]) for raw in raws}
    people = {str(raw[name]) for raw in raws for name in ("createdBy", "updatedBy", "completedBy") if raw.get(name)}
    wanted = {"tasklists": lists, "projects": {str(names["tasklists"][key]["projectId"]) for key in lists}, "users": people}
    for raw in raws:
        for link in (*raw["assignees"], *(raw.get("tags") or ())):
            wanted.setdefault(link["type"], set()).add(str(link["id"]))
    return {name: {key: _pair(key, names[name][key]) for key in sorted(keys)} for name, keys in wanted.items()}


def _pair(key: str, row: Any) -> bytes:
    return f'"{key}":{dumps(row)}'.encode()


def _template(raw: Any) -> bytes:
    text = dumps(raw | {"id": ID, "updatedAt": STAMP, "name": raw["name"] + TITLE}).replace("%", "%%")
    return text.replace(str(ID), "%(id)d").replace(STAMP, "%(stamp)b").replace(TITLE, "%(title)b").encode()
