"""What proves that a task is deleted which its own page shows all the same: how it is shown elsewhere, and what became of the list
and the project that it is in."""

from collections.abc import Mapping

from syncjob.core.model import TASKS, Answer, Call, Gone, Json, Page, Record, Walk, Want
from syncjob.core.ports import Known
from syncjob.sources import proof
from syncjob.sources.names import ROOT
from syncjob.sources.payload import parsed

HIDDEN = {
    "shown": (("showDeleted", "true"), ("includeTasksFromDeletedLists", "true")),
    "in deleted list": (("includeTasksFromDeletedLists", "true"),),
}
"""The ways in which a task may be shown that is deleted, in the order in which they are tried."""
PLACES = {"tasklists": ("tasklist", "its task list is deleted"), "projects": ("project", "its project is deleted")}
"""What to ask, after that, whether it is deleted itself, and so all that is in it. A list knows best in which project it is."""


def is_where(found: Record, about: Mapping[str, Json]) -> bool:
    """Whether a list shows a task where its own page showed it: one that lags behind may show it in a list that it has left."""
    is_deleted_itself = found.gone is not None and found.gone.why == "deleted"
    return is_deleted_itself or about.get("tasklist") in (None, (found.data or {}).get("tasklist_id"))


def is_told(found: Record, names: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether the answer itself says that a task is gone: what it is in may have come back since it was named."""
    named = {why: place_of(found, name) in names.get(way, ()) for way, (name, why) in PLACES.items()}
    return found.gone is not None and named.get(found.gone.why, True)


def is_open(found: Record, names: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether it does not say so, and leaves open whether what the task is in is deleted."""
    unnamed = (way for way, (name, _) in PLACES.items() if (id_ := place_of(found, name)) and id_ not in names.get(way, ()))
    return not is_told(found, names) and any(unnamed)


def place_of(found: Record, name: str) -> Json:
    return (found.data or {}).get(f"{name}_id")


def place_call(want: Want, way: str, known: Known) -> Call:
    """Where no list shows a task that its own page shows, where it is may be deleted, and no sideload said so."""
    name, _ = PLACES[way]
    row = known.rows(TASKS, [want.key]).get(want.key)
    id_ = want.about.get(name) or ((row.data or {}).get(f"{name}_id") if row else None)
    return Call("place", f"{ROOT}/{way}/{id_ or 0}.json", about={**want.about, "key": want.key}, accept=(400, 403, 404))


def read_place(walk: Walk, call: Call, answer: Answer, known: Known) -> Page:
    key, (way, *rest) = call.about["key"], call.about["by"]
    name, why = PLACES[way]
    settled = (("hidden", key),)
    place = parsed(answer, name)[name] if answer.status == 200 else None
    place = place if isinstance(place, dict) else {}
    if place.get("status") == "deleted" or (answer.status == 404 and call.about.get("old") == why):
        return Page((gone(key, why, known),), settled=settled)
    if rest:
        project = place.get("projectId") or (place.get("project") or {}).get("id") or call.about.get("project")
        return Page(wants=(Want("hidden", TASKS, key, {**call.about, "by": rest, "project": project}, walk.id),))
    return proof.missed(walk, Page(sighted=((TASKS, key),), settled=settled), known, TASKS, key, alone=False)


def gone(key: str, why: str, known: Known) -> Record:
    """The task as it was known last, gone."""
    row = known.rows(TASKS, [key]).get(key)
    return Record(TASKS, key, row.data if row else None, gone=Gone(why))
