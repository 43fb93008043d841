"""teamwork.tasks: one walker for changes, sweep and full, by keyset on `updatedAt`.

A page is asked in the order of `updatedAt`, from one second before the last stamp seen, so that it is right whether
`updatedAfter` includes its own second or not. Each page therefore shows the row that the step continues from; when
it does not, that row is looked up: it moved or went, or else the server does not do what we asked, and the walk
turns to plain page numbers. A second that holds more than a page is read by page numbers too, again and again from
the first until a pass shows nothing new. Rows that are edited meanwhile move to the end, where the walk finds them.

https://apidocs.teamwork.com/guides/teamwork/how-does-paging-work
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from syncjob.core.errors import Incomplete, Transient
from syncjob.core.model import TASKS, Answer, Call, Json, Page, Record, Rejection, Row, Walk, Want
from syncjob.core.ports import Known
from syncjob.sources.payload import instant, listed, parsed, rejection, stamp
from syncjob.sources.tasks import Task, names_in, needed, record

ROOT = "/projects/api/v3"
VISIBLE = (
    ("includeCompletedTasks", "true"), ("showCompletedLists", "true"), ("includeArchivedProjects", "true"),
    ("includeTasksWithoutDueDates", "true"), ("includePrivateItems", "true"), ("includeTentativeProjects", "true"),
    ("getSubTasks", "true"), ("nestSubTasks", "false"),
)  # fmt: skip
"""Without these, tasks that exist look deleted. The same in every walk, or a sweep would miss what a poll has seen."""
SIDELOAD = (("include", "projects,tasklists,users,companies,teams,tags"),)
ORDER = (("orderBy", "updatedat"), ("orderMode", "asc"), ("skipCounts", "true"))
PAGE_SIZE = 250
MOST_PASSES = 20
HORIZON = timedelta(days=150)
"""Answers to an older `updatedAfter` may be cut to the last six months, so older than this we ask for everything."""
SECOND = timedelta(seconds=1)


class Teamwork:
    """Decides what to ask Teamwork next, and reads its answers."""

    name = "teamwork"
    stream = TASKS
    kinds: tuple[str, ...] = ("look_up",)

    def __init__(self, base_url: str, process_after: datetime | None = None) -> None:
        self._base_url = base_url
        self._process_after = process_after

    def begin(self, walk: Walk) -> Mapping[str, Json]:
        since = walk.since if walk.since and walk.started_at - walk.since < HORIZON else None
        return {"phase": "list", "after": stamp(since) if since else None, "page": 1}

    # -- what to ask

    def page_call(self, walk: Walk, known: Known) -> Call:
        position = walk.position
        if position["phase"] == "check":
            return Call("check", f"{ROOT}/tasks/{position['id']}.json", (("hideDeleted", "true"),), position, accept=(403, 404, 410))
        after = (("updatedAfter", position["after"]),) if position["after"] else ()
        if position["phase"] == "deleted":
            asked = (("showDeleted", "true"), ("deletedOnly", "true"), ("includeTasksFromDeletedLists", "true"))
            after = (("deletedAfter", position["after"]),) if position["after"] else ()
            return self._list_call("deleted", position, after + asked)
        return self._list_call("list", position, after)

    def _list_call(self, name: str, position: Mapping[str, Json], filters: tuple[tuple[str, str], ...]) -> Call:
        paging = (("page", str(position["page"])), ("pageSize", str(PAGE_SIZE)))
        return Call(name, f"{ROOT}/tasks.json", filters + VISIBLE + SIDELOAD + ORDER + paging, position)

    def batch(self, wants: Sequence[Want]) -> Sequence[Want]:
        return wants[:1]

    def want_call(self, wants: Sequence[Want], known: Known) -> Call:
        path = f"{ROOT}/tasks/{wants[0].key}.json"
        return Call("look_up", path, (("hideDeleted", "true"), *SIDELOAD), {"key": wants[0].key}, accept=(403, 404, 410))

    def identity_call(self) -> Call:
        return Call("identity", f"{ROOT}/me.json", accept=(403, 404))

    def identity(self, answer: Answer) -> tuple[str, Mapping[str, Mapping[str, Json]]]:
        if answer.status != 200:
            return self._base_url, {}
        person = parsed(answer, "person")["person"]
        return f"{self._base_url} user {person.get('id') if isinstance(person, dict) else '?'}", {}

    def inherit(self, parent: Record, child: Row) -> Record | None:
        return None

    # -- what the answer says

    def read(self, walk: Walk | None, call: Call, answer: Answer, known: Known) -> Page:
        if call.name == "look_up":
            return self._read_look_up(call, answer, known)
        assert walk is not None
        if call.name == "check":
            return self._read_check(walk, call, answer)
        rows, payload = listed(answer, "tasks")
        records, left_out, rejected, names = self._records(rows, payload, known)
        if call.name == "deleted":
            gone = tuple(found for found in records if found.gone)
            return Page(gone, rejected=rejected, names=names, position=call.about, complete=True)
        seen = _Seen(rows, {found.key: found.updated_at for found in (*records, *left_out)}, _has_more(payload))
        position, complete = self._continue(walk, call.about, seen, known)
        if complete and walk.kind == "changes":
            position, complete = {"phase": "deleted", "after": stamp(walk.since) if walk.since else None, "page": 1}, False
        return Page(records + left_out, rejected=rejected, names=names, position=position, complete=complete)

    def _records(
        self, rows: Sequence[Json], payload: Mapping[str, Any], known: Known
    ) -> tuple[tuple[Record, ...], tuple[Record, ...], tuple[Rejection, ...], Mapping[str, Mapping[str, Json]]]:
        """The page's records, those out of scope, those that cannot be read, and the names it brought."""
        tasks, rejected = [], []
        for raw in rows:
            try:
                tasks.append(Task.model_validate(raw))
            except ValidationError as error:
                rejected.append(rejection(TASKS, raw, error))
        included = payload.get("included")
        names = names_in(included if isinstance(included, dict) else {})
        name_of = _Names(names, needed(tasks), known)
        found = [record(task, name_of, self._base_url) for task in tasks]
        known_rows = known.rows(TASKS, [each.key for each in found]) if self._process_after else {}
        outside = [each for each in found if self._is_outside(each, known_rows.get(each.key))]
        empty = tuple(Record(TASKS, each.key, None, each.version, each.updated_at) for each in outside)
        return tuple(each for each in found if each not in outside), empty, tuple(rejected), names

    def _is_outside(self, found: Record, row: Row | None) -> bool:
        """Created before the process-after date, and never a row with content."""
        if self._process_after is None or (row and row.data is not None) or found.data is None:
            return False
        created = instant(found.data["created_at"])
        return created is not None and created < self._process_after

    def _continue(self, walk: Walk, position: Mapping[str, Json], seen: "_Seen", known: Known) -> tuple[Mapping[str, Json], bool]:
        """Where the list goes on after a page, and whether the source said that this was its end."""
        met = known.sighted(walk.id, TASKS, seen.keys)
        fresh = len(set(seen.keys) - met)
        origin = position.get("from")
        if origin and position["page"] == 1 and not position.get("pass") and origin not in seen.keys:
            return {"phase": "check", "id": origin, "stamp": position["from_stamp"], "then": position}, False
        last = max(seen.stamps, default=None)
        ended = seen.more is False or (seen.more is None and fresh == 0)
        if not seen.keys and not ended:
            raise Incomplete("teamwork.tasks: an empty page that claims to have more behind it", hint="the next run goes on from here")
        passing = position.get("pass", 0)
        beyond = last is not None and not position.get("whole") and _after(last) > (position["after"] or "")
        if not passing:
            if ended:
                return position, True
            if beyond and last:
                return _step(seen, last), False
            return {**position, "page": 2, "pass": 1, "fresh": 0}, False
        fresh += position["fresh"]
        if not ended and not beyond:
            return {**position, "page": position["page"] + 1, "fresh": fresh}, False
        if passing == 1 or fresh:
            if passing >= MOST_PASSES:
                raise Incomplete(
                    "teamwork.tasks: its pages keep changing faster than they can be read", hint="the next run goes on from here"
                )
            return {**position, "page": 1, "pass": passing + 1, "fresh": 0}, False
        return (position, True) if ended or last is None else (_step(seen, last), False)

    def _read_check(self, walk: Walk, call: Call, answer: Answer) -> Page:
        """Why a page did not show the row that it continues from."""
        about = call.about
        moved = answer.status != 200
        if answer.status == 200:
            task = parsed(answer, "task")["task"]
            now = instant(task.get("updatedAt")) if isinstance(task, dict) else None
            moved = now is not None and now > (instant(about["stamp"]) or now)
        if not moved and about["then"].get("whole"):
            raise Incomplete("teamwork.tasks: the list does not show a task that exists", hint="the next run tries again")
        if not moved:
            return Page(position={**self.begin(walk), "pass": 1, "fresh": 0, "whole": True})
        then = {name: value for name, value in about["then"].items() if name not in ("from", "from_stamp")}
        return Page(position=then)

    def _read_look_up(self, call: Call, answer: Answer, known: Known) -> Page:
        raise Transient("look-ups come with deletions")


