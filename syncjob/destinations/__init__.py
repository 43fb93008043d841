"""Where rows are written: SQLite, PostgreSQL and Airtable. Each is a `core.ports.Destination`."""

from syncjob.core.model import ATTACHMENTS
from syncjob.destinations.airtable import AirtableDestination
from syncjob.destinations.airtable_api import AirtableApi, Lost
from syncjob.destinations.airtable_files import MOST_BYTES, AirtableFiles, NotTaken
from syncjob.destinations.airtable_schema import Missing
from syncjob.destinations.dsn import postgres_url
from syncjob.destinations.sql import SqlDestination
from syncjob.destinations.sqlite import sqlite_url

__all__ = [
    "ATTACHMENTS", "MOST_BYTES", "AirtableApi", "AirtableDestination", "AirtableFiles", "Lost", "Missing", "NotTaken", "SqlDestination",
    "postgres_url", "sqlite_url",
]  # fmt: skip
