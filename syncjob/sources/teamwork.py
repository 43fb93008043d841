"""teamwork.tasks: one walker for changes, sweep and full, by keyset on `updatedAt`.

A sweep glimpses at all tasks, few fields of each, and fetches those that differ from the mirror. What it did not meet is
proven to be gone as `sources.proof` says. A look-up that answers 200 proves little here, since a deleted task may answer
like any other: then `ids` must hide it while it shows its neighbour, and show it when asked for what is deleted.

https://apidocs.teamwork.com/guides/teamwork/how-does-paging-work
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from syncjob.core.errors import Incomplete, Transient
from syncjob.core.model import OPENED, SUSPECT, TASKS, UNPROVEN, Answer, Call, Json, Page, Record, Rejection, Row, Walk, Want
from syncjob.core.ports import Known, Without
from syncjob.core.questions import together
from syncjob.sources import keyset, proof
from syncjob.sources.keyset import Seen
from syncjob.sources.names import ROOT, Names, ask_names, names_call, read_names
from syncjob.sources.payload import instant, listed, parsed, stamp, validated
from syncjob.sources.tasks import Task, called, needed, record
from syncjob.sources.teamwork_hidden import HIDDEN, PLACES, gone, is_open, is_told, is_where, place_call, place_of, read_place

VISIBLE = (
    ("includeCompletedTasks", "true"), ("showCompletedLists", "true"), ("includeArchivedProjects", "true"),
    ("includeTasksWithoutDueDates", "true"), ("includePrivateItems", "true"), ("includeTentativeProjects", "true"),
    ("getSubTasks", "true"), ("nestSubTasks", "false"),
)  # fmt: skip
"""Without these, tasks that exist look deleted. The same in every walk, or a sweep would miss what a poll has seen."""
SIDELOAD = (("include", "projects,tasklists,users,companies,teams,tags"),)
ORDER = (("orderBy", "updatedat"), ("orderMode", "asc"), ("skipCounts", "true"))
PAGE_SIZE, GLIMPSE_SIZE, FETCH_SIZE = 250, 500, 100
FEWER, SMALLEST_SIZE = 5, 10
"""By how much a page is made smaller that cannot be had, and how small it becomes at most."""
GLIMPSE = (("fields[tasks]", "id,updatedAt,status,tasklistId,tagIds,tags"),)
DELETED = "list of deleted tasks"
CARRIED = ("size", "directories")
"""What a position keeps through a whole walk."""
HORIZON = timedelta(days=150)
"""Answers to an older `updatedAfter` may be cut to the last six months, so older than this we ask for everything."""


class Teamwork:
    """Decides what to ask Teamwork next, and reads its answers."""

    name = "teamwork"
    stream = TASKS
    kinds: Mapping[str, int] = {"look_up": 1, "fetch": FETCH_SIZE, "hidden": 1, **proof.KINDS}
    witnesses: Mapping[str, Callable[[Row], Mapping[str, Json]]] = dict.fromkeys(("look_up", "fetch", OPENED), lambda _: {})
    enumerated = TASKS

    def __init__(self, base_url: str, process_after: datetime | None = None) -> None:
        self._base_url = base_url
        self._process_after = process_after

    def begin(self, walk: Walk) -> Mapping[str, Json]:
        since = walk.since if walk.since and walk.started_at - walk.since < HORIZON else None
        return {"phase": "list", "after": stamp(since) if since else None, "page": 1}

    def place(self, position: Mapping[str, Json]) -> str:
        return DELETED if position.get("then", position)["phase"] == "deleted" else "list of tasks"

    def without(self, walk: Walk) -> Without:
        position = walk.position
        if self.place(position) == DELETED:
            return Without(position, is_end=True)  # a sweep finds what it would have told
        if position["phase"] == "check":
            return Without(self._by_pages(walk, position["then"]))
        if walk.kind == "changes":
            return Without(self._deleted(walk), is_needed=True)
        return Without(_anew(position) if "size" in position else position, is_needed=True)

    def in_smaller_pages(self, walk: Walk) -> Mapping[str, Json] | None:
        fewer = walk.position.get("size", GLIMPSE_SIZE if walk.kind == "sweep" else PAGE_SIZE) // FEWER
        return {**_anew(walk.position), "size": fewer} if walk.position["phase"] == "list" and fewer >= SMALLEST_SIZE else None

    # -- what to ask

    def page_call(self, walk: Walk, known: Known) -> Call:
        position = walk.position
        if position["phase"] == "names":
            return names_call(position)
        if position["phase"] == "check":
            return Call("check", f"{ROOT}/tasks/{position['id']}.json", (("hideDeleted", "true"),), position, accept=(403, 404, 410))
        after = (("updatedAfter", position["after"]),) if position["after"] else ()
        if walk.kind == "sweep":
            size = position.get("size", GLIMPSE_SIZE)
            asked = after + VISIBLE + GLIMPSE + ORDER + (("page", str(position["page"])), ("pageSize", str(size)))
            refused = (400,) if size == GLIMPSE_SIZE or position["page"] > 1 else ()
            return Call("glimpse", f"{ROOT}/tasks.json", asked, position, accept=refused)
        if position["phase"] == "deleted":
            asked = (("showDeleted", "true"), ("deletedOnly", "true"), ("includeTasksFromDeletedLists", "true"))
            after = (("deletedAfter", position["after"]),) if position["after"] else ()
            return self._list_call("deleted", position, after + asked)
        return self._list_call("list", position, after)

    def _list_call(self, name: str, position: Mapping[str, Json], filters: tuple[tuple[str, str], ...]) -> Call:
        size = position.get("size", PAGE_SIZE) if name == "list" else PAGE_SIZE
        paging = (("page", str(position["page"])), ("pageSize", str(size)))
        refused = (400,) if position["page"] > 1 else ()
        return Call(name, f"{ROOT}/tasks.json", filters + VISIBLE + SIDELOAD + ORDER + paging, position, accept=refused)

    def batches(self, wants: Sequence[Want]) -> Sequence[Sequence[Want]]:
        for kind, most in (("fetch", FETCH_SIZE), ("look_up", 1), ("hidden", 1)):
            if found := [want for want in wants if want.kind == kind]:
                return [together(found, most)]
        return [batch] if (batch := proof.batch(wants)) else []

    def want_call(self, wants: Sequence[Want], known: Known) -> Call:
        want = wants[0]
        if want.kind == "look_up":
            return _look_up(want.stream, want.key)
        if want.kind == "fetch":
            keys = [each.key for each in wants]
            return _ids_call("fetch", keys, (), {"keys": keys})
        if want.kind == "hidden":
            return _hidden_call(want, known)
        return proof.call(wants, known, _look_up)

    def identity_call(self, answers: Sequence[Answer]) -> Call | None:
        return None if answers else Call("identity", f"{ROOT}/me.json", accept=(403, 404))

    def identity(self, answers: Sequence[Answer]) -> tuple[str, Mapping[str, Mapping[str, Json]]]:
        (answer,) = answers
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
            return self._read_look_up(walk, call, answer, known)
        assert walk is not None
        if call.name == "proof":
            return self._read_proof(walk, call, answer, known)
        if call.name == "hidden":
            return self._read_hidden(walk, call, answer, known)
        if call.name == "place":
            return read_place(walk, call, answer, known)
        if call.name == "glimpse":
            return self._read_glimpse(walk, call, answer, known)
        if call.name == "check":
            return self._read_check(walk, call, answer)
        if call.name == "names":
            return read_names(call, answer)
        if answer.status == 400:
            return self._read_refused(walk, call, known)
        rows, payload = listed(answer, "tasks")
        tasks, rejected = validated(Task, rows, TASKS)
        name_of = Names(payload.get("included"), needed(tasks), known)
        if call.name == "fetch":
            return self._read_fetch(walk, call, tasks, rejected, name_of, known)
        if sections := name_of.unnamed(call.about, reread=walk.reread):
            return Page(names=name_of.sideloaded, position=ask_names(sections, call.about))
        names = name_of.learned
        records, left_out = self._records(tasks, name_of, known)
        if call.name == "deleted":
            gone = tuple(found for found in records if found.gone)
            return Page(gone, rejected=rejected, names=names, position=call.about, complete=True)
        seen = Seen(rows, {found.key: found.updated_at for found in (*records, *left_out)}, payload, call)
        position, complete = self._continue(walk, call.about, seen, known)
        problem = keyset.gave_up(call.about, position)
        return Page(records + left_out, rejected=rejected, names=names, position=position, complete=complete, problem=problem)

    def _read_refused(self, walk: Walk, call: Call, known: Known) -> Page:
        """There is no such page: the one before was the last, unless it said that there is more. Then the list became shorter, or ends
        for another reason: it is read again from its first page."""
        if call.about.get("promised"):
            again = keyset.again(call.about)
            return Page(position=again, problem=keyset.gave_up(call.about, again))
        position, complete = self._continue(walk, call.about, Seen((), {}, {}, call), known)
        return Page(position=position, complete=complete, problem=keyset.gave_up(call.about, position))

    def _records(self, tasks: Sequence[Task], name_of: Names, known: Known) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        """The page's records, and those out of scope. Raises Transient where it shows few fields, as a glimpse does."""
        live = [task for task in tasks if task.status != "deleted" and not task.deletedAt]
        if live and not any("name" in task.model_fields_set for task in live):
            raise Transient("teamwork.tasks: tasks without names are the answer to another question", hint="the next run asks again")
        found = [record(task, name_of, self._base_url) for task in tasks]
        outside = self._outside(found, known)
        empty = tuple(Record(TASKS, each.key, None, each.version, each.updated_at) for each in found if each.key in outside)
        return tuple(each for each in found if each.key not in outside), empty

    def _outside(self, found: Sequence[Record], known: Known) -> set[str]:
        """Those created before the process-after date that never were a row with content, here or in a destination."""
        if (first := self._process_after) is None:
            return set()
        early = [each.key for each in found if each.data and (made := instant(each.data["created_at"])) and made < first]
        rows = known.rows(TASKS, early)
        return {key for key in early if key not in rows or rows[key].data is None} - known.strangers(TASKS, early)

    def _continue(self, walk: Walk, position: Mapping[str, Json], seen: Seen, known: Known) -> tuple[Mapping[str, Json], bool]:
        """Where the list goes on after a page, and whether the source said that this was its end."""
        asked = {name: value for name, value in position.items() if name != "named"}
        onward, complete = keyset.onward(asked, seen, known.sighted(walk.id, TASKS, seen.keys))
        if complete and walk.kind == "changes":
            return {**_carried(position), **self._deleted(walk)}, False
        return {**_carried(position), **onward}, complete

    def _deleted(self, walk: Walk) -> Mapping[str, Json]:
        """Behind its list, a poll reads what was deleted of late."""
        return {"phase": "deleted", "after": stamp(walk.since) if walk.since else None, "page": 1}

    def _by_pages(self, walk: Walk, position: Mapping[str, Json]) -> Mapping[str, Json]:
        """The walk from its beginning, by page numbers alone."""
        return {**_carried(position), **self.begin(walk), "pass": 1, "fresh": 0, "whole": True}

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
            return Page(position=self._by_pages(walk, about["then"]))
        then = {name: value for name, value in about["then"].items() if name not in ("from", "from_stamp")}
        return Page(position=then)

    def _read_glimpse(self, walk: Walk, call: Call, answer: Answer, known: Known) -> Page:
        """A page of a sweep: what is as it was, and what has to be fetched."""
        if answer.status == 400 and call.about["page"] > 1:
            return self._read_refused(walk, call, known)
        if answer.status == 400:  # more than a page may hold here
            return Page(position={**call.about, "size": PAGE_SIZE})
        raws, payload = listed(answer, "tasks")
        tasks, rejected = validated(Task, raws, TASKS)
        if sections := Names({}, needed(tasks), known).doubtful - set(call.about.get("named", ())):  # what is fetched is judged by them
            return Page(position=ask_names(sections, call.about))
        rows, tags = known.rows(TASKS, [str(task.id) for task in tasks]), known.names("tags")
        strange = known.strangers(TASKS, [key for key, row in rows.items() if row.data is None])
        outside, same, wants = [], [], []
        for task in tasks:
            key = str(task.id)
            row = rows.get(key)
            if row is None or row.deleted_at or key in strange or _differs(task, row, tags):
                wants.append(Want("fetch", TASKS, key, walk=walk.id))
            elif row.data is None:
                outside.append(Record(TASKS, key, None, row.version))
            else:
                same.append((TASKS, key))
        seen = Seen(raws, {str(task.id): instant(task.updatedAt) for task in tasks}, payload, call)
        position, complete = self._continue(walk, call.about, seen, known)
        met = tuple((TASKS, want.key) for want in wants)
        return Page(
            tuple(outside), tuple(same), met, rejected=rejected, wants=tuple(wants), position=position, complete=complete,
            expected=len(wants), problem=keyset.gave_up(call.about, position),
        )  # fmt: skip

    def _read_fetch(
        self, walk: Walk, call: Call, tasks: Sequence[Task], rejected: tuple[Rejection, ...], name_of: Names, known: Known
    ) -> Page:
        """The tasks that differed, whole. One that does not come is looked up by itself."""
        records, left_out = self._records(tasks, name_of, known)
        here = {str(task.id) for task in tasks} | {each.key for each in rejected}
        asked = call.about["keys"]
        again = tuple(Want("look_up", TASKS, key, walk=walk.id) for key in asked if key not in here)
        settled = tuple(("fetch", key) for key in asked)
        return Page(records + left_out, rejected=rejected, wants=again, settled=settled, names=name_of.learned)

    def _read_look_up(self, walk: Walk | None, call: Call, answer: Answer, known: Known) -> Page:
        """Whether a task that a list showed is there: only its own page, deleted ones hidden, proves that."""
        key = call.about["key"]
        settled = (("look_up", key),)
        page = self._look(walk, TASKS, key, answer, known)
        if page is not None:
            return replace(page, settled=settled)
        row = known.rows(TASKS, [key]).get(key)
        if walk and row and row.data is not None and row.deleted_at is None:
            return Page(wants=(Want(SUSPECT, TASKS, key, proof.LISTED, walk.id),), settled=settled)
        return Page(sighted=((TASKS, key),), settled=settled)

    def _look(self, walk: Walk | None, stream: str, key: str, answer: Answer, known: Known) -> Page | None:
        """What a task's own page says; None: there is no such task."""
        if answer.status in (404, 410):
            return None
        if answer.status == 403:
            return Page(inaccessible=((TASKS, key),))
        payload = parsed(answer, "task")
        tasks, rejected = validated(Task, [payload["task"]], TASKS)
        if {str(task.id) for task in tasks} | {each.key for each in rejected} != {key}:
            raise Transient("the answer shows another task than was asked for", hint="the next run tries again")
        name_of = Names(payload.get("included"), needed(tasks), known)
        found, left_out = self._records(tasks, name_of, known)
        proven = tuple(replace(each, proven=each.gone is None) for each in found)
        return Page(proven + left_out, rejected=rejected, names=name_of.sideloaded)

    def _read_proof(self, walk: Walk, call: Call, answer: Answer, known: Known) -> Page:
        """One that answers like any other may be deleted all the same: ask whether it is hidden. So may one be there that only old
        names say is gone."""
        page = proof.read(walk, call, answer, known, self._look)
        open_ = [each for each in page.records if not is_told(each, page.names)]
        if call.about["control"] or not open_:
            return page
        found = open_[0]  # it may have been moved meanwhile
        old = found.gone and found.gone.why
        about = {"by": [*HIDDEN, *PLACES], "old": old, **{name: place_of(found, name) for name, _ in PLACES.values()}}
        hidden = Want("hidden", TASKS, call.about["wants"][0][0], about, walk.id)
        return Page(wants=(hidden,), settled=page.settled, names=page.names)

    def _read_hidden(self, walk: Walk, call: Call, answer: Answer, known: Known) -> Page:
        """Shown among the deleted, and then not among all others, while one of those is: deleted. Whatever is not proven stays.

        Raises Transient where others are shown too: `ids` was not heeded, or it is another question's answer.
        """
        about, key = call.about, call.about["key"]
        rows, payload = listed(answer, "tasks")
        tasks, _ = validated(Task, rows, TASKS)
        found = {str(task.id) for task in tasks}
        settled = (("hidden", key),)
        name_of = Names(payload.get("included"), needed(tasks), known)
        records = tuple(each for each in self._records(tasks, name_of, known)[0] if each.key == key)
        if not about["seen"]:
            if records and is_told(records[0], name_of.sideloaded) and is_where(records[0], about):
                return Page(records, settled=settled)
            by = about["by"] if key in found else about["by"][1:]
            return Page(wants=(Want("hidden", TASKS, key, {**about, "by": by, "seen": key in found}, walk.id),))
        if found - {key, about["control"]}:
            wrong = f"teamwork.tasks: asked for {key}, the answer shows others too, so it proves nothing"
            raise Transient(wrong, hint="the next run asks again")
        if any(is_open(each, name_of.sideloaded) for each in records):
            return Page(wants=(Want("hidden", TASKS, key, {**about, "by": [*PLACES], "seen": False}, walk.id),))
        if key in found or (about["control"] and about["control"] not in found):
            proven = tuple(replace(each, proven=each.gone is None) for each in records)
            kept = Page(proven, ((TASKS, key),), settled=settled, names=name_of.sideloaded)
            return proof.missed(walk, kept, known, TASKS, key, alone=about["control"] is None)
        why = ("deleted" if about["by"][0] == "shown" else "its task list is deleted") if about["control"] else UNPROVEN
        return Page((gone(key, why, known),), settled=settled)