class _Seen:
    """What a page showed, as far as paging is concerned."""

    def __init__(self, rows: Sequence[Json], stamps: Mapping[str, datetime | None], more: bool | None) -> None:
        self.keys = [str(raw["id"]) for raw in rows if isinstance(raw, dict) and raw.get("id")]
        self.by_key = {key: time for key, time in stamps.items() if time}
        self.stamps = list(self.by_key.values())
        self.more = more


class _Names:
    """Names from the sideload, or else from what earlier sideloads said: sections may be missing."""

    def __init__(self, names: Mapping[str, Mapping[str, Json]], needed: Mapping[str, set[str]], known: Known) -> None:
        self._names = {section: dict(found) for section, found in names.items()}
        self._fill("tasklists", needed["tasklists"], known)
        projects = {entry["project"] for entry in self._names.get("tasklists", {}).values() if entry.get("project")}
        for section, ids in needed.items():
            self._fill(section, ids | projects if section == "projects" else ids, known)

    def _fill(self, section: str, ids: set[str], known: Known) -> None:
        found = self._names.setdefault(section, {})
        if missing := ids - found.keys():
            found.update(known.names(section, missing))

    def __call__(self, section: str, id_: str) -> Json:
        return self._names.get(section, {}).get(id_, {})


def _step(seen: _Seen, last: datetime) -> Mapping[str, Json]:
    """A keyset step: page 1 again, from just before the last stamp."""
    origin = next(key for key, time in seen.by_key.items() if time == last)
    return {"phase": "list", "after": _after(last), "page": 1, "from": origin, "from_stamp": stamp(last)}


def _after(last: datetime) -> str:
    return stamp(last - SECOND)


def _has_more(payload: Mapping[str, Any]) -> bool | None:
    """`meta.page.hasMore`; None where the answer does not say."""
    meta = payload.get("meta")
    page = meta.get("page") if isinstance(meta, dict) else None
    more = page.get("hasMore") if isinstance(page, dict) else None
    return more if isinstance(more, bool) else None
