"""`init`: make what a destination needs and nobody but its owner may make: Airtable's tables and fields."""

import threading
from contextlib import closing

from syncjob.build import airtable
from syncjob.core.errors import ConfigError
from syncjob.destinations import Missing
from syncjob.drive import WallClock
from syncjob.lock import hold
from syncjob.report import Report
from syncjob.settings import Settings
from syncjob.store import Store


def run_init(settings: Settings, report: Report, stop: threading.Event) -> None:
    """Show what is missing, and make it; what is there is left as it is. Raises SyncjobError."""
    if not settings.airtable_api_key or not settings.airtable_base_id:
        raise ConfigError("AIRTABLE_API_KEY or AIRTABLE_BASE_ID is missing", hint="set both; the token needs schema.bases:write")
    with (
        hold(settings.state / "lock", what="init"),
        closing(Store(settings.state / "mirror.db")) as store,
        closing(airtable(settings, WallClock(stop), store)) as destination,
    ):
        plan = destination.tables.missing()
        for each in plan:
            report.line(_told(each))
        destination.tables.create(plan)
        report.line(f"airtable: {'all of this is made' if plan else 'every table and field is there'}")


def _told(each: Missing) -> str:
    fields = ", ".join(f"{field.name} ({field.type})" for field in each.fields)
    return f"airtable: {'fields in the table' if each.table else 'the table'} {each.name}: {fields}"
