"""The tables of a base as this job knows them: looked at rarely, remembered in the ledger, made where they are missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from syncjob.core.errors import ConfigError
from syncjob.core.model import Json
from syncjob.core.ports import Clock, Ledger
from syncjob.destinations.airtable_api import AirtableApi, Unprocessable
from syncjob.destinations.airtable_fields import made
from syncjob.destinations.airtable_schema import Missing, Shape, missing, shapes

SHAPE_HOURS = 24
"""How long the tables are believed to be as they were last seen. An error makes them be looked at sooner."""


class AirtableTables:
    """The shape of each stream's table. `names`: the tables' names or ids. `files`: the emails' table shows attachments."""

    def __init__(self, api: AirtableApi, ledger: Ledger, clock: Clock, base: str, names: Mapping[str, str], *, files: bool) -> None:
        self._api, self._ledger, self._clock = api, ledger, clock
        self.names, self._files, self._place = names, files, [base, dict(names)]
        self._shapes: dict[str, Shape] = {}
        self._before: dict[str, Shape] = {}
        self.looked = False

    def is_ours(self) -> bool:
        """Whether the ledger speaks of these tables."""
        return bool(self._ledger.recall("place") == self._place)

    def load(self) -> None:
        """Take what the ledger remembers; of other tables it forgets everything."""
        if not self.is_ours():
            for stream in self.names:
                self._ledger.strike(stream)
            self._ledger.note("shapes", None)
            self._ledger.stand(None)
            self._ledger.note("place", self._place)
        kept = self._ledger.recall("shapes") or {}
        self._before = {stream: Shape(**found) for stream, found in kept.get("shapes", {}).items()}
        self._shapes = self._before if kept.get("files") == self._files else {}

    def are_known(self) -> bool:
        """Whether they were seen, as far as rows and files are shown now."""
        if not self._shapes:
            self.load()
        return bool(self._shapes)

    def __getitem__(self, stream: str) -> Shape:
        """The shape of a stream's table. Raises ConfigError where one does not fit."""
        if not self.are_known():
            self.look()
        return self._shapes[stream]

    def is_stale(self) -> bool:
        """Whether the tables were looked at too long ago."""
        seen = self._ledger.recall("shapes")
        return not seen or datetime.fromisoformat(seen["at"]) < self._clock.now() - timedelta(hours=SHAPE_HOURS)

    def look(self) -> bool:
        """Look at the tables. True: they changed, so all rows have to be compared again. Raises ConfigError where they do not fit."""
        found = self._found()
        before, self._before, self._shapes, self.looked = self._before, found, found, True
        known, ids = self._ledger.recall("tables") or {}, {stream: shape.table for stream, shape in found.items()}
        renewed = [stream for stream, shape in found.items() if known.get(stream, shape.table) != shape.table]
        renewed += [stream for stream, shape in before.items() if stream in found and _is_renewed(shape, found[stream])]
        for stream in renewed:
            self._ledger.strike(stream)
        changed = bool(renewed) or (bool(before) and before != found)
        if changed:
            self._ledger.stand(None)
        self._ledger.note("tables", ids)
        kept = {stream: asdict(shape) for stream, shape in found.items()}
        self._ledger.note("shapes", {"at": self._clock.now().isoformat(), "files": self._files, "shapes": kept})
        return changed

    def check(self) -> str:
        """What tables there are, if they fit. Raises ConfigError."""
        return " and ".join(f"{self.names[stream]} with {len(shape.names)} known fields" for stream, shape in self._found().items())

    def missing(self) -> list[Missing]:
        """What `create` would make."""
        return missing(self._api.tables(), self.names, files=self._files)

    def create(self, plan: Sequence[Missing]) -> None:
        """Make tables and fields. What is there meanwhile, since an answer was lost, is fine."""
        for each in plan:
            fields = [made(field) for field in each.fields]
            if each.table is None:
                _make(self._api.create_table, each.name, fields)
            else:
                for field in fields:
                    _make(self._api.create_field, each.table, field)
        if plan:
            self._ledger.stand(None)  # first: a crash behind this, and every row is compared again
            places = {place for each in plan for place in (each.name, each.table)}
            for stream in [stream for stream, name in self.names.items() if name in places]:
                self._ledger.strike(stream)  # a field of the same name may have been removed: what was in it is in no row
            self._ledger.note("shapes", None)  # so that the new fields are seen at once, and filled in every row

    def _found(self) -> dict[str, Shape]:
        return shapes(self._api.tables(), self.names, files=self._files)


def _is_renewed(before: Shape, now: Shape) -> bool:
    """Whether a field was removed and made anew under its name: it is empty in all rows."""
    return any(before.ids.get(column, id_) != id_ for column, id_ in now.ids.items())


def _make(create: Callable[[str, Json], None], where: str, what: Json) -> None:
    try:
        create(where, what)
    except Unprocessable as error:
        if not error.type.startswith("DUPLICATE"):
            raise ConfigError(f"Airtable does not make it: {error.message}", hint="make it by hand in Airtable") from None
