"""teamwork.tasks: one walker for changes, sweep and full, by keyset on `updatedAt`.

A page is asked in the order of `updatedAt`, from one second before the last stamp seen, so that it is right whether
`updatedAfter` includes its own second or not. Each page therefore shows the row that the step continues from; when
it does not, that row is looked up: it moved or went, or else the server does not do what we asked, and the walk
turns to plain page numbers. A second that holds more than a page is read by page numbers too, again and again from
the first until a pass shows nothing new. Rows that are edited meanwhile move to the end, where the walk finds them.

https://apidocs.teamwork.com/guides/teamwork/how-does-paging-work
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
DIRECTORIES: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "projects": (f"{ROOT}/projects.json", (("includeArchivedProjects", "true"), ("includeTentativeProjects", "true"))),
    "tasklists": (f"{ROOT}/tasklists.json", (("showCompleted", "true"), ("showDeleted", "true"), ("includeArchivedProjects", "true"))),
    "users": (f"{ROOT}/people.json", (("showDeleted", "true"), ("includePlaceholders", "true"), ("includeServiceAccounts", "true"))),
    "companies": (f"{ROOT}/companies.json", ()),
    "tags": (f"{ROOT}/tags.json", ()),
    "teams": ("/teams.json", ()),
}
"""Where names are asked for that no sideload brought."""
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
        if position["phase"] == "names":
            path, asked = DIRECTORIES[position["section"]]
            return Call("names", path, (*asked, ("page", str(position["page"])), ("pageSize", str(PAGE_SIZE))), position, accept=(403, 404))
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
        if not isinstance(person, dict) or not person.get("id"):
            raise Transient("`person` in the answer is no person", hint="the vendor may be having trouble; the next run tries again")
        return f"{self._base_url} user {person['id']}", {}

    def inherit(self, parent: Record, child: Row) -> Record | None:
        return None

    # -- what the answer says

    def read(self, walk: Walk | None, call: Call, answer: Answer, known: Known) -> Page:
        if call.name == "look_up":
            return self._read_look_up(call, answer, known)
        assert walk is not None
        if call.name == "check":
            return self._read_check(walk, call, answer)
        if call.name == "names":
            return _read_names(call, answer)
        rows, payload = listed(answer, "tasks")
        tasks, rejected = _tasks(rows)
        name_of = Names(payload.get("included"), needed(tasks), known)
        if name_of.unknown and not call.about.get("named"):
            return Page(names=name_of.sideloaded, position=_ask_names(name_of, call.about))
        names = name_of.learned
        records, left_out = self._records(tasks, name_of, known)
        if call.name == "deleted":
            gone = tuple(found for found in records if found.gone)
            return Page(gone, rejected=rejected, names=names, position=call.about, complete=True)
        seen = _Seen(rows, {found.key: found.updated_at for found in (*records, *left_out)}, _has_more(payload))
        position, complete = self._continue(walk, call.about, seen, known)
        if complete and walk.kind == "changes":
            position, complete = {"phase": "deleted", "after": stamp(walk.since) if walk.since else None, "page": 1}, False
        return Page(records + left_out, rejected=rejected, names=names, position=position, complete=complete)

    def _records(self, tasks: Sequence[Task], name_of: "Names", known: Known) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        """The page's records, and those out of scope."""
        found = [record(task, name_of, self._base_url) for task in tasks]
        rows = known.rows(TASKS, [each.key for each in found]) if self._process_after else {}
        outside = {each.key for each in found if self._is_outside(each, rows.get(each.key))}
        empty = tuple(Record(TASKS, each.key, None, each.version, each.updated_at) for each in found if each.key in outside)
        return tuple(each for each in found if each.key not in outside), empty

    def _is_outside(self, found: Record, row: Row | None) -> bool:
        """Created before the process-after date, and never a row with content."""
        if self._process_after is None or (row and row.data is not None) or found.data is None:
            return False
        created = instant(found.data["created_at"])
        return created is not None and created < self._process_after

    def _continue(self, walk: Walk, position: Mapping[str, Json], seen: "_Seen", known: Known) -> tuple[Mapping[str, Json], bool]:
        """Where the list goes on after a page, and whether the source said that this was its end."""
        position = {name: value for name, value in position.items() if name != "named"}
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
        """Whether a task that a list showed is there again: only its own page, deleted ones hidden, proves that."""
        settled = (("look_up", call.about["key"]),)
        if answer.status != 200:
            return Page(settled=settled)
        payload = parsed(answer, "task")
        tasks, rejected = _tasks([payload["task"]])
        name_of = Names(payload.get("included"), needed(tasks), known)
        found = tuple(replace(each, proven=each.gone is None) for each in self._records(tasks, name_of, known)[0])
        return Page(found, rejected=rejected, settled=settled, names=name_of.sideloaded)


