"""What things are called in Teamwork: by the sideload, by what was seen before, or by the directories.

https://apidocs.teamwork.com/docs/teamwork/endpoints-by-object/tasks/get-projects-api-v3-tasks-json (`include`)
"""

from collections.abc import Mapping, Set

from syncjob.core.model import Answer, Call, Json, Page
from syncjob.core.ports import Known
from syncjob.sources.payload import has_more, listed
from syncjob.sources.tasks import names_in

ROOT = "/projects/api/v3"
DIRECTORY_SIZE = 250
DIRECTORIES: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "projects": (f"{ROOT}/projects.json", (("includeArchivedProjects", "true"), ("includeTentativeProjects", "true"))),
    "tasklists": (f"{ROOT}/tasklists.json", (("showCompleted", "true"), ("showDeleted", "true"), ("includeArchivedProjects", "true"))),
    "users": (f"{ROOT}/people.json", (("showDeleted", "true"), ("includePlaceholders", "true"), ("includeServiceAccounts", "true"))),
    "companies": (f"{ROOT}/companies.json", ()),
    "tags": (f"{ROOT}/tags.json", ()),
    "teams": ("/teams.json", ()),
}
"""Where names are asked for that no sideload brought."""
REFUSALS = 3
"""How often a directory has to refuse before it counts as one that may not be read: whom it names then stay nameless."""


class Names:
    """What things are called: by the sideload, or else by what was seen of them before, since sections may be missing.

    `unknown` are ids that nobody ever named, by section. A directory is asked for them once; those that it does not
    name either are kept without a name, so that nobody asks again. `doubtful` are the sections in which something was
    deleted when it was seen last: that says nothing of now.
    """

    def __init__(self, included: Json, needed: Mapping[str, set[str]], known: Known) -> None:
        self.sideloaded = names_in(included if isinstance(included, dict) else {})
        self._found = {section: dict(found) for section, found in self.sideloaded.items()}
        self.unknown: dict[str, set[str]] = {}
        self._fill("tasklists", needed["tasklists"], known)
        projects = {entry["project"] for entry in self._found["tasklists"].values() if entry.get("project")}
        for section, ids in needed.items():
            self._fill(section, ids | projects if section == "projects" else ids, known)
        old = {section: [ids[id_] for id_ in ids.keys() - self.sideloaded.get(section, {}).keys()] for section, ids in self._found.items()}
        self._old = {section for section, entries in old.items() if entries}
        self.doubtful = {section for section, entries in old.items() if any(entry.get("status") == "deleted" for entry in entries)}

    def unnamed(self, about: Mapping[str, Json], *, reread: bool) -> Set[str]:
        """The sections whose directories have to be read: for names that nobody knows; for what was deleted when it was seen
        last, since it may have come back; for a walk that reads everything anew, once, for those that no sideload renews."""
        old = self._old - set(about.get("directories", ())) if reread else set()
        wanted = self.unknown.keys() | self.doubtful | old
        return wanted - set(about.get("named", ()))  # a list's project is known only once the list is: so there may be a second turn

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


def ask_names(sections: Set[str], then: Mapping[str, Json]) -> Mapping[str, Json]:
    """Read these directories, then the same page again."""
    first, *rest = sorted(sections)
    then = {**then, "named": [*then.get("named", ()), first, *rest], "directories": sorted({*then.get("directories", ()), *sections})}
    return {"phase": "names", "section": first, "rest": rest, "page": 1, "then": then}


def names_call(position: Mapping[str, Json]) -> Call:
    """The next page of a directory."""
    path, asked = DIRECTORIES[position["section"]]
    return Call("names", path, (*asked, ("page", str(position["page"])), ("pageSize", str(DIRECTORY_SIZE))), position, accept=(403, 404))


def read_names(call: Call, answer: Answer) -> Page:
    """A page of a directory. One that may not be read names nobody."""
    about, section = {name: value for name, value in call.about.items() if name not in ("refused", "first")}, call.about["section"]
    names, more = {}, False
    if answer.status != 200 and (refused := call.about.get("refused", 0) + 1) < REFUSALS:
        return Page(position={**about, "refused": refused})
    if answer.status == 200:
        entries, payload = listed(answer, "people" if section == "users" else section)
        names = names_in({section: {str(entry["id"]): entry for entry in entries if isinstance(entry, dict) and entry.get("id")}})
        first = next(iter(names.get(section, ())), None)
        more = has_more(payload) is True and first not in (None, call.about.get("first"))  # a page that comes again is the last one
    if more:
        return Page(names=names, position={**about, "page": about["page"] + 1, "first": first})
    if about["rest"]:
        first, *rest = about["rest"]
        return Page(names=names, position={**about, "section": first, "rest": rest, "page": 1})
    return Page(names=names, position=about["then"])