def _look_up(stream: str, key: str) -> Call:
    path = f"{ROOT}/tasks/{key}.json"
    return Call("look_up", path, (("hideDeleted", "true"), *SIDELOAD), {"key": key}, accept=(403, 404, 410))


def _ids_call(name: str, keys: Sequence[str], flags: tuple[tuple[str, str], ...], about: Mapping[str, Json]) -> Call:
    paging = (("page", "1"), ("pageSize", str(PAGE_SIZE)))
    return Call(name, f"{ROOT}/tasks.json", (("ids", ",".join(keys)), *flags, *VISIBLE, *SIDELOAD, *paging), about)


def _hidden_call(want: Want, known: Known) -> Call:
    """First by a way that shows what is deleted; once it was seen so, together with a control by the way of every list."""
    assert want.walk is not None
    way, seen = want.about["by"][0], want.about.get("seen", False)
    if way in PLACES:
        return place_call(want, way, known)
    control = known.control(want.walk, TASKS, 0) if seen else None
    about = {**want.about, "key": want.key, "seen": seen, "control": control}
    return _ids_call("hidden", [want.key, *([control] if control else [])], () if seen else HIDDEN[way], about)


def _carried(position: Mapping[str, Json]) -> dict[str, Json]:
    return {name: position[name] for name in CARRIED if name in position}


def _anew(position: Mapping[str, Json]) -> Mapping[str, Json]:
    """The same step of a list, from its first page, in pages of the usual size."""
    kept = {name: position[name] for name in ("phase", "after", "from", "from_stamp", "whole", "directories") if name in position}
    return {**kept, **({"pass": 1, "fresh": 0} if position.get("whole") else {}), "page": 1}


def _differs(task: Task, row: Row, tags: Mapping[str, Json]) -> bool:
    """Whether a glimpse shows that a task is not what the mirror holds. Fields that it does not show say nothing."""
    if task.updatedAt != row.version:
        return True
    if row.data is None:
        return False
    moved = task.list_id is not None and str(task.list_id) != row.data["tasklist_id"]
    shows_tags = bool({"tagIds", "tags"} & task.model_fields_set)
    is_new = any(id_ not in tags for _, id_ in task.labels)  # what is known to be nameless is not
    return moved or is_new or (shows_tags and called(task.labels, lambda _, id_: tags[id_]) != row.data["tags"])