class _Seen:
    """What a page showed, as far as paging is concerned."""

    def __init__(self, rows: Sequence[Json], stamps: Mapping[str, datetime | None], more: bool | None) -> None:
        self.keys = [str(raw["id"]) for raw in rows if isinstance(raw, dict) and raw.get("id")]
        self.by_key = {key: time for key, time in stamps.items() if time}
        self.stamps = list(self.by_key.values())
        self.more = more


class Names:
    """What things are called: by the sideload, or else by what was seen of them before, since sections may be missing.

    `unknown` are ids that nobody ever named, by section. A directory is asked for them once; those that it does not
    name either are kept without a name, so that nobody asks again.
    """

    def __init__(self, included: Json, needed: Mapping[str, set[str]], known: Known) -> None:
        self.sideloaded = names_in(included if isinstance(included, dict) else {})
        self._found = {section: dict(found) for section, found in self.sideloaded.items()}
        self.unknown: dict[str, set[str]] = {}
        self._fill("tasklists", needed["tasklists"], known)
        projects = {entry["project"] for entry in self._found["tasklists"].values() if entry.get("project")}
        for section, ids in needed.items():
            self._fill(section, ids | projects if section == "projects" else ids, known)

    @property
    def learned(self) -> Mapping[str, Mapping[str, Json]]:
        """What this page taught, the nameless included."""
        nameless: dict[str, dict[str, Json]] = {section: {id_: {} for id_ in ids} for section, ids in self.unknown.items()}
        return {section: {**self.sideloaded.get(section, {}), **nameless.get(section, {})} for section in {*self.sideloaded, *nameless}}

    def _fill(self, section: str, ids: set[str], known: Known) -> None:
        found = self._found.setdefault(section, {})
        if missing := ids - found.keys():
            found.update(known.names(section, missing))
        if unknown := ids - found.keys():
            self.unknown[section] = unknown

    def __call__(self, section: str, id_: str) -> Json:
        return self._found.get(section, {}).get(id_, {})


def _ask_names(name_of: Names, then: Mapping[str, Json]) -> Mapping[str, Json]:
    """Read the directories of the sections that have unknown names, then the same page again."""
    first, *rest = sorted(name_of.unknown)
    return {"phase": "names", "section": first, "rest": rest, "page": 1, "then": {**then, "named": True}}


def _read_names(call: Call, answer: Answer) -> Page:
    """A page of a directory. One that may not be read names nobody."""
    about, section = call.about, call.about["section"]
    names, more = {}, False
    if answer.status == 200:
        entries, payload = listed(answer, "people" if section == "users" else section)
        names = names_in({section: {str(entry["id"]): entry for entry in entries if isinstance(entry, dict) and entry.get("id")}})
        more = bool(entries) and _has_more(payload) is True
    if more:
        return Page(names=names, position={**about, "page": about["page"] + 1})
    if about["rest"]:
        first, *rest = about["rest"]
        return Page(names=names, position={**about, "section": first, "rest": rest, "page": 1})
    return Page(names=names, position=about["then"])


def _tasks(rows: Sequence[Json]) -> tuple[list[Task], tuple[Rejection, ...]]:
    """The tasks that can be read, and dead letters for the others."""
    tasks, rejected = [], []
    for raw in rows:
        try:
            tasks.append(Task.model_validate(raw))
        except ValidationError as error:
            rejected.append(rejection(TASKS, raw, error))
    return tasks, tuple(rejected)


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
