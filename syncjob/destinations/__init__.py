"""Where rows are written: SQLite and PostgreSQL. Each is a `core.ports.Destination`."""

from syncjob.core.model import ATTACHMENTS
from syncjob.destinations.postgres import postgres_url
from syncjob.destinations.sql import SqlDestination
from syncjob.destinations.sqlite import sqlite_url

__all__ = ["ATTACHMENTS", "SqlDestination", "postgres_url", "sqlite_url"]
